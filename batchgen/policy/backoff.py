"""How long to wait before trying again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Uniform = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential growth with full jitter.

    Attributes:
        base: seconds before the second try, at most.
        cap: seconds before any try, at most.
    """

    base: float = 2.0
    cap: float = 60.0

    def ceiling(self, failures: int) -> float:
        """Return the longest wait after so many failures in a row, in seconds.

        >>> [Backoff().ceiling(n) for n in (1, 2, 3, 10)]
        [2.0, 4.0, 8.0, 60.0]
        """
        return min(self.cap, self.base * 2.0 ** min(failures - 1, 30))

    def delay(self, failures: int, uniform: Uniform) -> float:
        """Draw a wait evenly from zero to the ceiling, so that many tasks do not come back at one moment."""
        return uniform(0.0, self.ceiling(failures))
