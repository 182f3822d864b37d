"""Whether a run can be trusted on this machine: versions, disk, open files, clock, locale, the way out and keys."""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

from PIL import features

from batchgen.app.finding import MachineFinding, safely
from batchgen.app.keyring import KeyRing
from batchgen.app.known_routes import known_routes
from batchgen.app.manifests import load_manifest
from batchgen.app.network import examine_network
from batchgen.contracts.contract import Contract
from batchgen.domain.errors import UsageError
from batchgen.domain.text import byte_size
from batchgen.report.quota_text import learned_lines
from batchgen.store.spool.descriptors import calls_that_fit, raise_limit

_MOST_CALLS = 500  # in flight, that a manifest may ask for
_USUAL_CALLS = 30


def examine(manifest: Path | None = None, ledger: Path | None = None) -> list[MachineFinding]:
    """Look at everything; what cannot be looked at is a finding that is not ok.

    Args:
        manifest: whose gateways are looked at too; None for none.
        ledger: in which is what was learned of gateways; None for none.

    Raises:
        ManifestError: it has problems.
    """
    contracts: list[Contract] = []
    if manifest is not None:
        read = load_manifest(manifest)
        contracts = [read.contract, *(other.contract for other in read.fallbacks)]
    folders = dict.fromkeys(() if manifest is None else (manifest.parent, Path.cwd())) or {Path.cwd(): None}
    looks = [_python, _sqlite, _aiohttp, _pillow, _disk, _open_files, _clock, _locale]
    looks += [_learned_in(ledger)] if ledger is not None and ledger.exists() else []
    try:
        keys = KeyRing.of(*folders)
    except UsageError as error:
        unread = MachineFinding("keys", str(error), ok=False)
        return [*map(safely, looks), *examine_network(contracts, KeyRing(os.environ)), unread]
    of_routes = [_keys_of(contract, keys) for contract in contracts if contract.keys]
    return [*map(safely, looks), *examine_network(contracts, keys), _keys(keys, folders), *of_routes]


def _python() -> MachineFinding:
    fixed = sys.version_info >= (3, 12, 4) or (3, 11, 10) <= sys.version_info < (3, 12)
    advice = "" if fixed else "3.11.10 and 3.12.4 have complete tables of private addresses; batchgen uses its own"
    found = platform.python_version()
    return MachineFinding("Python", f"{found}, at least 3.11", sys.version_info >= (3, 11), advice)


def _sqlite() -> MachineFinding:
    advice = ""
    if sqlite3.sqlite_version_info < (3, 51, 3):
        advice = (
            "before 3.51.3 two connections that write one WAL database at the same moment could corrupt it; "
            "batchgen writes through one connection only, so keep other programs from writing the ledger"
        )
    found = sqlite3.sqlite_version
    return MachineFinding("SQLite", f"{found}, at least 3.35", sqlite3.sqlite_version_info >= (3, 35), advice)


def _aiohttp() -> MachineFinding:
    return _library("aiohttp", (3, 14, 4), "update: before 3.14.4 a hostile answer could stall the run")


def _pillow() -> MachineFinding:
    if missing := [name for name in ("jpg", "webp", "zlib") if not features.check(name)]:
        return MachineFinding("Pillow", "not whole", ok=False, advice=f"cannot decode: {', '.join(missing)}")
    return _library("Pillow", (12, 1), "update: older ones have known holes, and images come from strangers")


def _library(name: str, floor: tuple[int, ...], advice: str) -> MachineFinding:
    """Hold a library against the oldest version that is safe."""
    found = metadata.version(name)
    numbers = tuple(int(part) for part in re.findall(r"\d+", found.partition("+")[0])[:3])  # of 3.15.0rc1 too
    ok = numbers >= floor
    return MachineFinding(name, f"{found}, at least {'.'.join(map(str, floor))}", ok, "" if ok else advice)


def _disk() -> MachineFinding:
    usage = shutil.disk_usage(Path.cwd())
    enough = usage.free > 5_000_000_000
    advice = "" if enough else "5,000 images of 5 MB take 25 GB; a run stops before a call it has no room for"
    return MachineFinding("disk", f"{byte_size(usage.free)} free in {Path.cwd()}", usage.free > 200_000_000, advice)


def _open_files() -> MachineFinding:
    """As a run has it, which raises the limit where it may."""
    raise_limit()
    most, notice = calls_that_fit(_MOST_CALLS, routes=1, local=False)
    return MachineFinding("open files", notice or f"enough for {most} calls in flight", most >= _USUAL_CALLS)


def _clock() -> MachineFinding:
    built = 1_790_000_000  # late 2026: no earlier moment can be now
    ok = time.time() > built
    return MachineFinding(
        "clock", time.strftime("%Y-%m-%d %H:%M %Z"), ok, "" if ok else "the clock is wrong; set it first"
    )


def _locale() -> MachineFinding:
    """Names of files must be UTF-8; what a terminal shows and in which language does not matter."""
    language = next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "none set")
    names, text = sys.getfilesystemencoding(), locale.getencoding()
    advice = "" if names == "utf-8" else "not every id can be a file name; set PYTHONUTF8=1 or LC_ALL=C.UTF-8"
    return MachineFinding("locale", f"{language}; file names in {names}, text in {text}", not advice, advice)


def _learned_in(ledger: Path) -> Callable[[], MachineFinding]:
    """Look what earlier runs of a ledger found gateways to take, with which the next begins."""

    def learned() -> MachineFinding:
        lines = learned_lines(ledger, None, time.time())
        return MachineFinding("learned", "; ".join(lines) or "nothing of any gateway so far", ok=True)

    return learned


def _keys(keys: KeyRing, folders: Iterable[Path]) -> MachineFinding:
    catalog = known_routes()
    names = sorted({name for route in catalog.routes() for name in catalog.find(route).keys})
    set_here = [name for name in names if keys.has(name)]
    value = f"set: {', '.join(set_here)}" if set_here else "none is set (a rehearsal needs none)"
    insecure = any(_readable_by_others(folder / ".env") for folder in folders)
    advice = "others on this machine can read .env; chmod 600 .env" if insecure else ""
    return MachineFinding("keys", value, not insecure, advice)


def _keys_of(contract: Contract, keys: KeyRing) -> MachineFinding:
    """The keys of one route by their variables and fingerprints, as the books know them."""
    what, here = f"keys of {contract.route}", [name for name in contract.keys if keys.has(name)]
    try:
        found = dict(zip(here, keys.fingerprints(here), strict=True))
    except UsageError as error:
        return MachineFinding(what, ", ".join(contract.keys), ok=False, advice=str(error))
    return MachineFinding(what, ", ".join(f"{name} {found.get(name, '(not set)')}" for name in contract.keys), ok=True)


def _readable_by_others(path: Path) -> bool:
    return os.name == "posix" and path.exists() and bool(path.stat().st_mode & 0o077)
