"""A clock on which time passes faster: what is waited for long is waited for, and a test does not take long."""

from __future__ import annotations

import asyncio
import time


class HastyClock:
    """The machine's clock from now on, so many times as fast; stamps run ahead of those of other processes."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self._wall, self._steady = time.time(), time.monotonic()

    def now(self) -> float:
        return self._wall + (time.monotonic() - self._steady) * self.pace

    def monotonic(self) -> float:
        return self._steady + (time.monotonic() - self._steady) * self.pace

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.pace)
