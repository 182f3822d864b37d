"""What a comparison of ledger and log comes to, call by call, and what of it can be settled. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from batchgen.domain.charged import LogRow
from batchgen.domain.lifecycle import Charge
from batchgen.report.booked import Booked
from batchgen.report.reconcile import ROUNDING, Matching


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
    """From when to when a log has every charge; seconds since the epoch.

    Attributes:
        last: no later than the moment at which the log was read.
        closed: whether nothing can be written after that: the gateway is the simulated one, and it has ended.
    """

    first: float = -inf
    last: float = inf
    closed: bool = False

    def holds(self, first: float, last: float) -> bool:
        """Whether it says all of this time."""
        return self.first <= first and (self.closed or last <= self.last)


@dataclass(frozen=True, slots=True)
class Found:
    """One call and what the log says of it.

    Attributes:
        amount: micro-dollars that it cost, as far as is known now.
        rival: a call of another job that took a row which may as well be this one's, so that this one stays open.
    """

    call: Booked
    verdict: Verdict
    row: LogRow | None
    amount: int
    rival: Booked | None = None


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
    # A log may hold one route's calls and not another's: other keys may be of another account, and a model of another
    # name there. So what is not in it is free only where it has the calls of that model and key.
    kinds: dict[tuple[str, str], list[Booked]] = {}
    for call in calls:
        kinds.setdefault((call.model, call.key), []).append(call)
    known = {kind: result.trusted and _has(alike, calls, matching, coverage) for kind, alike in kinds.items()}
    rivals = _Rivals(job, calls, matching, coverage)
    for call in calls:
        if call.job != job:
            continue
        if call.charge is Charge.RESERVED:
            result.under_way += 1
        else:
            row, trusted = matching.rows.get(call.attempt), known[call.model, call.key]
            found = _judge(call, row, coverage, trusted=trusted)
            free = found.verdict is Verdict.FREE and row is None
            rival = rivals.of(call) if free else None
            result.found.append(found if rival is None else Found(call, Verdict.OPEN, None, call.most, rival))
    result.foreign = [row for row in matching.strangers if matching.is_foreign(row)]
    result.strangers = [row for row in matching.strangers if not matching.is_foreign(row)]
    return result


def _trusted(calls: Iterable[Booked], matching: Matching, coverage: Coverage) -> bool:
    billed = [call for call in calls if call.charge is Charge.BILLED and coverage.holds(*call.near)]
    if not billed:
        return bool(matching.rows)
    return 2 * sum(call.attempt in matching.rows for call in billed) >= len(billed)


def _has(alike: list[Booked], calls: list[Booked], matching: Matching, coverage: Coverage) -> bool:
    """Whether the log has the calls of one model and key; where none of them was billed, any of that key."""
    if any(call.charge is Charge.BILLED and coverage.holds(*call.near) for call in alike):
        return _trusted(alike, matching, coverage)
    return any(call.key == alike[0].key and call.attempt in matching.rows for call in calls)


class _Rivals:
    """Calls of other jobs whose row may as well be another call's: nothing names it, and the time is no proof."""

    def __init__(self, job: int, calls: Iterable[Booked], matching: Matching, coverage: Coverage) -> None:
        self._matching = matching
        self._pairs = sorted(
            (
                (row, call)
                for call in calls
                if call.job != job
                and (row := matching.rows.get(call.attempt)) is not None
                and call.attempt not in matching.sure
                and (call.is_loose or not _is_its_own(call, row, coverage))
            ),
            key=_time,
        )

    def of(self, call: Booked) -> Booked | None:
        """The first that took a row in a call's time."""
        first, last = call.until_deadline
        for place in range(bisect_left(self._pairs, first, key=_time), len(self._pairs)):
            row, rival = self._pairs[place]
            if row.time > last:
                break
            if self._matching.may_be_of(call, row):
                return rival
        return None


def _time(pair: tuple[LogRow, Booked]) -> float:
    return pair[0].time


def _is_its_own(call: Booked, row: LogRow, coverage: Coverage) -> bool:
    """Whether an answered call has its own row: it is where it should be, or the log has all of the call's time."""
    first, last = call.near
    return first <= row.time <= last or coverage.holds(*call.wide)


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
