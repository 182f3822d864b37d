"""A gateway that takes so many calls per second: slots one after the other, a little faster than is known."""

from __future__ import annotations

from typing import NamedTuple

from batchgen.policy.lanes.marks import ENOUGH, Estimate
from batchgen.policy.lanes.taken import SentCall

OVER = 0.01  # how much faster than its estimate it calls, so that a refusal now and then tells the truth
_MOST_OVER = 0.5
_LONGEST = 60.0  # seconds that a refusal holds the slots back
_SLOWEST = 1 / _LONGEST  # calls per second; a process that slept saw no refusal and no answer meanwhile
_ON_SLOT = 0.25  # of a gap: who goes so soon went when its slot came
_LATE = 0.02  # of a gap: what is late by so much is caught up with
_LATE_IN_BURST = 0.5
_EXTRA = 3  # calls without a slot that try whether there is a pace
_SAME = 4  # refusals in a row at one level say that it is a limit of calls in flight
_HIGH = 8  # calls in flight below which one level tells nothing


class FoundPace(NamedTuple):
    """A pace that was found out by refusals.

    Attributes:
        rate: calls per second that the gateway is believed to take.
        over: share by which more are made.
        slot: when the next call may go.
        run: calls taken in since the pace was last set, that went as soon as it let them.
        since: when that was.
        held: calls per second that went through in the last step upwards.
        levels: calls in flight at the last refusals.
        early: refusals in a row that came before the excess could have been one call.
        test: early refusals after which it is tried whether there is a pace at all.
        extra: calls of such a trial that are still to go, without a slot.
        extra_taken: how many of the last trial were taken in.
        burst: calls that may still go at once, which find the bucket full at the beginning.
        late: share of a gap that is caught up with; where a burst is taken, what was missed is not lost.
    """

    rate: float
    over: float = OVER
    slot: float = float("-inf")
    run: int = 0
    since: float = 0.0
    held: float = 0.0
    levels: tuple[int, ...] = ()
    early: int = 0
    test: int = 4
    extra: int = 0
    extra_taken: int = 0
    burst: int = 1
    late: float = _LATE

    @classmethod
    def of(cls, found: Estimate, burst: int, now: float) -> FoundPace:
        """Start from an estimate, of a gateway that has taken a burst of so many calls."""
        late = _LATE_IN_BURST if burst > 2 else _LATE
        return cls(max(_SLOWEST, found.rate), over=_excess(found.calls), since=now, late=late)

    @classmethod
    def known(cls, rate: float, burst: int) -> FoundPace:
        """Start from what another run has found, with a bucket that is full."""
        return cls(rate, burst=burst, late=_LATE_IN_BURST if burst > 2 else _LATE)

    @property
    def gap(self) -> float:
        """Seconds between two slots."""
        return 1 / (self.rate * (1 + self.over))

    def opening(self, now: float, ahead: int) -> float:
        """Return when a call may go that so many others go before."""
        return self.slot if not ahead else max(self.slot, now) + ahead * self.gap

    def is_on_slot(self, now: float) -> bool:
        """Tell whether a call that goes now goes as soon as the pace lets it."""
        return now - self.slot < _ON_SLOT * self.gap

    def after_sent(self, now: float) -> FoundPace:
        """Return what is known once a call has taken its slot, or went without one."""
        if self.extra:
            return self._replace(extra=self.extra - 1)
        if self.burst > 1:
            return self._replace(burst=self.burst - 1)
        return self._replace(slot=max(self.slot, now - self.late * self.gap) + self.gap)

    def after_taken(self, call: SentCall, now: float, moment: float) -> FoundPace:
        """Return what is known once a call was taken in: where the excess should have been refused by now, faster."""
        if call.probe:
            return self._replace(extra_taken=self.extra_taken + 1)
        if not call.on_slot:
            return self
        run = self.run + 1
        if run * self.over < 1.5 or run < 4 or now - self.since < moment:
            return self._replace(run=run)
        seen = run / max(1e-6, now - self.since)
        held = min(1.05 * seen, self.rate * (1 + self.over))
        if self.over < _MOST_OVER:
            return self._replace(run=0, since=now, held=held, over=2 * self.over)
        return self._replace(run=0, since=now, held=held, rate=min(1.5 * self.rate, max(self.rate, 2 * seen)))

    @property
    def disproven(self) -> bool:
        """Whether calls without a slot were taken in where others had been refused: what refuses them is chance."""
        return self.extra_taken >= _EXTRA - 1

    def after_refused(self, now: float, found: Estimate | None, missed: int) -> FoundPace:
        """Return what is known once a call was refused; `found` is what the refusals tell of the pace."""
        if found is None:
            known = self._replace(rate=self.rate / 2, over=_MOST_OVER)
        else:
            rate = max(found.rate, self.held if found.calls >= ENOUGH else 0.0)
            known = self._replace(rate=rate, over=_excess(found.calls))
        wait = min(_LONGEST, 2.0**missed / max(_SLOWEST, known.rate))
        known = known._replace(rate=max(_SLOWEST, known.rate), slot=max(self.slot, now + wait))
        return _tried(known)._replace(burst=1, held=0.0, run=0, since=now)

    def refused_at(self, level: int) -> FoundPace:
        """Return what is known once a call was refused with so many others in flight.

        A pace refuses when the excess has come to one call, whatever is in flight then.
        """
        due = 0.7 <= self.run * self.over <= 1.4
        return self._replace(levels=() if due else (*self.levels, level)[-_SAME:])

    @property
    def is_in_flight_limit(self) -> bool:
        """Whether the last refusals were all at one level, as those of a limit of calls in flight are."""
        levels = self.levels
        return len(levels) == _SAME and min(levels) >= _HIGH and max(levels) - min(levels) <= 1


def _tried(pace: FoundPace) -> FoundPace:
    """Try whether there is a pace at all, when refusals came again and again before the excess was one call."""
    early = pace.early + 1 if pace.run * pace.over < 0.5 else 0
    if early < pace.test:
        return pace._replace(early=early)
    return pace._replace(early=0, test=2 * pace.test, extra=_EXTRA, extra_taken=0)


def _excess(calls: int) -> float:
    """An estimate from so many calls is good to one of them."""
    return min(_MOST_OVER, max(OVER, 1 / calls))
