"""A gateway that takes so many calls per second, as the user or its own headers say: slots on a grid."""

from __future__ import annotations

from typing import NamedTuple

_LATE = 0.02  # of a gap: what is late by so much is caught up with
_MOST_MARGIN = 0.05
_SELDOM = 20  # calls to one refusal that there may be: some arrive closer than they left


class KnownPace(NamedTuple):
    """A pace that the user or the gateway says, on a grid that does not move.

    Attributes:
        rate: calls per second.
        burst: calls that may go at once after a rest.
        margin: share by which fewer are made: two calls that leave a gap apart may arrive closer than that.
        slot: when the next call may go.
        sent: calls so far.
        refused: how many of them were refused all the same.
    """

    rate: float
    burst: int = 1
    margin: float = 0.005
    slot: float = float("-inf")
    sent: int = 0
    refused: int = 0

    @property
    def gap(self) -> float:
        """Seconds between two slots."""
        return 1 / (self.rate * (1 - self.margin))

    def opening(self, now: float, ahead: int) -> float:
        """Return when a call may go that so many others go before."""
        return self.slot if not ahead else max(self.slot, now - self._spare) + ahead * self.gap

    @property
    def _spare(self) -> float:
        """Seconds of the grid that may be caught up with. One of a burst is left for what is late on its way."""
        return self.gap * (max(0.5, self.burst - 2) if self.burst > 1 else _LATE)

    @property
    def strained(self) -> bool:
        """Whether it was refused so often that it cannot be all that the gateway limits."""
        return self.margin >= _MOST_MARGIN and self.refused * _SELDOM > self.sent

    def after_sent(self, now: float) -> KnownPace:
        """Return what is known once a call has taken its slot."""
        return self._replace(slot=max(self.slot, now - self._spare) + self.gap, sent=self.sent + 1)

    def after_refused(self, now: float) -> KnownPace:
        """Return what is known once the first call of an episode was refused all the same."""
        return self._replace(margin=min(_MOST_MARGIN, 2 * self.margin), slot=max(self.slot, now + 1 / self.rate))
