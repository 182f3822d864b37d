"""What the commands take in common: their options, and what these mean."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.domain.errors import UsageError

REBUY_CHANGED, REBUY_ALL = "changed", "all"


def as_recorded(typed: str) -> str:
    """Give an id, or what begins with one, in the form that ids have in the ledger.

    >>> as_recorded(" u\u0308 ") == "\u00fc"
    True
    """
    return unicodedata.normalize("NFC", typed.strip())


_db = click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="BATCHGEN_DB",
    default=None,
    help="The ledger. [default: batchgen.db in this folder, or BATCHGEN_DB]",
)
_rehearse = click.option(
    "--rehearse", is_flag=True, help="Use the rehearsal's own ledger, output and bill in ./rehearsal instead."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for machines.")
# macOS types and completes an umlaut as two characters, and ids have one form in the ledger
only_option = click.option(
    "--only",
    multiple=True,
    metavar="ID",
    callback=lambda _context, _parameter, ids: tuple(as_recorded(each) for each in ids),
    help="Only this prompt; may be repeated.",
)
cause_option = click.option(
    "--cause",
    metavar="KEY",
    callback=lambda _context, _parameter, key: key if key is None else key.strip().removesuffix(":"),
    help="Only what ended so at its last call: a cause that `report` names, or its part before the colon.",
)
rebuy_option = click.option(
    "--rebuy",
    type=click.Choice([REBUY_CHANGED, REBUY_ALL]),
    metavar="[changed]",
    help="Buy delivered images again: those of changed prompts are not asked about then; without `changed`, those "
    "that a job-wide key has changed, too. What was bought before for the same is never bought again.",
)


refresh_option = click.option(
    "--refresh-inputs", is_flag=True, help="Fetch references from their addresses again, and say what is another now."
)


def ledger_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--db PATH` and `--rehearse`; the command gets one `ledger: LedgerChoice` for both."""

    @wraps(command)
    def on_ledger(*args: Any, db: Path | None, rehearse: bool, **options: Any) -> None:
        command(*args, ledger=_chosen(db, rehearse=rehearse), **options)

    return _db(_rehearse(on_ledger))


def _chosen(db: Path | None, *, rehearse: bool) -> LedgerChoice:
    """Find the ledger that the options mean; in a rehearsal BATCHGEN_DB does not count.

    Raises:
        UsageError: both a ledger and a rehearsal are asked for.
    """
    typed = click.get_current_context().get_parameter_source("db") is click.core.ParameterSource.COMMANDLINE
    if rehearse and db is not None and typed:
        raise UsageError("--db and --rehearse exclude each other: a rehearsal has a ledger of its own in ./rehearsal")
    return LedgerChoice(db, rehearse)


class RebuyCommand(click.Command):
    """A command whose `--rebuy` may stand alone, also in front of its argument."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a bare `--rebuy` its value, so that it does not take the word behind it for one."""
        pairs = pairwise([*args, ""])
        return super().parse_args(ctx, [_with_value(word, following) for word, following in pairs])


def _with_value(word: str, following: str) -> str:
    bare = word == "--rebuy" and following not in {REBUY_CHANGED, REBUY_ALL}
    return f"--rebuy={REBUY_ALL}" if bare else word
