"""`batchgen ceiling`: what all jobs of a ledger may spend in a calendar month."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.common import db_option, echo, json_option, ledger_path, print_json, rehearse_option
from batchgen.domain.money import format_usd, usd_text
from batchgen.domain.walls import lowest

if TYPE_CHECKING:
    from batchgen.ledger.records import MonthRow


@click.command(context_settings={"ignore_unknown_options": True})  # so that -5 is an amount that is refused
@click.argument("amount", metavar="[USD|none]", required=False)
@db_option
@rehearse_option
@json_option
def ceiling(amount: str | None, db: Path | None, rehearse: bool, as_json: bool) -> None:
    """Show what all jobs have spent in this local calendar month, and how much that may be; or set it, in dollars.

    Where BATCHGEN_MONTHLY says less, that holds.
    """
    from batchgen.cli.walls import dollars, monthly_by_environment
    from batchgen.domain.clock import SystemClock, month_of
    from batchgen.ledger.ledger import Ledger
    from batchgen.ledger.reader import Reader

    path, clock, monthly = ledger_path(db, rehearse=rehearse), SystemClock(), monthly_by_environment()
    if amount is not None:
        most = None if amount == "none" else dollars(amount, "the ceiling")
        with Ledger.open(path, clock) as ledger:
            ledger.set_ceiling(most)
    with Reader(path) as reader:
        most, month = reader.ceiling(), reader.month(month_of(clock.now()))
    if as_json:
        print_json(_fields(month, most, monthly))
    else:
        echo(_text(month, most, monthly))


def _text(month: MonthRow, most: int | None, monthly: int | None) -> str:
    from batchgen.cli.look import amounts_text

    spent = f"{month.name}: all jobs have spent {amounts_text(month.billed, month.unknown, month.reserved)}"
    lower = lowest(most, monthly)
    if lower is None:
        return f"{spent}; there is no ceiling"
    by = "BATCHGEN_MONTHLY" if lower == monthly else "this ledger"
    return f"{spent} of {format_usd(lower)} that {by} allows; {format_usd(max(0, lower - month.spent))} left"


def _fields(month: MonthRow, most: int | None, monthly: int | None) -> dict[str, object]:
    lower = lowest(most, monthly)
    return {
        "month": month.name,
        "billed_usd": usd_text(month.billed),
        "maybe_usd": usd_text(month.unknown),
        "reserved_usd": usd_text(month.reserved),
        "ledger_usd": None if most is None else usd_text(most),
        "environment_usd": None if monthly is None else usd_text(monthly),
        "left_usd": None if lower is None else usd_text(max(0, lower - month.spent)),
    }
