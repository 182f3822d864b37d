"""`batchgen ceiling`: what all jobs of a ledger may spend in a calendar month."""

from __future__ import annotations

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.spending_limits import dollars, monthly_by_environment
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json
from batchgen.cli.text.jobs import amounts_text
from batchgen.domain.clock import SystemClock, month_of
from batchgen.domain.money import format_usd
from batchgen.domain.walls import lowest
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import MonthRow
from batchgen.report.fields import month_fields


@click.command(context_settings={"ignore_unknown_options": True})  # so that -5 is an amount that is refused
@click.argument("amount", metavar="[USD|none]", required=False)
@ledger_options
@json_option
def ceiling(amount: str | None, ledger: LedgerChoice, as_json: bool) -> None:
    """Show what all jobs have spent in this local calendar month, and how much that may be; or set it, in dollars.

    Where BATCHGEN_MONTHLY says less, that holds.
    """
    clock, monthly = SystemClock(), monthly_by_environment()
    if amount is not None:
        most = None if amount == "none" else dollars(amount, "the ceiling")
        with Ledger.open(ledger.path, clock) as books:
            books.set_ceiling(most)
    with Reader(ledger.path) as reader:
        most, month = reader.ceiling(), reader.month(month_of(clock.now()))
    if as_json:
        print_json(month_fields(month, most, monthly))
    else:
        echo(_text(month, most, monthly))


def _text(month: MonthRow, most: int | None, monthly: int | None) -> str:
    spent = f"{month.name}: all jobs have spent {amounts_text(month.billed, month.unknown, month.reserved)}"
    lower = lowest(most, monthly)
    if lower is None:
        return f"{spent}; there is no ceiling"
    by = "BATCHGEN_MONTHLY" if lower == monthly else "this ledger"
    return f"{spent} of {format_usd(lower)} that {by} allows; {format_usd(max(0, lower - month.spent))} left"
