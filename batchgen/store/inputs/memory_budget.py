"""Room for large work: as much at a time as fits, in the order of asking."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PixelBudget:
    """Shares a number of pixels among those who hold some; who needs more than all of them has them alone."""

    def __init__(self, units: int) -> None:
        self._units = units
        self._used = 0
        self._turn = asyncio.Lock()  # so that a large one is not passed by small ones for ever
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def hold(self, units: int) -> AsyncIterator[None]:
        """Wait for room, and keep it until the end."""
        units = min(units, self._units)
        async with self._turn:
            while self._used + units > self._units:
                self._freed.clear()
                await self._freed.wait()
            self._used += units
        try:
            yield
        finally:
            self._used -= units
            self._freed.set()
