"""Answers without an image that all say the same: after some of them there will be no other ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from batchgen.domain.model import Outcome, OutcomeKind
from batchgen.policy.streak import Streak

# Tasks that got the same answer before a route's first image. What is paid is believed sooner than what is free.
FEW = {OutcomeKind.EMPTY: 3, OutcomeKind.UNREAD: 3, OutcomeKind.REJECTED: 6}
MANY = 20  # tasks in a row, once the route has brought an image


class Alike(NamedTuple):
    """The same answer in a row. An image whose call was sent since it began ends it, other trouble does not.

    Attributes:
        kind: what the answers are; None for none so far.
        cause: what they say.
        streak: whose they were.
    """

    kind: OutcomeKind | None = None
    cause: str = ""
    streak: Streak = Streak()

    def after(self, outcome: Outcome, task: int, sent: float, now: float) -> Alike:
        """Return what is known once one more call has been answered.

        Args:
            outcome: what its answer means.
            task: whose call it was.
            sent: when it was sent, in seconds on the monotonic clock.
            now: the present.
        """
        if outcome.kind is OutcomeKind.DELIVERED:
            return Alike() if sent >= self.streak.began else self
        if outcome.kind not in FEW:
            return self
        same = (self.kind, self.cause) == (outcome.kind, outcome.cause)
        before = self.streak if same else Streak()
        return Alike(outcome.kind, outcome.cause, before.after(task, sent, now))

    def hopeless(self, flights: Iterable[float], now: float, *, proven: bool) -> bool:
        """Tell whether no other answer is to be expected.

        Args:
            flights: when each call in flight was sent.
            now: the present.
            proven: whether the route has brought an image in this run.
        """
        if self.kind is None or len(self.streak.tasks) < (MANY if proven else FEW[self.kind]):
            return False
        return len(self.streak.tasks) > self.streak.signs_of_life(flights, now)
