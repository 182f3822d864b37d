"""Whether a run can be trusted on this machine: versions, disk, open files, clock and keys."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from PIL import features

from batchgen.app.keyring import KeyRing
from batchgen.app.known_routes import known_routes
from batchgen.domain.errors import BatchgenError, UsageError
from batchgen.domain.text import byte_size
from batchgen.store.spool.descriptors import calls_that_fit, raise_limit

_MOST_CALLS = 500  # in flight, that a manifest may ask for
_USUAL_CALLS = 30


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One look at this machine.

    Attributes:
        what: was looked at, and found to be `value`.
        ok: whether a run can be trusted with it.
        advice: what to do, or to know; "" for nothing.
    """

    what: str
    value: str
    ok: bool
    advice: str = ""


def examine() -> list[MachineFinding]:
    """Look at everything; what cannot be looked at is a finding that is not ok."""
    looks = (_python, _sqlite, _aiohttp, _pillow, _disk, _open_files, _clock)
    return [*map(_safely, looks), *_keys()]


def _safely(check_one: Callable[[], MachineFinding]) -> MachineFinding:
    try:
        return check_one()
    except (OSError, ImportError, BatchgenError) as error:
        return MachineFinding(check_one.__name__.strip("_"), str(error), ok=False)


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


def _keys() -> list[MachineFinding]:
    catalog = known_routes()
    try:
        keys = KeyRing.of(Path.cwd())
    except UsageError as error:
        return [MachineFinding("keys", str(error), ok=False)]
    names = sorted({catalog.find(route).key_env for route in catalog.routes()} - {""})
    set_here = [name for name in names if keys.has(name)]
    value = f"set: {', '.join(set_here)}" if set_here else "none is set (a rehearsal needs none)"
    insecure = [name for name in (".env",) if _readable_by_others(Path(name))]
    advice = "others on this machine can read .env; chmod 600 .env" if insecure else ""
    return [MachineFinding("keys", value, not insecure, advice)]


def _readable_by_others(path: Path) -> bool:
    return os.name == "posix" and path.exists() and bool(path.stat().st_mode & 0o077)
