"""Calls that took a row which may as well be another's: nothing names it, and the time is no proof. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.report.booked import Booked
from batchgen.report.coverage import Coverage
from batchgen.report.matching import Matching

_Pair = tuple[LogRow, Booked]


class Rivals:
    """The pairs of a matching that rest on time alone and may be wrong."""

    def __init__(self, job: int, calls: Sequence[Booked], matching: Matching, coverage: Coverage) -> None:
        self._job = job
        self._matching = matching
        self._counted = coverage.counted  # from an export rows may have fallen out, and no other row tells
        self._pairs = sorted(
            (
                (row, call)
                for call in calls
                if (row := matching.rows.get(call.attempt)) is not None and self._is_doubtful(call, row)
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

    def _is_doubtful(self, call: Booked, row: LogRow) -> bool:
        if call.attempt in self._matching.sure:
            return False
        if call.is_loose:
            uncertain = call.charge is Charge.RESERVED or (call.charge is Charge.BILLED and not self._counted)
            return uncertain or call.job != self._job
        first, last = call.near
        return not first <= row.time <= last or not self._counted


def _time(pair: _Pair) -> float:
    return pair[0].time
