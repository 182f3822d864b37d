"""Which calls a gateway took in: answers take a minute and refusals a blink, so who is not refused soon was taken."""

from __future__ import annotations

from typing import NamedTuple

_LONGEST = 5.0  # seconds that a refusal is waited for at most
_SHORTEST = 0.003  # seconds within which no refusal is there from anywhere
_FADES = 0.7  # of a moment that is left after a refusal which came sooner


class SentCall(NamedTuple):
    """A call as the rule of its lane knows it.

    Attributes:
        number: counts the calls of the lane.
        at: when it left, in seconds on the monotonic clock.
        level: calls that were in flight before it.
        probe: whether it was sent above the limit of calls in flight, to see whether that still stands.
        on_slot: whether it went as soon as the pace let it.
    """

    number: int
    at: float
    level: int
    probe: bool = False
    on_slot: bool = False


class Taken(NamedTuple):
    """The calls that were taken in, and those of which that is not known yet.

    Attributes:
        refusal: seconds within which a refusal is there; half as long again as refusals took lately.
        quickest: seconds that the quickest took.
        lag: seconds that this process takes to see what has come.
        sent: calls so far.
        calls: those that were taken in.
        proven: the most calls in flight that the gateway is known to take.
        unproven: the calls that may still be refused, oldest first.
    """

    refusal: float
    quickest: float = float("inf")
    lag: float = 0.0
    sent: int = 0
    calls: int = 0
    proven: int = 0
    unproven: tuple[SentCall, ...] = ()

    @property
    def moment(self) -> float:
        """Seconds after which a call that was not refused is held for taken in."""
        return max(self.refusal, 3 * self.lag)

    def ripe(self, now: float) -> SentCall | None:
        """Return the oldest call whose refusal would have come by now; None when there is none."""
        if self.unproven and now >= self.unproven[0].at + self.moment:
            return self.unproven[0]
        return None

    def proven_at(self, now: float, ahead: int) -> float:
        """Return when the oldest unproven call is held for taken in, or the one so many places after it."""
        if not self.unproven:
            return now + self.moment if ahead else now
        return self.unproven[min(ahead, len(self.unproven) - 1)].at + self.moment

    def after_sent(self, call: SentCall) -> Taken:
        """Return what is known once a call has left."""
        return self._replace(sent=self.sent + 1, unproven=(*self.unproven, call))

    def after_taken(self, call: SentCall) -> Taken:
        """Return what is known once an unproven call is held for taken in."""
        proven = max(self.proven, call.level + 1)
        return self._replace(calls=self.calls + 1, proven=proven, unproven=_without(self.unproven, call))

    def after_refused(self, call: SentCall, now: float) -> Taken:
        """Return what is known once a call was refused; what was thought of it before is taken back."""
        refusal, quickest = self._refusal_after(now - call.at), min(self.quickest, now - call.at)
        proven = self.proven if call.probe else min(self.proven, max(1, call.level))
        if call in self.unproven:
            return self._replace(
                refusal=refusal, quickest=quickest, proven=proven, unproven=_without(self.unproven, call)
            )
        return self._replace(refusal=refusal, quickest=quickest, proven=proven, calls=max(0, self.calls - 1))

    def _refusal_after(self, delay: float) -> float:
        """Return how long refusals take after one that took so long; what was far too long shrinks by a part."""
        enough = max(_SHORTEST, 1.5 * delay)
        return min(_LONGEST, max(enough, self.refusal if self.refusal < 3 * enough else _FADES * self.refusal))

    def after_unsent(self, call: SentCall) -> Taken:
        """Return what is known once it turns out that a call never left; whoever thought it taken was wrong."""
        if call in self.unproven:
            return self._replace(unproven=_without(self.unproven, call))
        return self._replace(calls=max(0, self.calls - 1))


def _without(calls: tuple[SentCall, ...], gone: SentCall) -> tuple[SentCall, ...]:
    place = calls.index(gone)
    return calls[:place] + calls[place + 1 :]
