from __future__ import annotations

import asyncio

import pytest

from batchgen.domain.clock import first_of, sleep_or
from tests.conftest import ManualClock


async def test_sleep_ends_when_its_time_is_over(clock: ManualClock) -> None:
    sleeping = asyncio.ensure_future(sleep_or(clock, 5.0, asyncio.Event()))
    await clock.advance(4.9)
    assert not sleeping.done()
    await clock.advance(0.2)
    assert sleeping.done()


async def test_sleep_ends_at_its_event_and_leaves_nothing_behind(clock: ManualClock) -> None:
    event = asyncio.Event()
    sleeping = asyncio.ensure_future(sleep_or(clock, 5.0, event))
    await clock.settle()
    event.set()
    await sleeping
    await clock.settle()
    assert clock.monotonic() == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_sleep_is_over_at_once_when_its_event_is_set_or_its_time_is_past(clock: ManualClock) -> None:
    event = asyncio.Event()
    await sleep_or(clock, -1.0, event)
    event.set()
    await sleep_or(clock, 5.0, event)
    assert clock.monotonic() == 0


async def test_all_waits_end_when_the_caller_is_cancelled(clock: ManualClock) -> None:
    event = asyncio.Event()
    waiting = asyncio.ensure_future(first_of(clock.sleep(5.0), event.wait(), asyncio.Event().wait()))
    await clock.settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await clock.settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_error_of_the_first_reaches_the_caller() -> None:
    async def broken() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await first_of(broken(), asyncio.Event().wait())
