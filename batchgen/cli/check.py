"""`batchgen check`: every problem of manifests at once."""

from __future__ import annotations

from pathlib import Path

import click

from batchgen.app.checking import check_manifest
from batchgen.app.known_routes import known_routes
from batchgen.cli.options import json_option
from batchgen.cli.output import echo, print_json, told_now_and_then, warn
from batchgen.domain.errors import Exit, ManifestError
from batchgen.domain.text import counted


@click.command()
@click.argument("manifests", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def check(manifests: tuple[Path, ...], as_json: bool) -> None:
    """Report every problem of MANIFESTS at once, with file, line and key. Touches no ledger and makes no call."""
    rows: list[dict[str, object]] = []
    catalog, bad = known_routes(), False
    for path in manifests:
        try:
            found = check_manifest(path, catalog, told_now_and_then)
        except ManifestError as error:
            bad = True
            rows.append({"manifest": str(path), "ok": False, "problems": [_fields(each) for each in error.problems]})
            if not as_json:
                echo(*map(str, error.problems))
            continue
        rows.append({"manifest": str(path), "ok": True, "warnings": found.warnings, "fetches": found.fetches})
        warn(found.warnings)
        if not as_json:
            echo(f"{path}: ok, {counted(found.prompts, 'prompt')}, {counted(found.images, 'image')}, {found.route}")
            for host, count in found.fetches.items():
                echo(f"  the first run fetches {counted(count, 'reference')} from {host}")
    if as_json:
        print_json(rows)
    if bad:
        raise click.exceptions.Exit(Exit.USAGE)


def _fields(problem: object) -> dict[str, object]:
    return {name: getattr(problem, name) for name in ("file", "line", "column", "key", "message")}
