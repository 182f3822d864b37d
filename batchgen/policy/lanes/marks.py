"""How many calls a gateway took between its refusals: from one empty bucket to the next, that is its pace."""

from __future__ import annotations

from typing import NamedTuple

SURE = 200  # calls that make an estimate good
_MOST = 64  # marks that are kept
_FEW = 4  # calls between two refusals that tell nothing of a pace
ENOUGH = 8  # calls between two refusals that tell something of it
_CHANGED = 0.7  # share of the pace below which it is not the same any more
_SHORTEST = 1e-3  # seconds


class Mark(NamedTuple):
    """The first refusal of an episode.

    Attributes:
        at: when the refused call was sent.
        calls: how many had been taken in before it.
        sent: how many had been sent before it.
    """

    at: float
    calls: int
    sent: int = 0


class Estimate(NamedTuple):
    """So many calls in so many seconds."""

    calls: int
    seconds: float

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.calls / max(_SHORTEST, self.seconds)


class Marks(NamedTuple):
    """The refusals so far.

    Attributes:
        began: when the first call was sent.
        all: one for each episode, oldest first.
        missed: refusals in a row with hardly a call taken in between.
        first: the first of all.
    """

    began: float | None = None
    all: tuple[Mark, ...] = ()
    missed: int = 0
    first: Mark | None = None

    def after(self, at: float, calls: int, sent: int) -> Marks:
        """Return them with one more."""
        missed = self.missed + 1 if self.all and calls - self.all[-1].calls < _FEW else 0
        mark = Mark(at, calls, sent)
        return self._replace(all=(*self.all, mark)[-_MOST:], missed=missed, first=self.first or mark)

    def burst(self, pace: float) -> int:
        """Return how many calls were taken in at the beginning beyond a pace, in calls per second."""
        if self.first is None or self.began is None:
            return 1
        return max(1, int(self.first.calls - pace * (self.first.at - self.began)))

    def first_rate(self, at: float, calls: int) -> Estimate:
        """Say what is known of a pace when it is first taken for one.

        A bucket that was full let more through than the pace, so little evidence is stretched halfway (as ratios go)
        towards all that was taken in so far.
        """
        base = next((mark for mark in reversed(self.all) if mark.calls < calls and mark.at < at), self.all[0])
        found = Estimate(max(1, calls - base.calls), at - base.at)
        if found.calls >= ENOUGH or self.began is None:
            return found
        possible = (found.rate * calls / max(_SHORTEST, at - self.began)) ** 0.5
        return Estimate(found.calls, found.calls / max(found.rate, possible))

    def best_rate(self, pace: float) -> tuple[Estimate | None, Marks]:
        """Say what the marks tell of a pace after the last refusal, and which of them still count.

        Args:
            pace: calls per second as they were made; when much less was let through, it has changed, and only what
                is new counts.
        """
        last, before = self.all[-1], self.all[-2] if len(self.all) > 1 else self.all[-1]
        latest = Estimate(last.calls - before.calls, last.at - before.at)
        busy = last.sent - before.sent >= _CHANGED * pace * latest.seconds  # else there were no more calls to make
        if latest.calls >= ENOUGH and latest.rate < _CHANGED * pace and busy:
            return latest, self._replace(all=(before, last))
        spans = [Estimate(last.calls - mark.calls, last.at - mark.at) for mark in self.all]
        most = max((span.calls for span in spans if span.calls <= SURE), default=0)
        good = (span for span in spans if span.seconds > 0 and max(1, most / 2) <= span.calls <= 1.5 * SURE)
        return max(good, key=lambda span: span.rate, default=None), self
