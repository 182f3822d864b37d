"""Calls of different tasks that come to nothing in a row, weighed against those that are still in flight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_OUTLIVED = 1.5  # times what the quickest of them took: who is in flight longer does not end like them


class Streak(NamedTuple):
    """Calls that came to nothing, one after the other; times are seconds on the monotonic clock.

    Attributes:
        tasks: whose calls they were; each counts once.
        began: when the first of them had been sent.
        quickest: seconds that the quickest of them took.
    """

    tasks: frozenset[int] = frozenset()
    began: float = 0.0
    quickest: float = 0.0

    def after(self, task: int, sent: float, now: float) -> Streak:
        """Return it with one call more."""
        took = max(0.0, now - sent)
        if not self.tasks:
            return Streak(frozenset({task}), sent, took)
        return Streak(self.tasks | {task}, self.began, min(self.quickest, took))

    def signs_of_life(self, flights: Iterable[float], now: float) -> int:
        """Count the calls in flight that were sent since it began and would have ended by now, did they end like it.

        Args:
            flights: when each call in flight was sent.
            now: the present.
        """
        return sum(self.began <= sent < now - _OUTLIVED * self.quickest for sent in flights)
