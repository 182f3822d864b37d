"""`batchgen init`: a first manifest, a small catalog and .env.example."""

from __future__ import annotations

import os
import shlex
from importlib import resources
from pathlib import Path

import click

from batchgen.cli.output import echo, say
from batchgen.domain.errors import UsageError

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
    say(
        "",
        f"next: batchgen check {typed}",
        f"      batchgen run {typed} --rehearse    (costs nothing, needs no key)",
    )
