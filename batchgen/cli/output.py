"""How the commands print: results on stdout, talk on stderr. Only here is anything printed.

A ledger and its words may be a stranger's: nothing in them is obeyed by the terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence

import click

from batchgen.cli.streams import is_utf8
from batchgen.domain.text import json_text, plain

_EVERY = 5.0  # seconds between two lines of progress


def print_json(document: object, *, indent: int | None = 2) -> None:
    """Print one JSON document on stdout, at once."""
    sys.stdout.write(json_text(document, indent=indent, ascii_only=not is_utf8(sys.stdout)) + "\n")
    sys.stdout.flush()


def echo(*lines: str) -> None:
    """Print lines of the result, on stdout."""
    for line in lines:
        click.echo(plain(line))


def say(*lines: str) -> None:
    """Print lines of talk, on stderr, so that stdout stays for results."""
    for line in lines:
        click.echo(plain(line), err=True)


def warn(warnings: Iterable[object]) -> None:
    """Print what is doubtful, a line each, on stderr."""
    say(*(f"{warning} (warning)" for warning in warnings))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Give the lines of a table whose columns are as wide as their widest cell.

    >>> table([["size", "calls"], ["1024x1024", "7"]])
    ['size       calls', '1024x1024  7']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def told_now_and_then(what: str) -> Callable[[], None]:
    """Give what is to be called for each thing that was looked at; every few seconds it says how many those are."""
    done, told = 0, time.monotonic()

    def step() -> None:
        nonlocal done, told
        done += 1
        if time.monotonic() - told >= _EVERY:
            told = time.monotonic()
            say(f"looked at {done:,} {what}")

    return step
