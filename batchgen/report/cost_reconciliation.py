"""The ledger against a bill by sums: day by day, within what is booked and may have been charged. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from batchgen.domain.lifecycle import Charge
from batchgen.report.booked import SLACK, Booked
from batchgen.report.cost_export import CostExport
from batchgen.report.matching import ROUNDING


class SumVerdict(StrEnum):
    """What a sum of the bill says of one span of time."""

    WITHIN = "within"  # it is what is booked, and at most what may have been charged besides
    LESS = "less"  # it is less than what is booked
    MORE = "more"  # it is more than all that may have been charged


@dataclass(frozen=True, slots=True)
class SpanComparison:
    """One span of time; amounts in micro-dollars.

    Attributes:
        first, last: seconds since the epoch; the last is not within.
        calls: of all jobs, that ended within.
        booked: what these are booked with as charged; `maybe` is what the unknown ones cost at most.
        blurred: what calls near an end of the span cost at most, which may count to its neighbour.
        logged: by the bill.
    """

    first: float
    last: float
    calls: int
    booked: int
    maybe: int
    blurred: int
    logged: int

    @property
    def verdict(self) -> SumVerdict:
        """Whether the bill's sum can be that of these calls."""
        slack = self.blurred + ROUNDING * max(1, self.calls)
        if self.logged < self.booked - slack:
            return SumVerdict.LESS
        return SumVerdict.MORE if self.logged > self.booked + self.maybe + slack else SumVerdict.WITHIN


@dataclass(frozen=True, slots=True)
class CostReconciliation:
    """One account's bill by sums, and the calls of the whole ledger.

    Attributes:
        models: that its line items were looked for.
        spans: of the bill, in which calls of the job ended.
        uncovered: calls of the job that no span of it covers.
        open: calls of the job whose charge is unknown or that are under way: no sum settles them.
    """

    provider: str
    source: str
    models: tuple[str, ...]
    spans: tuple[SpanComparison, ...]
    uncovered: int
    open: int

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to explain."""
        return not self.uncovered and not self.open and all(span.verdict is SumVerdict.WITHIN for span in self.spans)


def compare_costs(
    provider: str, job: int, calls: Iterable[Booked], models: Iterable[str], export: CostExport
) -> CostReconciliation:
    """Compare all calls of an account with its bill, in the time of one job's.

    Args:
        provider: whose account it is.
        job: its number.
        calls: of all jobs, over at least the spans in which the job has calls.
        models: whose line items count.
        export: the bill.
    """
    calls, models = list(calls), tuple(sorted(models))
    mine = [call for call in calls if call.job == job]
    spans = [span for span in export.spans if any(span[0] <= call.ended < span[1] for call in mine)]
    covered = sum(any(span[0] <= call.ended < span[1] for span in spans) for call in mine)
    undecided = sum(call.charge in {Charge.UNKNOWN, Charge.RESERVED} for call in mine)
    return CostReconciliation(
        provider=provider,
        source=export.source,
        models=models,
        spans=tuple(_span(span, calls, models, export) for span in spans),
        uncovered=len(mine) - covered,
        open=undecided,
    )


def _span(
    span: tuple[float, float], calls: list[Booked], models: tuple[str, ...], export: CostExport
) -> SpanComparison:
    first, last = span
    within = [call for call in calls if first <= call.ended < last]
    near = [call for call in calls if min(abs(call.ended - first), abs(call.ended - last)) <= _reach(call)]
    rows = [row for row in export.rows if (row.first, row.last) == span and any(map(row.is_of, models))]
    return SpanComparison(
        first=first,
        last=last,
        calls=len(within),
        booked=sum(call.billed for call in within if call.charge is Charge.BILLED),
        maybe=sum(call.most for call in within if call.charge not in {Charge.BILLED, Charge.VOID}),
        blurred=sum(
            call.billed if call.charge is Charge.BILLED else call.most
            for call in near
            if call.charge is not Charge.VOID
        ),
        logged=sum(row.amount for row in rows),
    )


def _reach(call: Booked) -> float:
    return SLACK + max(0.0, call.latest - call.begun)
