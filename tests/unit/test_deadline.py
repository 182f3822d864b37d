"""A deadline on a loop whose clock jumps, as it does when a process was stopped or its machine slept."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from batchgen.domain.deadline import Deadline

SECOND = 1.0
AFTER_SLEEP = 15  # seconds that are left at least when we wake up
TURNS = 10  # of the loop: more than anything here needs
HOUR = 3600.0


class Time:
    """The running loop's clock, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: self.now)

    async def move(self, seconds: float, times: int = 1) -> None:
        """Let so much time pass at once, as often as that, and the loop turn after each."""
        for _ in range(times):
            self.now += seconds
            await turn()


async def turn() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


async def wait(deadline: Deadline, arrived: asyncio.Event) -> str:
    """What becomes of one wait."""
    try:
        async with deadline.waiting():
            await arrived.wait()
    except TimeoutError:
        return "rang"
    return "arrived"


async def test_deadline_rings_after_its_seconds_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    time, deadline = Time(monkeypatch), Deadline(60.0)
    waiting = asyncio.create_task(wait(deadline, asyncio.Event()))
    await turn()
    await time.move(SECOND, 59)
    assert not waiting.done()
    await time.move(SECOND)
    assert (await waiting, deadline.rang, deadline.over) == ("rang", True, True)


@pytest.mark.parametrize("awake", [0, 1, 30, 59])
@pytest.mark.parametrize("asleep", [10.0, 61.0, 48 * HOUR])
async def test_sleep_of_our_own_takes_nothing_away_from_an_answer(
    monkeypatch: pytest.MonkeyPatch, awake: int, asleep: float
) -> None:
    """Whatever was left, and however long the sleep."""
    time, deadline, arrived = Time(monkeypatch), Deadline(60.0), asyncio.Event()
    waiting = asyncio.create_task(wait(deadline, arrived))
    await turn()
    await time.move(SECOND, awake)
    await time.move(asleep)
    await time.move(SECOND, AFTER_SLEEP - 1)
    assert not waiting.done()
    arrived.set()
    assert (await waiting, deadline.rang) == ("arrived", False)


async def test_sleep_costs_a_silent_gateway_no_more_than_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    time, deadline = Time(monkeypatch), Deadline(60.0)
    waiting = asyncio.create_task(wait(deadline, asyncio.Event()))
    await turn()
    await time.move(SECOND, 20)
    await time.move(HOUR)
    await time.move(SECOND, 38)
    assert not waiting.done()
    await time.move(SECOND)
    assert await waiting == "rang"


@pytest.mark.parametrize("stall", [3.0, 20.0, HOUR])
async def test_machine_that_always_stalls_comes_to_an_end(monkeypatch: pytest.MonkeyPatch, stall: float) -> None:
    time = Time(monkeypatch)
    waiting = asyncio.create_task(wait(Deadline(60.0), asyncio.Event()))
    await turn()
    await time.move(stall, 60 + 4 * AFTER_SLEEP)
    assert await waiting == "rang"


@pytest.mark.parametrize("seconds", [0.4, 2.0])
async def test_short_deadline_outlives_a_sleep_as_well(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    time, arrived = Time(monkeypatch), asyncio.Event()
    waiting = asyncio.create_task(wait(Deadline(seconds), arrived))
    await turn()
    await time.move(HOUR)
    assert not waiting.done()
    arrived.set()
    assert await waiting == "arrived"


async def test_time_between_two_waits_does_not_count_and_waits_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    time, deadline, arrived = Time(monkeypatch), Deadline(60.0), asyncio.Event()
    for _ in range(3):
        arrived.clear()
        waiting = asyncio.create_task(wait(deadline, arrived))
        await turn()
        await time.move(SECOND, 19)
        arrived.set()
        assert await waiting == "arrived"
        await time.move(HOUR)
    waiting = asyncio.create_task(wait(deadline, asyncio.Event()))
    await turn()
    await time.move(SECOND, 3)
    assert await waiting == "rang"


async def test_silence_is_counted_anew_for_each_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    time, deadline, arrived = Time(monkeypatch), Deadline(300.0, silence=20.0), asyncio.Event()
    for _ in range(3):
        arrived.clear()
        waiting = asyncio.create_task(wait(deadline, arrived))
        await turn()
        await time.move(SECOND, 19)
        await time.move(HOUR)  # and a sleep is no silence
        await time.move(SECOND, AFTER_SLEEP - 1)
        arrived.set()
        assert await waiting == "arrived"
    waiting = asyncio.create_task(wait(deadline, asyncio.Event()))
    await turn()
    await time.move(SECOND, 20)
    assert (await waiting, deadline.over) == ("rang", False)


def on_time(_: Time, deadline: Deadline) -> None:
    """The last second is over as a clock says it."""


def long_over(_: Time, deadline: Deadline) -> None:
    """The whole time has been used up before."""
    deadline.spend(60.0, 60.0, 60.0)


@pytest.mark.parametrize("state", [on_time, long_over])
async def test_what_lies_in_the_socket_is_taken_before_the_deadline_rings(
    monkeypatch: pytest.MonkeyPatch, state: Callable[[Time, Deadline], None]
) -> None:
    """The timer is due and the socket readable in the same turn of the loop."""
    ours, theirs = socket.socketpair()
    with theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        time, deadline = Time(monkeypatch), Deadline(60.0)
        state(time, deadline)

        async def read() -> bytes:
            async with deadline.waiting():
                return await reader.read(10)

        reading = asyncio.create_task(read())
        await asyncio.sleep(0)
        if not deadline.over:
            await time.move(SECOND, 59)
        theirs.send(b"image")
        await time.move(SECOND)
        assert await reading == b"image"
        with pytest.raises(TimeoutError):
            await read()
        writer.close()
        await writer.wait_closed()


async def test_cancellation_from_outside_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    Time(monkeypatch)
    deadline = Deadline(60.0)
    waiting = asyncio.create_task(wait(deadline, asyncio.Event()))
    await turn()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not deadline.rang
