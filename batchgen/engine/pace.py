"""Calls per second: asyncio-throttle with exactly one waiter at a time, and the engine's clock."""

from __future__ import annotations

from collections import deque

from asyncio_throttle.throttler import Throttler

from batchgen.domain.clock import Clock

# Two calls that leave 1/rate apart may arrive closer than that; a strict gateway would refuse the second.
_MARGIN = 1.03
# Above this, single slots cost more wake-ups than they smooth.
_SLOTS_PER_SECOND = 20.0
_LEAST = 0.0005  # seconds; a shorter sleep would spin


class Pace(Throttler):
    """At most so many calls per second, spread evenly: a whole window at once would meet a burst limit.

    The library waits by looking again and again at the machine's clock. With a single waiter the wait can be exact,
    and by the engine's clock.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        slots = max(1, round(rate / _SLOTS_PER_SECOND))
        super().__init__(rate_limit=slots, period=slots / rate * _MARGIN)
        self._clock = clock
        self._granted: deque[float] = deque()

    def flush(self) -> None:
        """Forget what was granted more than a period ago."""
        now = self._clock.monotonic()
        while self._granted and self._granted[0] + self.period <= now:
            self._granted.popleft()

    async def acquire(self) -> None:
        """Wait until one more call fits into the window, and grant it."""
        self.flush()
        while len(self._granted) >= self.rate_limit:
            await self._clock.sleep(max(_LEAST, self._granted[0] + self.period - self._clock.monotonic()))
            self.flush()
        self._granted.append(self._clock.monotonic())
