"""What a comparison of ledger and log comes to, call by call, and what of it can be settled. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.domain.money import format_usd
from batchgen.report.booked import Booked
from batchgen.report.coverage import Coverage, Witnesses
from batchgen.report.matching import ROUNDING, Matching
from batchgen.report.rivals import Rivals

_CLEAR = 4  # times that a call must have cost what a log's rounding hides, for a row of nothing to mean nothing


class ChargeVerdict(StrEnum):
    """What the log says of one call."""

    AGREES = "agrees"
    DIFFERS = "differs"  # charged, but not what was booked
    CHARGED = "charged"  # an unknown charge turns out to be one
    FREE = "free"  # an unknown charge turns out to be none
    OPEN = "open"  # the log cannot tell yet what an unknown charge was
    MISSING = "missing"  # booked as billed, and not in the log
    OUTSIDE = "outside"  # booked as billed, at a time of which the log says nothing


SETTLED = frozenset({ChargeVerdict.CHARGED, ChargeVerdict.FREE})
QUIET = frozenset({ChargeVerdict.AGREES, *SETTLED})


@dataclass(frozen=True, slots=True)
class JudgedCall:
    """One call and what the log says of it.

    Attributes:
        amount: micro-dollars that it cost, as far as is known now.
        reason: why it stays open, in words; "" where a rival says it, or where it does not.
        rival: a call that took a row which may as well be this one's, so that this one stays open.
    """

    call: Booked
    verdict: ChargeVerdict
    row: LogRow | None
    amount: int
    reason: str = ""
    rival: Booked | None = None


@dataclass(slots=True)
class Comparison:
    """One account's log and the calls of one job.

    Attributes:
        calls: every call of the job that was sent, but those still under way.
        strangers: charges that no call of the ledger accounts for.
        foreign: charges of keys that the ledger's calls did not use.
        under_way: calls without an end in the books.
        charged: calls of any job that are known to be charged and whose rows must be written by now.
        lacking: how many of these the log does not have.
    """

    calls: list[JudgedCall] = field(default_factory=list)
    strangers: list[LogRow] = field(default_factory=list)
    foreign: list[LogRow] = field(default_factory=list)
    under_way: int = 0
    charged: int = 0
    lacking: int = 0

    def of(self, *verdicts: ChargeVerdict) -> list[JudgedCall]:
        """The calls that have one of these verdicts."""
        return [each for each in self.calls if each.verdict in verdicts]

    @property
    def is_strange(self) -> bool:
        """Whether the log has less than half of the job's charged calls in its time, as that of another account."""
        known = [
            each
            for each in self.calls
            if each.call.charge is Charge.BILLED and each.verdict is not ChargeVerdict.OUTSIDE
        ]
        return 2 * len(self.of(ChargeVerdict.MISSING)) > len(known)

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to explain."""
        return not self.strangers and not self.under_way and all(each.verdict in QUIET for each in self.calls)

    @property
    def booked(self) -> int:
        """Micro-dollars of these calls by the books, once what can be settled is."""
        counted = (each for each in self.calls if each.call.charge is Charge.BILLED or each.verdict in SETTLED)
        return sum(each.call.billed if each.call.charge is Charge.BILLED else each.amount for each in counted)

    @property
    def logged(self) -> int:
        """Micro-dollars of these calls and of the strangers, by the log; within its rounding, by the books."""
        return sum(each.amount for each in self.calls if each.row is not None) + sum(
            row.amount for row in self.strangers
        )


def compare(job: int, calls: Iterable[Booked], matching: Matching, coverage: Coverage) -> Comparison:
    """Judge the calls of a job.

    Args:
        job: its number; calls of other jobs only keep their rows from being taken for strangers.
        calls: all that were matched.
        matching: of these with the log.
        coverage: of the log. What is not in it is free only where the log is shown to be whole around it.
    """
    calls = list(calls)
    witnesses = Witnesses(calls, matching, coverage)
    result = Comparison(charged=witnesses.charged, lacking=witnesses.lacking)
    rivals = Rivals(job, calls, matching, coverage)
    for call in calls:
        if call.job != job:
            continue
        if call.charge is Charge.RESERVED:
            result.under_way += 1
        else:
            result.calls.append(_judge(call, matching.rows.get(call.attempt), coverage, witnesses, rivals))
    result.foreign = [row for row in matching.strangers if matching.is_foreign(row)]
    result.strangers = [row for row in matching.strangers if not matching.is_foreign(row)]
    return result


def _judge(call: Booked, row: LogRow | None, coverage: Coverage, witnesses: Witnesses, rivals: Rivals) -> JudgedCall:
    if row is None:
        return _judge_missing(call, coverage, witnesses, rivals)
    within = abs(row.amount - call.billed) <= ROUNDING
    amount = call.billed if within else row.amount  # logs count in quota units; the books are finer
    if call.charge is not Charge.UNKNOWN:
        return JudgedCall(call, ChargeVerdict.AGREES if within else ChargeVerdict.DIFFERS, row, amount)
    if row.amount:
        return JudgedCall(call, ChargeVerdict.CHARGED, row, amount)
    if row.blur * _CLEAR > call.billed:
        reason = f"its row {row.name} says nothing was charged, in a log that rounds up to {format_usd(row.blur)} away"
        return JudgedCall(call, ChargeVerdict.OPEN, None, call.most, reason)
    return JudgedCall(call, ChargeVerdict.FREE, row, 0)


def _judge_missing(call: Booked, coverage: Coverage, witnesses: Witnesses, rivals: Rivals) -> JudgedCall:
    if call.charge is Charge.VOID:
        return JudgedCall(call, ChargeVerdict.AGREES, None, 0)
    if call.charge is Charge.BILLED:
        return JudgedCall(
            call, ChargeVerdict.MISSING if coverage.holds(*call.near) else ChargeVerdict.OUTSIDE, None, call.billed
        )
    if reason := witnesses.doubt(call):
        return JudgedCall(call, ChargeVerdict.OPEN, None, call.most, reason)
    if rival := rivals.of(call):
        return JudgedCall(call, ChargeVerdict.OPEN, None, call.most, rival=rival)
    return JudgedCall(call, ChargeVerdict.FREE, None, 0)
