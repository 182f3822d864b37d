"""What the commands share: their common options, how they find a ledger and a job, how they print."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.streams import is_utf8
from batchgen.domain.errors import UsageError
from batchgen.domain.text import json_text, plain

if TYPE_CHECKING:
    from batchgen.ledger.reader import Reader
    from batchgen.ledger.records import JobRow

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
    if (
        rehearse
        and db is not None
        and click.get_current_context().get_parameter_source("db") is click.core.ParameterSource.COMMANDLINE
    ):
        raise UsageError("--db and --rehearse exclude each other: a rehearsal has a ledger of its own in ./rehearsal")
    return LedgerChoice(db, rehearse).path


def ledger_choice() -> LedgerChoice:
    """The ledger of the command that runs, as its options choose it."""
    given = click.get_current_context().params
    return LedgerChoice(given.get("db"), bool(given.get("rehearse")))


def next_command(words: str) -> str:
    """A command to type next, on the ledger of this one."""
    return ledger_choice().command(words)


def run_command(manifest: Path) -> str:
    """The command that runs a manifest, on the ledger of this one, to be pasted as it is."""
    return ledger_choice().run_command(manifest)


def job_name(job: str) -> str:
    """A job's name, given as itself or by its manifest.

    Raises:
        ManifestError: the manifest cannot be read.
    """
    path = Path(job)
    if path.suffix not in {".yaml", ".yml"}:
        return job
    from batchgen.app.manifests import load_manifest

    return load_manifest(path).job.name


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
