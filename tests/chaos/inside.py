"""The `batchgen` command within this process, for looks that are many and whose process does not matter."""

from __future__ import annotations

import contextlib

from click.testing import CliRunner

from batchgen.cli.main import cli
from tests.support.shop import Shop


def inside(shop: Shop, *words: str) -> str:
    """All that a command says in a shop's folder, on both streams, and its error as `main` would say it."""
    with contextlib.chdir(shop.folder):
        done = CliRunner().invoke(cli, list(words), env={"SHOP_KEY": "", **shop.env()}, prog_name="batchgen")
    failed = done.exception if not isinstance(done.exception, SystemExit) else None
    return done.output + (f"batchgen: {failed}" if failed else "")
