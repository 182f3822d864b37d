"""What the commands share: their common options, how they find a ledger and a job, how they print."""

from __future__ import annotations

import os
import shlex
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchgen.cli.streams import is_utf8
from batchgen.domain.errors import UsageError
from batchgen.domain.text import json_text, plain

if TYPE_CHECKING:
    from batchgen.contracts.catalog import Catalog
    from batchgen.ledger.reader import Reader
    from batchgen.ledger.records import JobRow

REHEARSAL = Path("rehearsal")
REBUY_CHANGED, REBUY_ALL = "changed", "all"
_EVERY = 5.0  # seconds between two lines of progress
_F = TypeVar("_F", bound=Callable[..., Any])


def db_option(command: _F) -> _F:
    """`--db PATH`."""
    return click.option(
        "--db",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="BATCHGEN_DB",
        default=None,
        help="The ledger. [default: batchgen.db in this folder, or BATCHGEN_DB]",
    )(command)


def rehearse_option(command: _F) -> _F:
    """`--rehearse`."""
    return click.option(
        "--rehearse", is_flag=True, help="Use the rehearsal's own ledger, output and bill in ./rehearsal instead."
    )(command)


def json_option(command: _F) -> _F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for machines.")(command)


def only_option(command: _F) -> _F:
    """`--only ID`, brought to the form that ids have in the ledger: macOS types and completes `ü` as two characters."""
    return click.option(
        "--only",
        multiple=True,
        metavar="ID",
        callback=lambda _context, _parameter, ids: tuple(as_recorded(each) for each in ids),
        help="Only this prompt; may be repeated.",
    )(command)


class RebuyCommand(click.Command):
    """A command whose `--rebuy` may stand alone, also in front of its argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare `--rebuy` its value, so that it does not take the word behind it for one."""
        following = [*args[1:], ""]
        return super().parse_args(ctx, [_with_value(word, next_) for word, next_ in zip(args, following, strict=True)])


def _with_value(word: str, following: str) -> str:
    bare = word == "--rebuy" and following not in {REBUY_CHANGED, REBUY_ALL}
    return f"--rebuy={REBUY_ALL}" if bare else word


def rebuy_option(command: _F) -> _F:
    """`--rebuy` and `--rebuy changed`; for a `RebuyCommand`."""
    return click.option(
        "--rebuy",
        type=click.Choice([REBUY_CHANGED, REBUY_ALL]),
        metavar="[changed]",
        help="Buy delivered images again: those of changed prompts are not asked about then; without `changed`, those "
        "that a job-wide key has changed, too. What was bought before for the same is never bought again.",
    )(command)


def as_recorded(typed: str) -> str:
    """An id, or what begins with one, in the form that ids have in the ledger.

    >>> as_recorded(" u\u0308 ") == "\u00fc"
    True
    """
    return unicodedata.normalize("NFC", typed.strip())


def ledger_path(db: Path | None, *, rehearse: bool) -> Path:
    """The ledger that the options mean.

    Raises:
        UsageError: both a ledger and a rehearsal are asked for.
    """
    if not rehearse:
        return (db or Path("batchgen.db")).absolute()
    if (
        db is not None
        and click.get_current_context().get_parameter_source("db") is click.core.ParameterSource.COMMANDLINE
    ):
        raise UsageError("--db and --rehearse exclude each other: a rehearsal has a ledger of its own in ./rehearsal")
    return (REHEARSAL / "batchgen.db").absolute()


def known_routes() -> Catalog:
    """The built-in contracts, and a user's own in the file or folder that BATCHGEN_CONTRACTS names.

    Raises:
        ContractError: one of them is wrong.
    """
    from batchgen.contracts.catalog import load_catalog

    own = os.environ.get("BATCHGEN_CONTRACTS", "").strip()
    return load_catalog(Path(own) if own else None)


def next_command(words: str) -> str:
    """A command to type next, on the ledger of this one: what was rehearsed must not be bought by mistake."""
    given = click.get_current_context().params
    if given.get("rehearse"):
        return f"batchgen {words} --rehearse"
    db = given.get("db")
    return f"batchgen {words} --db {shlex.quote(str(db))}" if db is not None else f"batchgen {words}"


def run_command(manifest: Path) -> str:
    """The command that runs a manifest, on the ledger of this one, to be pasted as it is."""
    return next_command(f"run {shlex.quote(str(manifest))}")


def job_name(job: str) -> str:
    """A job's name, given as itself or by its manifest.

    Raises:
        ManifestError: the manifest cannot be read.
    """
    path = Path(job)
    if path.suffix not in {".yaml", ".yml"}:
        return job
    from batchgen.manifest.load import load_manifest

    return load_manifest(path, known_routes()).job.name


def check_only(reader: Reader, job: JobRow, only: Iterable[str]) -> None:
    """Make sure that a job has every prompt that somebody asks for by name.

    Raises:
        UsageError: it has not.
    """
    wanted = frozenset(only)
    found = {task.key for task in reader.tasks(job.id, keys=wanted)} if wanted else set()
    if missing := sorted(wanted - found):
        raise UsageError(f"{job.name} has no prompt {missing[0]}; `{next_command(f'tasks {job.name}')}` lists them")


def print_json(document: object, *, indent: int | None = 2) -> None:
    """One JSON document on stdout, at once."""
    sys.stdout.write(json_text(document, indent=indent, ascii_only=not is_utf8(sys.stdout)) + "\n")
    sys.stdout.flush()


def echo(*lines: str) -> None:
    """Lines of the result, on stdout. A ledger and its words may be a stranger's: nothing in them is obeyed."""
    for line in lines:
        click.echo(plain(line))


def say(*lines: str) -> None:
    """Lines of talk, on stderr, so that stdout stays for results."""
    for line in lines:
        click.echo(plain(line), err=True)


def told_now_and_then(what: str) -> Callable[[], None]:
    """Something to call for each thing that was looked at, which says every few seconds how many those are."""
    done, told = 0, time.monotonic()

    def step() -> None:
        nonlocal done, told
        done += 1
        if time.monotonic() - told >= _EVERY:
            told = time.monotonic()
            say(f"looked at {done:,} {what}")

    return step


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(1, "call"), counted(2, "image")
    ('1 call', '2 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """A duration as people say it.

    >>> duration(42), duration(600), duration(40_000)
    ('42 s', '10 min', '11 h 07 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def byte_size(count: float) -> str:
    """Bytes as people say them.

    >>> byte_size(512), byte_size(5_300_000)
    ('512 B', '5.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
