"""Where time comes from, and how it is waited for.

Durations are read from the monotonic clock, stamps from the wall clock, in UTC.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

_DAYS = (
    4  # one may be without the time, and the next without a whole day, where a country changes sides of the date line
)


class Clock(Protocol):
    """Time as the engine sees it; tests pass one they move by hand."""

    def now(self) -> float:
        """Tell the seconds since the epoch, for stamps."""
        ...

    def monotonic(self) -> float:
        """Tell seconds that never jump, for durations and deadlines."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for so many monotonic seconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Tell the seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Tell seconds that never jump."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds."""
        await asyncio.sleep(seconds)


async def sleep_or(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Sleep for so many seconds by a clock, or until an event is set, whichever comes first."""
    await first_of(clock.sleep(max(0.0, seconds)), event.wait())


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait until the first of several awaitables is done, and cancel the others.

    When the caller is cancelled meanwhile, all of them are. What the first one raises is raised here.
    """
    futures = [asyncio.ensure_future(each) for each in waits]
    try:
        done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in futures:
            each.cancel()
    for each in done:
        each.result()


def stamp(seconds: float) -> str:
    """Write seconds since the epoch as a moment in UTC.

    >>> stamp(0)
    '1970-01-01T00:00:00Z'
    """
    return _stamp(math.floor(seconds))


@lru_cache(maxsize=64)
def _stamp(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def month_of(seconds: float) -> str:
    """Name the local calendar month of a moment, such as `2026-11`."""
    return _local(seconds).strftime("%Y-%m")


def local_text(seconds: float, now: float) -> str:
    """Write a moment as people here say it: the time of day, with the date where that is not today's."""
    there = _local(seconds)
    return there.strftime("%H:%M" if there.date() == _local(now).date() else "%Y-%m-%d %H:%M")


def next_time_of_day(now: float, minutes: int) -> float:
    """Find the next moment, always after now, at which the local clock shows a time of day.

    Where the clocks are put back it shows some times twice, and the first of both that is still to come counts. Where
    they are put forward it never shows some; such a time comes on the next day.

    Args:
        now: seconds since the epoch.
        minutes: after midnight.

    Returns:
        seconds since the epoch.
    """
    today = _local(now).replace(hour=minutes // 60, minute=minutes % 60, second=0, microsecond=0)
    days = (today + timedelta(days=number) for number in range(_DAYS))
    moments = (day.replace(fold=fold).timestamp() for day in days for fold in (0, 1))
    return min(moment for moment in moments if moment > now and _minutes(_local(moment)) == minutes)


def _minutes(shown: datetime) -> int:
    return shown.hour * 60 + shown.minute


def _local(moment: float) -> datetime:
    """Read what the local clock shows, without its offset: on the day when the clocks change there are two."""
    return datetime.fromtimestamp(moment, UTC).astimezone().replace(tzinfo=None)
