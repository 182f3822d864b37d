"""The commands around a first run: init, check, schema, doctor."""

from __future__ import annotations

import asyncio
import os
import platform
import re
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import click

from batchgen.app.manifests import known_routes
from batchgen.cli.common import echo, json_option, print_json, say, told_now_and_then
from batchgen.domain.errors import BatchgenError, Exit, ManifestError, UsageError
from batchgen.domain.text import byte_size, counted

_MOST_CALLS = 500  # in flight, that a manifest may ask for
_USUAL_CALLS = 30
_FILES = {"manifest.yaml": "first.yaml", "products.csv": "products.csv", "env.example": ".env.example"}


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def init(folder: Path) -> None:
    """Write a first manifest, a small catalog and .env.example into FOLDER (default: here). Overwrites nothing."""
    taken = [name for name in _FILES.values() if os.path.lexists(folder / name)]
    if taken:
        raise UsageError(f"{folder / taken[0]} is there already; name another folder: batchgen init FOLDER")
    source = resources.files("batchgen.cli") / "templates"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for template, name in _FILES.items():
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write((source / template).read_text(encoding="utf-8"))
            echo(str(folder / name))
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}; name another folder") from error
    manifest = folder / "first.yaml"
    typed = shlex.quote(str(manifest))
    for line in (
        "",
        f"next: batchgen check {typed}",
        f"      batchgen run {typed} --rehearse    (costs nothing, needs no key)",
    ):
        say(line)


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def check(manifests: tuple[Path, ...], as_json: bool) -> None:
    """Report every problem of MANIFESTS at once, with file, line and key. Touches no ledger and makes no call."""
    from batchgen.app.input_check import look_at_inputs
    from batchgen.manifest.load import load_manifest
    from batchgen.manifest.plan import expand
    from batchgen.store.inputs.input_store import InputStore

    rows: list[dict[str, object]] = []
    catalog, bad = known_routes(), False
    for path in manifests:
        try:
            manifest = load_manifest(path, catalog)
            plan = expand(manifest, wait=True)
            with closing(InputStore.of(manifest.job)) as store:
                asyncio.run(look_at_inputs(plan, store, [], None, told_now_and_then))
        except ManifestError as error:
            bad = True
            rows.append({"manifest": str(path), "ok": False, "problems": [_fields(each) for each in error.problems]})
            if not as_json:
                echo(*map(str, error.problems))
            continue
        warnings = [str(warning) for warning in (*manifest.warnings, *plan.warnings)]
        rows.append({"manifest": str(path), "ok": True, "warnings": warnings})
        for warning in warnings:
            say(f"{warning} (warning)")
        if not as_json:
            totals, route = plan.totals, manifest.contract.route
            echo(f"{path}: ok, {counted(totals.prompts, 'prompt')}, {counted(totals.tasks, 'image')}, {route}")
    if as_json:
        print_json(rows)
    if bad:
        raise click.exceptions.Exit(Exit.USAGE)


def _fields(problem: object) -> dict[str, object]:
    return {name: getattr(problem, name) for name in ("file", "line", "column", "key", "message")}


@click.command()
def schema() -> None:
    """Print the JSON Schema of manifests, for editors."""
    from batchgen.manifest.document.schema import schema as manifest_schema

    print_json(manifest_schema())


@dataclass(frozen=True, slots=True)
class _Finding:
    what: str
    value: str
    ok: bool
    advice: str = ""


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Check versions, disk, clock and keys of this machine. Exit 0 when a run can be trusted here, else 3."""
    findings = [_safely(check_one) for check_one in (_python, _sqlite, _aiohttp, _pillow, _disk, _open_files, _clock)]
    findings += _keys()
    if as_json:
        print_json([{"what": f.what, "value": f.value, "ok": f.ok, "advice": f.advice} for f in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "LOOK"
            echo(f"{mark} {finding.what}: {finding.value}")
            if finding.advice:
                echo(f"     {finding.advice}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _safely(check_one: Callable[[], _Finding]) -> _Finding:
    try:
        return check_one()
    except (OSError, ImportError, BatchgenError) as error:
        return _Finding(check_one.__name__.strip("_"), str(error), ok=False)


def _python() -> _Finding:
    fixed = sys.version_info >= (3, 12, 4) or (3, 11, 10) <= sys.version_info < (3, 12)
    advice = "" if fixed else "3.11.10 and 3.12.4 have complete tables of private addresses; batchgen uses its own"
    found = platform.python_version()
    return _Finding("Python", f"{found}, at least 3.11", sys.version_info >= (3, 11), advice)


def _sqlite() -> _Finding:
    advice = ""
    if sqlite3.sqlite_version_info < (3, 51, 3):
        advice = (
            "before 3.51.3 two connections that write one WAL database at the same moment could corrupt it; "
            "batchgen writes through one connection only, so keep other programs from writing the ledger"
        )
    found = sqlite3.sqlite_version
    return _Finding("SQLite", f"{found}, at least 3.35", sqlite3.sqlite_version_info >= (3, 35), advice)


def _aiohttp() -> _Finding:
    return _library("aiohttp", (3, 14, 4), "update: before 3.14.4 a hostile answer could stall the run")


def _pillow() -> _Finding:
    from PIL import features

    if missing := [name for name in ("jpg", "webp", "zlib") if not features.check(name)]:
        return _Finding("Pillow", "not whole", ok=False, advice=f"cannot decode: {', '.join(missing)}")
    return _library("Pillow", (12, 1), "update: older ones have known holes, and images come from strangers")


def _library(name: str, floor: tuple[int, ...], advice: str) -> _Finding:
    """One library against the oldest version that is safe."""
    from importlib.metadata import version

    found = version(name)
    numbers = tuple(int(part) for part in re.findall(r"\d+", found.partition("+")[0])[:3])  # of 3.15.0rc1 too
    ok = numbers >= floor
    return _Finding(name, f"{found}, at least {'.'.join(map(str, floor))}", ok, "" if ok else advice)


def _disk() -> _Finding:
    usage = shutil.disk_usage(Path.cwd())
    enough = usage.free > 5_000_000_000
    advice = "" if enough else "5,000 images of 5 MB take 25 GB; a run stops before a call it has no room for"
    return _Finding("disk", f"{byte_size(usage.free)} free in {Path.cwd()}", usage.free > 200_000_000, advice)


def _open_files() -> _Finding:
    """As a run has it, which raises the limit where it may."""
    from batchgen.store.spool.descriptors import calls_that_fit, raise_limit

    raise_limit()
    most, notice = calls_that_fit(_MOST_CALLS, routes=1, local=False)
    return _Finding("open files", notice or f"enough for {most} calls in flight", most >= _USUAL_CALLS)


def _clock() -> _Finding:
    import time

    built = 1_790_000_000  # late 2026: no earlier moment can be now
    ok = time.time() > built
    return _Finding("clock", time.strftime("%Y-%m-%d %H:%M %Z"), ok, "" if ok else "the clock is wrong; set it first")


def _keys() -> list[_Finding]:
    from batchgen.app.keyring import KeyRing

    catalog = known_routes()
    try:
        keys = KeyRing.of(Path.cwd())
    except UsageError as error:
        return [_Finding("keys", str(error), ok=False)]
    names = sorted({catalog.find(route).key_env for route in catalog.routes()} - {""})
    set_here = [name for name in names if keys.has(name)]
    value = f"set: {', '.join(set_here)}" if set_here else "none is set (a rehearsal needs none)"
    insecure = [name for name in (".env",) if _readable_by_others(Path(name))]
    advice = "others on this machine can read .env; chmod 600 .env" if insecure else ""
    return [_Finding("keys", value, not insecure, advice)]


def _readable_by_others(path: Path) -> bool:
    return os.name == "posix" and path.exists() and bool(path.stat().st_mode & 0o077)
