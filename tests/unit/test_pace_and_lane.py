"""How fast and how many at once, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from batchgen.engine.lane import ConcurrencyCap, Lane, Ticket
from batchgen.engine.lane_limit import PATIENCE, START, LaneLimit
from batchgen.engine.pace import Pace

if TYPE_CHECKING:
    from tests.conftest import ManualClock


def lane(clock: ManualClock, ceiling: int = 64, rate: float | None = None) -> Lane:
    return Lane("test", ceiling, rate, clock=clock, uniform=lambda _low, high: high)


async def fill(of: Lane) -> list[Ticket]:
    """Take every place there is."""
    tickets = []
    while of.in_flight < of.limit:
        ticket = await of.admit()
        assert ticket is not None
        tickets.append(ticket)
    return tickets


async def saturate(of: Lane) -> list[Ticket]:
    """Take every place, with one more waiting, so that the lane knows it is the bottleneck."""
    tickets = await fill(of)
    waiter = asyncio.ensure_future(of.admit())
    await asyncio.sleep(0)
    waiter.cancel()
    return tickets


@pytest.mark.parametrize(("rate", "seconds"), [(5.0, 60), (0.5, 100), (100.0, 10)])
async def test_pace_uses_nearly_all_of_the_rate_and_never_more(clock: ManualClock, rate: float, seconds: int) -> None:
    pace, grants = Pace(rate, clock), []

    async def take() -> None:
        while True:
            await pace.acquire()
            grants.append(clock.monotonic())

    task = asyncio.create_task(take())
    await clock.advance(seconds)
    task.cancel()
    assert 0.95 * rate * seconds <= len(grants) <= rate * seconds + max(1, round(rate / 20))


async def test_pace_leaves_single_calls_at_least_one_interval_apart_at_low_rates(clock: ManualClock) -> None:
    pace, grants = Pace(5.0, clock), []

    async def take() -> None:
        for _ in range(20):
            await pace.acquire()
            grants.append(clock.monotonic())

    task = asyncio.create_task(take())
    await clock.advance(10)
    await task
    assert min(b - a for a, b in itertools.pairwise(grants)) >= 0.2


async def test_lane_starts_at_a_few_and_doubles_while_the_gateway_keeps_up(clock: ManualClock) -> None:
    one = lane(clock)
    assert one.limit == START
    for expected in (8, 16, 32, 64, 64):
        for ticket in await saturate(one):
            one.release(ticket)
            one.succeeded()
        assert one.limit == expected


async def test_lane_does_not_grow_when_nobody_waits_for_a_place(clock: ManualClock) -> None:
    one = lane(clock)
    for _ in range(50):
        ticket = await one.admit()
        assert ticket is not None
        one.release(ticket)
        one.succeeded()
    assert one.limit == START


async def test_lane_halves_once_per_episode_of_refusals(clock: ManualClock) -> None:
    one = lane(clock)
    for _ in range(3):
        for ticket in await saturate(one):
            one.release(ticket)
            one.succeeded()
    assert one.limit == 32
    tickets = await fill(one)
    await clock.advance(1)
    for ticket in tickets:
        one.throttled(ticket, 2.0)
        one.release(ticket)
    assert one.limit == 16


async def test_lone_refusal_among_many_answers_pauses_the_lane_and_does_not_halve_it(clock: ManualClock) -> None:
    one = lane(clock)
    for _ in range(3):
        for ticket in await saturate(one):
            one.release(ticket)
            one.succeeded()
    ticket = await one.admit()
    assert ticket is not None
    assert one.throttled(ticket, 3.0) == 3.0
    one.release(ticket)
    assert one.limit == 32


async def test_lane_grows_by_one_after_it_has_been_refused(clock: ManualClock) -> None:
    one = lane(clock)
    ticket = await one.admit()
    assert ticket is not None
    one.throttled(ticket, 0.0)
    one.release(ticket)
    assert one.limit == 2
    for expected in (3, 4):
        for other in await saturate(one):
            one.release(other)
            one.succeeded()
        assert one.limit == expected


async def test_lane_admits_nobody_before_the_pause_that_the_gateway_asked_for_is_over(clock: ManualClock) -> None:
    one = lane(clock)
    ticket = await one.admit()
    assert ticket is not None
    one.throttled(ticket, 12.0)
    one.release(ticket)
    waiting = asyncio.ensure_future(one.admit())
    await clock.advance(11.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert waiting.done()


async def test_lane_backs_off_exponentially_when_no_pause_is_given(clock: ManualClock) -> None:
    one, pauses = lane(clock), []
    for _ in range(4):
        waiting = asyncio.ensure_future(one.admit())
        await clock.advance(120)
        ticket = waiting.result()
        assert ticket is not None
        pauses.append(one.throttled(ticket, None))
        one.release(ticket)
    assert pauses == [1.0, 2.0, 4.0, 8.0]


async def test_lane_gives_turns_at_the_pace_and_none_once_it_is_closed(clock: ManualClock) -> None:
    one, turns = lane(clock, rate=5.0), []

    async def call() -> None:
        ticket = await one.admit()
        assert ticket is not None
        if await one.wait_turn(ticket):
            turns.append(clock.monotonic())
        one.release(ticket)

    for _ in range(4):
        task = asyncio.create_task(call())
        await clock.advance(1)
        await task
    waiting = [asyncio.create_task(call()) for _ in range(3)]
    await clock.settle()
    one.drain()
    await clock.settle()
    assert all(task.done() for task in waiting)
    assert len(turns) == 5
    assert one.in_flight == 0


async def test_stopped_lane_turns_away_whoever_waits(clock: ManualClock) -> None:
    one = lane(clock)
    await fill(one)
    waiting = asyncio.ensure_future(one.admit())
    await clock.settle()
    one.stop("no quota")
    await clock.settle()
    assert waiting.result() is None
    assert one.stopped == "no quota"


async def test_lane_stops_when_the_gateway_lets_nothing_through_for_too_long(clock: ManualClock) -> None:
    one = lane(clock)
    await clock.advance(2 * PATIENCE)  # a quiet time is nobody's refusal
    for _ in range(2):
        waiting = asyncio.ensure_future(one.admit())
        await clock.advance(PATIENCE)
        ticket = waiting.result()
        assert ticket is not None
        assert one.stopped is None
        one.throttled(ticket, PATIENCE - 1)
        one.release(ticket)
    assert one.stopped is not None
    assert "60 minutes" in one.stopped


async def test_lane_goes_on_after_a_night_that_the_process_slept_through(clock: ManualClock) -> None:
    """What nobody asked in this time was refused by nobody."""
    one = lane(clock)
    for _ in range(4):
        waiting = asyncio.ensure_future(one.admit())
        await clock.advance(8 * PATIENCE)
        ticket = waiting.result()
        assert ticket is not None
        one.throttled(ticket, 10.0)
        one.release(ticket)
        assert one.stopped is None


async def test_lane_stops_at_once_when_the_pause_asked_for_is_longer_than_a_run_waits(clock: ManualClock) -> None:
    one = lane(clock)
    ticket = await one.admit()
    assert ticket is not None
    one.throttled(ticket, 2 * PATIENCE)
    assert one.stopped is not None
    assert "a pause of 120 minutes" in one.stopped


async def test_stop_is_heard_by_who_just_began_to_wait_for_a_cooldown(clock: ManualClock) -> None:
    """An answer that pauses the lane and one that stops it may come in the same moment."""
    one = lane(clock)
    ticket = await one.admit()
    assert ticket is not None
    one.throttled(ticket, 1000.0)
    waiting = asyncio.create_task(one.admit())
    await asyncio.sleep(0)  # it has begun, and what it began has not
    one.stop("no quota")
    assert await asyncio.wait_for(waiting, 5) is None
    assert clock.monotonic() < 1000.0


async def test_cap_counts_the_calls_of_every_lane(clock: ManualClock) -> None:
    """What must find room on the disk are the answers of all of them."""
    cap = ConcurrencyCap(8)
    first, second = (Lane(name, 8, None, clock=clock, uniform=lambda low, _: low, cap=cap) for name in "ab")
    await fill(first)
    await second.admit()
    assert second.cap.in_flight == first.cap.in_flight == START + 1


def test_what_a_lane_has_learned_is_a_value_that_each_answer_makes_anew() -> None:
    known = LaneLimit.start(64)
    refused = known.after_refusal(started=1.0, now=2.0, wait=None, uniform=lambda _low, high: high)
    assert (known.calls, refused.calls, refused.paused_until) == (START, START // 2, 3.0)
    assert refused.after_refusal(started=1.5, now=2.5, wait=0.1, uniform=lambda low, _high: low).calls == START // 2
    again = refused.after_refusal(started=4.0, now=5.0, wait=None, uniform=lambda _low, high: high)
    assert (again.calls, again.paused_until, again.hopeless) == (1, 7.0, None)
    grown = again.after_waiting().after_answer()
    assert (grown.calls, grown.episodes, grown.wanted) == (2, 0, False)
