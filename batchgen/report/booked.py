"""One call as the books have it, for finding its row in a gateway's log: when that was written, and what names it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow

SLACK = 120.0  # seconds that a gateway's clock may be off, and that it may take to write a row
UNDECIDED = frozenset({Charge.UNKNOWN, Charge.RESERVED})
_NEAR = 3.0  # seconds within which the end of a call and its row lie as a rule, whole seconds included
_NOTED = re.compile(r"reconcile: row (.+) of (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) in the ", re.DOTALL)

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Noted:
    """The row by which a call was settled, as the books have it; `time` in whole seconds since the epoch."""

    name: str
    time: float


def row_note(row: LogRow, source: str) -> str:
    """What the books say of a call that a row settled."""
    return f"reconcile: row {row.name} of {stamp(row.time)} in the {source}"


def noted_row(note: str) -> Noted | None:
    """The row that such a note names; None for any other note.

    >>> noted_row("reconcile: row 7 of 1970-01-01T00:01:00Z in the log of apiyi")
    Noted(name='7', time=60.0)
    """
    found = _NOTED.match(note)
    if found is None:
        return None
    try:
        return Noted(found[1], datetime.fromisoformat(found[2]).astimezone(UTC).timestamp())
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Booked:
    """One call as the ledger has it. Times are seconds since the epoch, amounts micro-dollars.

    Attributes:
        billed: for an unknown charge the best guess; `most` is what it may have cost, 0 when nobody knows.
        ids: every request id that came with the answer; `headers` are those they came in, in the same order.
        begun: when it was sent; `heard` when its answer began, `ended` when that was whole.
        latest: when the gateway was done with it at the latest: `ended`, or the call's deadline for a lost answer.
        key: fingerprint of the key.
        lost: whether nobody saw the end of its answer, so that its row may be from any time until the deadline.
        noted: the row that settled it, for a call that was settled by one.
    """

    attempt: int
    job: int
    model: str
    charge: Charge
    billed: int
    most: int
    ids: tuple[str, ...]
    begun: float
    heard: float
    ended: float
    latest: float
    key: str = ""
    headers: tuple[str, ...] = ()
    lost: bool = False
    noted: Noted | None = None

    @property
    def near(self) -> Window:
        """The time in which its row lies as a rule."""
        if self.noted is not None:
            return self.noted.time - _NEAR, self.noted.time + _NEAR
        return self.heard - _NEAR, self.ended + _NEAR

    @property
    def wide(self) -> Window:
        """The time in which its row may lie at all."""
        if self.noted is not None:
            return self.noted.time - SLACK, self.noted.time + SLACK
        return self.begun - SLACK, self.latest + SLACK

    @property
    def until_deadline(self) -> Window:
        """The time in which its row may lie while its charge is unknown: not before it was sent."""
        return self.begun - _NEAR, self.latest + SLACK

    @property
    def is_loose(self) -> bool:
        """Whether nothing but time and amount tells which row is its own, and the time only roughly."""
        return self.noted is None and not self.ids and (self.lost or self.charge in UNDECIDED)


def reach(calls: Iterable[Booked], core: Window) -> Window:
    """The time whose rows must be known together: no call's window crosses its ends, so none takes a row from outside.

    Args:
        calls: all that may have rows there, of any job.
        core: the time that is asked about.
    """
    windows = sorted([core, *(call.wide for call in calls)])
    first, last = windows[0]
    for begin, end in windows:
        if begin <= last:
            last = max(last, end)
        elif first <= core[0] <= last:
            break
        else:
            first, last = begin, end
    return first, last
