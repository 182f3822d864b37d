"""What each limit of money leaves to a run that begins now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.clock import month_of
from batchgen.domain.walls import Wall, Walls
from batchgen.ledger.reader import Reader


@dataclass(frozen=True, slots=True)
class Headroom:
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
        """Micro-dollars that may still be spent."""
        return max(0, self.most - self.spent)


def headrooms_of(ledger: Path, job: str, walls: Walls, now: float) -> list[Headroom]:
    """Say what each wall leaves to a run of a job that begins now. Nothing is spent where there is no ledger."""
    spent = dict.fromkeys(Wall, 0)
    if ledger.exists():
        with Reader(ledger) as reader:
            row = next((row for row in reader.jobs() if row.name == job), None)
            spent[Wall.JOB] = row.billed + row.unknown + row.reserved if row is not None else 0
            spent[Wall.MONTH] = reader.month(month_of(now)).spent
    return [Headroom(wall, walls.named(wall), most, spent[wall]) for wall, most in walls.most.items()]


def nearest(rooms: Iterable[Headroom]) -> int | None:
    """Say what may be spent before the first wall is met, in micro-dollars; None where there is none."""
    return min((room.left for room in rooms), default=None)
