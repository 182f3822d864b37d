"""What spending must not go over."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from batchgen.domain.money import format_usd


class Wall(StrEnum):
    """A sum that a reservation would take above what is allowed; in the order in which they are told."""

    JOB = "budget"  # of all that the job has ever cost
    RUN = "run"  # of what one run costs
    MONTH = "month"  # of what all jobs of the ledger cost in a local calendar month


@dataclass(frozen=True, slots=True)
class Walls:
    """How far one run may spend, in micro-dollars; None for no limit.

    Attributes:
        budget: of the job, over all its runs.
        per_run: of the run.
        per_run_by: what says so: `limits.budget_per_run` or `--max-cost`.
        monthly: of all jobs of the ledger in a local calendar month.
        monthly_by: what says so: `batchgen ceiling` or `BATCHGEN_MONTHLY`.
    """

    budget: int | None = None
    per_run: int | None = None
    per_run_by: str = ""
    monthly: int | None = None
    monthly_by: str = ""

    @property
    def most(self) -> dict[Wall, int]:
        """The walls that there are, in micro-dollars."""
        found = {Wall.JOB: self.budget, Wall.RUN: self.per_run, Wall.MONTH: self.monthly}
        return {wall: most for wall, most in found.items() if most is not None}

    def named(self, wall: Wall) -> str:
        """Name what sets one of them, as it is written.

        >>> Walls(budget=1).named(Wall.JOB)
        'limits.budget'
        """
        return {Wall.JOB: "limits.budget", Wall.RUN: self.per_run_by, Wall.MONTH: self.monthly_by}[wall]

    def reached(self, wall: Wall, month: str) -> str:
        """Say why a run stops at one of them, and what can be done; `month` is the present one."""
        match wall:
            case Wall.JOB:
                return BUDGET_REACHED
            case Wall.RUN:
                most = format_usd(self.per_run or 0)
                return f"{self.per_run_by} is reached ({most} for one run); run again, or raise it"
            case Wall.MONTH:
                most = format_usd(self.monthly or 0)
                return (
                    f"the ledger's ceiling for {month} is reached ({most} for all jobs, by {self.monthly_by}); "
                    "raise it, or run again next month"
                )


BUDGET_REACHED = "the budget is reached"
NO_WALLS = Walls()


def lowest(*amounts: int | None) -> int | None:
    """Return the least of some limits; None where there is none.

    >>> lowest(None, 7, 5), lowest(None)
    (5, None)
    """
    return min((amount for amount in amounts if amount is not None), default=None)
