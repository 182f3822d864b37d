"""What one run may spend, by the manifest, the command line, the environment and the ledger, and what is left of it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.clock import month_of
from batchgen.domain.errors import UsageError
from batchgen.domain.job import Limits
from batchgen.domain.money import format_usd, parse_usd, usd_text
from batchgen.domain.walls import Wall, Walls, lowest
from batchgen.ledger.reader import Reader

MONTHLY_ENV = "BATCHGEN_MONTHLY"


@dataclass(frozen=True, slots=True)
class Room:
    """What one wall leaves to a run that begins now; money in micro-dollars.

    Attributes:
        name: what sets the wall, as it is written.
        most: what it allows; `spent` is billed, maybe charged or set aside already.
    """

    wall: Wall
    name: str
    most: int
    spent: int

    @property
    def left(self) -> int:
        """What may still be spent."""
        return max(0, self.most - self.spent)


def dollars(written: str, name: str) -> int:
    """Micro-dollars of an amount that somebody typed.

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
    """The ceiling that the environment sets for a calendar month, in micro-dollars; None for none.

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
    """What a run of a job may spend.

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


def rooms_of(ledger: Path, job: str, walls: Walls, now: float) -> list[Room]:
    """What each wall leaves to a run of a job that begins now. Nothing is spent where there is no ledger."""
    spent = dict.fromkeys(Wall, 0)
    if ledger.exists():
        with Reader(ledger) as reader:
            row = next((row for row in reader.jobs() if row.name == job), None)
            spent[Wall.JOB] = row.billed + row.unknown + row.reserved if row is not None else 0
            spent[Wall.MONTH] = reader.month(month_of(now)).spent
    return [Room(wall, walls.named(wall), most, spent[wall]) for wall, most in walls.most.items()]


def nearest(rooms: Iterable[Room]) -> int | None:
    """What may be spent before the first wall is met, in micro-dollars; None where there is none."""
    return min((room.left for room in rooms), default=None)


def rooms_text(rooms: Iterable[Room], now: float) -> str:
    """What is left of each wall, as a person reads it; "" where there is none."""
    months = {Wall.MONTH: f" for {month_of(now)}"}
    parts = [
        f"{format_usd(room.left)} of {format_usd(room.most)} by {room.name}{months.get(room.wall, '')}"
        for room in rooms
    ]
    return f"left to spend: {', '.join(parts)}" if parts else ""


def room_fields(room: Room) -> dict[str, object]:
    """A wall for machines."""
    return {
        "wall": room.wall,
        "set_by": room.name.strip("`"),
        "most_usd": usd_text(room.most),
        "spent_usd": usd_text(room.spent),
        "left_usd": usd_text(room.left),
    }
