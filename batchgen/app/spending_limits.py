"""What a run may spend, by the manifest, the command line, the environment and the ledger."""

from __future__ import annotations

import os
from pathlib import Path

from batchgen.domain.errors import UsageError
from batchgen.domain.job import Limits
from batchgen.domain.money import parse_usd
from batchgen.domain.walls import Walls, lowest
from batchgen.ledger.reader import Reader

MONTHLY_ENV = "BATCHGEN_MONTHLY"


def dollars(written: str, name: str) -> int:
    """Give the micro-dollars of an amount that somebody typed.

    Raises:
        UsageError: it is none, or not more than zero; the message begins with its name.
    """
    try:
        amount = parse_usd(written.strip())
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None
    if not amount:
        raise UsageError(f"{name}: must be more than 0; leave it out for no limit")
    return amount


def monthly_by_environment() -> int | None:
    """Give the ceiling that the environment sets for a calendar month, in micro-dollars; None for none.

    Raises:
        UsageError: what is there is no amount.
    """
    written = os.environ.get(MONTHLY_ENV)
    if written is None:
        return None
    if not written.strip():
        raise UsageError(f"{MONTHLY_ENV} is empty; set it to an amount in dollars, or unset it")
    return dollars(written, MONTHLY_ENV)


def walls_of(ledger: Path, limits: Limits, max_cost: int | None = None) -> Walls:
    """Say how far a run of a job may spend.

    Args:
        ledger: which may not be there yet.
        limits: of the manifest.
        max_cost: micro-dollars by the command line; None where it says nothing.

    Raises:
        UsageError: the environment's ceiling is no amount.
    """
    monthly, ceiling = monthly_by_environment(), None
    if ledger.exists():
        with Reader(ledger) as reader:
            ceiling = reader.ceiling()
    per_run, every_month = lowest(max_cost, limits.budget_per_run), lowest(monthly, ceiling)
    return Walls(
        budget=limits.budget,
        per_run=per_run,
        per_run_by="--max-cost" if per_run == max_cost else "limits.budget_per_run",
        monthly=every_month,
        monthly_by=MONTHLY_ENV if every_month == monthly else "`batchgen ceiling`",
    )
