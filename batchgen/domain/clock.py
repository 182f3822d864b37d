"""Where time comes from. Durations are read from the monotonic clock, stamps from the wall clock, in UTC."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Time as the engine sees it; tests pass one they move by hand."""

    def now(self) -> float:
        """Seconds since the epoch, for stamps."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump, for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many monotonic seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def stamp(seconds: float) -> str:
    """Seconds since the epoch as UTC text.

    >>> stamp(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def next_time_of_day(now: float, minutes: int) -> float:
    """The next moment at which the local clock shows a time of day, seconds since the epoch.

    Args:
        now: seconds since the epoch.
        minutes: after midnight.
    """
    # Without an offset: in the night when the clocks change, the end has another one than now.
    here = datetime.fromtimestamp(now, UTC).astimezone().replace(tzinfo=None)
    end = here.replace(hour=minutes // 60, minute=minutes % 60, second=0, microsecond=0)
    return (end if end > here else end + timedelta(days=1)).timestamp()
