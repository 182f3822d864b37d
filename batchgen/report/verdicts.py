"""What a comparison of ledger and log comes to, call by call, and what of it can be settled. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from batchgen.domain.charged import LogRow
from batchgen.domain.lifecycle import Charge
from batchgen.report.reconcile import ROUNDING, Booked, Matching


class Verdict(StrEnum):
    """What the log says of one call."""

    AGREES = "agrees"
    DIFFERS = "differs"  # charged, but not what was booked
    CHARGED = "charged"  # an unknown charge turns out to be one
    FREE = "free"  # an unknown charge turns out to be none
    OPEN = "open"  # the log cannot tell yet what an unknown charge was
    MISSING = "missing"  # booked as billed, and not in the log
    OUTSIDE = "outside"  # booked as billed, at a time of which the log says nothing


SETTLED = frozenset({Verdict.CHARGED, Verdict.FREE})
QUIET = frozenset({Verdict.AGREES, *SETTLED})


@dataclass(frozen=True, slots=True)
class Coverage:
    """From when to when a log has every charge; seconds since the epoch."""

    first: float = -inf
    last: float = inf

    def holds(self, first: float, last: float) -> bool:
        """Whether it says all of this time."""
        return self.first <= first and last <= self.last


@dataclass(frozen=True, slots=True)
class Found:
    """One call and what the log says of it.

    Attributes:
        amount: micro-dollars that it cost, as far as is known now.
    """

    call: Booked
    verdict: Verdict
    row: LogRow | None
    amount: int


@dataclass(slots=True)
class Comparison:
    """One account's log and the calls of one job.

    Attributes:
        found: every call of the job that was sent, but those still under way.
        strangers: charges that no call of the ledger accounts for.
        foreign: charges of keys that the ledger's calls did not use.
        under_way: calls without an end in the books.
        trusted: whether the log is known to be the account's: it has at least half of what is booked as billed.
    """

    found: list[Found] = field(default_factory=list)
    strangers: list[LogRow] = field(default_factory=list)
    foreign: list[LogRow] = field(default_factory=list)
    under_way: int = 0
    trusted: bool = True

    def of(self, *verdicts: Verdict) -> list[Found]:
        """Calls of these verdicts."""
        return [each for each in self.found if each.verdict in verdicts]

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to explain."""
        return not self.strangers and not self.under_way and all(each.verdict in QUIET for each in self.found)

    @property
    def booked(self) -> int:
        """Micro-dollars of these calls by the books, once what can be settled is."""
        counted = (each for each in self.found if each.call.charge is Charge.BILLED or each.verdict in SETTLED)
        return sum(each.call.billed if each.call.charge is Charge.BILLED else each.amount for each in counted)

    @property
    def logged(self) -> int:
        """Micro-dollars of these calls and of the strangers, by the log; within its rounding, by the books."""
        return sum(each.amount for each in self.found if each.row is not None) + sum(
            row.amount for row in self.strangers
        )


def compare(job: int, calls: Iterable[Booked], matching: Matching, coverage: Coverage) -> Comparison:
    """Judge the calls of a job.

    Args:
        job: its number; calls of other jobs only keep their rows from being taken for strangers.
        calls: all that were matched.
        matching: of these with the log.
        coverage: of the log. What is not in it is free only where it covers the whole time of a lost call.
    """
    calls = list(calls)
    result = Comparison(trusted=_trusted(calls, matching, coverage))
    for call in calls:
        if call.job != job:
            continue
        if call.charge is Charge.RESERVED:
            result.under_way += 1
        else:
            result.found.append(_judge(call, matching.rows.get(call.attempt), coverage, trusted=result.trusted))
    result.foreign = [row for row in matching.strangers if matching.is_foreign(row)]
    result.strangers = [row for row in matching.strangers if not matching.is_foreign(row)]
    return result


def _trusted(calls: Iterable[Booked], matching: Matching, coverage: Coverage) -> bool:
    billed = [call for call in calls if call.charge is Charge.BILLED and coverage.holds(*call.near)]
    if not billed:
        return bool(matching.rows)
    return 2 * sum(call.attempt in matching.rows for call in billed) >= len(billed)


def _judge(call: Booked, row: LogRow | None, coverage: Coverage, *, trusted: bool) -> Found:
    if row is None:
        return _judge_missing(call, coverage, trusted=trusted)
    within = abs(row.amount - call.billed) <= ROUNDING
    amount = call.billed if within else row.amount  # logs count in quota units; the books are finer
    if call.charge is Charge.UNKNOWN:
        return Found(call, Verdict.CHARGED if row.amount else Verdict.FREE, row, amount if row.amount else 0)
    return Found(call, Verdict.AGREES if within else Verdict.DIFFERS, row, amount)


def _judge_missing(call: Booked, coverage: Coverage, *, trusted: bool) -> Found:
    if call.charge is Charge.VOID:
        return Found(call, Verdict.AGREES, None, 0)
    if call.charge is Charge.BILLED:
        return Found(call, Verdict.MISSING if coverage.holds(*call.near) else Verdict.OUTSIDE, None, call.billed)
    free = trusted and coverage.holds(*call.until_deadline)
    return Found(call, Verdict.FREE if free else Verdict.OPEN, None, 0 if free else call.most)
