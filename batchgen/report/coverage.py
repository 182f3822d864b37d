"""Whether a log is shown to be whole around a call that it does not have. Pure.

What is not in a log is free only if the log would have it. So the calls that are known to be charged are witnesses:
each of them must be there, and some of them near the call, of its model and key and of about its price.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from math import inf

from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.report.booked import Booked
from batchgen.report.matching import Matching

NEARBY = 3600.0  # seconds around a call in which a log is looked at closely
OF_EXPORT = 3  # witnesses near a call that an export must have; a gateway's own log needs one
_OTHERS = 5  # calls of one model and key of which none is there: those of another account, no rows that fell out

Kind = tuple[str, str]  # model, fingerprint of the key


@dataclass(frozen=True, slots=True)
class Coverage:
    """From when to when a log can have charges, in seconds since the epoch.

    Attributes:
        last: of an export, the time of its last row: later than `read_at` where its times are of another zone.
        closed: whether nothing can be written after that: the gateway is the simulated one, and it has ended.
        counted: whether it was read from the gateway, which counts its rows; an export may lack any.
        read_at: when it was read; what can only be written later is no gap.
    """

    first: float = -inf
    last: float = inf
    closed: bool = False
    counted: bool = True
    read_at: float = inf

    def holds(self, first: float, last: float) -> bool:
        """Whether it reaches over all of this time."""
        return self.first <= first and (self.closed or last <= self.last)

    def is_due(self, call: Booked) -> bool:
        """Whether the row of a charged call must have been written when the log was read."""
        return self.closed or call.wide[1] <= self.read_at


def has_charge(row: LogRow | None) -> bool:
    """Whether a row is there and says what was charged: not nothing, unless a log that does not round says so."""
    return row is not None and (row.amount > 0 or not row.blur)


class Witnesses:
    """The calls known to be charged, and whether the log has them.

    Attributes:
        charged: how many there are whose rows must be written by now.
        lacking: how many of these the log does not have.
    """

    def __init__(self, calls: Iterable[Booked], matching: Matching, coverage: Coverage) -> None:
        self._coverage = coverage
        self._shift = _shift(matching, calls := list(calls))
        due = [call for call in calls if call.charge is Charge.BILLED and coverage.is_due(call)]
        due.sort(key=_end)
        seen: dict[Kind, list[Booked]] = defaultdict(list)
        lacking: dict[Kind, list[Booked]] = defaultdict(list)
        for call in due:
            there = has_charge(matching.rows.get(call.attempt))
            (seen if there else lacking)[call.model, call.key].append(call)
        self._seen = seen
        self._due = [_end(call) for call in due]
        self._gaps = sorted(_end(call) for gone in lacking.values() for call in gone)
        others = [kind for kind, gone in lacking.items() if kind not in seen and len(gone) >= _OTHERS]
        self._of_others = sum(len(lacking[kind]) for kind in others)
        self.charged, self.lacking = len(due), len(self._gaps)

    def doubt(self, call: Booked) -> str:
        """Why nothing follows from the log's silence on a call whose charge is unknown; "" where it was not charged."""
        first, last = call.until_deadline
        if not self._coverage.holds(first, last) or not (self._coverage.closed or last <= self._coverage.read_at):
            return self._uncovered(first, last)
        if self._shift:
            return self._shift
        around = first - NEARBY, last + NEARBY
        gaps, due = _within(self._gaps, around), _within(self._due, around)
        if gaps:
            return f"the log lacks {gaps} of {due} calls that were charged around it"
        if self.lacking > self._of_others:
            first_gap = f"the first of them of {stamp(self._gaps[0])}"
            return f"the log lacks {self.lacking} of {self.charged} calls that were charged, {first_gap}"
        return self._too_few(call, around)

    def _uncovered(self, first: float, last: float) -> str:
        if self._coverage.first == inf:
            return "the log has no rows"
        if self._coverage.first > first:
            return f"the log begins at {stamp(self._coverage.first)} only"
        if last > self._coverage.read_at:
            return f"it may be charged yet; ask again after {stamp(last)}"
        return f"the log ends at {stamp(self._coverage.last)}, and it was due until {stamp(last)}"

    def _too_few(self, call: Booked, around: tuple[float, float]) -> str:
        seen, needed = self._seen.get((call.model, call.key), []), 1 if self._coverage.counted else OF_EXPORT
        near = (seen[place] for place in range(bisect_left(seen, around[0], key=_end), len(seen)))
        alike = (each for each in takewhile(lambda each: each.ended <= around[1], near) if _is_alike(call, each))
        found = sum(1 for _ in islice(alike, needed))
        if found == needed:
            return ""
        return (
            f"the log shows {found} charged calls of its model, key and price within an hour of it, and {needed} are "
            "needed to tell by"
        )


def _end(call: Booked) -> float:
    return call.ended


def _within(times: Sequence[float], around: tuple[float, float]) -> int:
    return bisect_right(times, around[1]) - bisect_left(times, around[0])


def _is_alike(call: Booked, other: Booked) -> bool:
    """Whether a log that has rows of one amount would have rows of the other, whatever amounts it may leave out."""
    return not call.most or abs(call.most - other.most) * 4 <= call.most


def _shift(matching: Matching, calls: Iterable[Booked]) -> str:
    """What is wrong with the log's times, by the rows that name their calls; "" when they are the calls' own."""
    for call in calls:
        row = matching.rows.get(call.attempt)
        if row is None or call.attempt not in matching.sure or call.wide[0] <= row.time <= call.wide[1]:
            continue
        off = row.time - call.ended
        return (
            f"row {row.name} names attempt {call.attempt} and is {_span(off)} {'after' if off > 0 else 'before'} it: "
            "are the log's times in another zone (--zone)?"
        )
    return ""


def _span(seconds: float) -> str:
    minutes = round(abs(seconds) / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
