"""Calls per second: asyncio-throttle with exactly one waiter at a time, and the engine's clock."""

from __future__ import annotations

from asyncio_throttle.throttler import Throttler

from batchgen.domain.clock import Clock

# Two calls that leave 1/rate apart may arrive closer than that; a strict gateway would refuse the second.
_MARGIN = 1.03
# Above this, single slots cost more wake-ups than they smooth.
_SLOTS_PER_SECOND = 20.0
_LEAST = 0.0005  # seconds; a shorter sleep would spin


class Pace(Throttler):
    """At most so many calls per second, spread evenly: a whole window at once would meet a burst limit.

    The library's window is kept; its polling is not needed with a single waiter, so the wait is exact.
    """

    def __init__(self, rate: float, clock: Clock) -> None:
        slots = max(1, round(rate / _SLOTS_PER_SECOND))
        super().__init__(rate_limit=slots, period=slots / rate * _MARGIN)
        self._clock = clock

    def flush(self) -> None:
        """Forget what was granted more than a period ago."""
        now = self._clock.monotonic()
        while self._task_logs and self._task_logs[0] + self.period <= now:
            self._task_logs.popleft()

    async def acquire(self) -> None:
        """Wait until one more call fits into the window, and grant it."""
        self.flush()
        while len(self._task_logs) >= self.rate_limit:
            await self._clock.sleep(max(_LEAST, self._task_logs[0] + self.period - self._clock.monotonic()))
            self.flush()
        self._task_logs.append(self._clock.monotonic())
