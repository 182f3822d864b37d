"""Who gets a place, who may send, and who waits, on a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from batchgen.engine.lane import ConcurrencyCap, Lane, Ticket
from batchgen.policy.lanes.known_pace import KnownPace
from batchgen.policy.lanes.rule import LaneRule
from batchgen.policy.lanes.standstill import PATIENCE, Standstill

if TYPE_CHECKING:
    from tests.conftest import ManualClock

MOMENT = 1.0


def lane(
    clock: ManualClock, ceiling: int = 64, rate: float | None = None, burst: int = 1, cap: ConcurrencyCap | None = None
) -> Lane:
    known = None if rate is None else KnownPace(rate, burst)
    rule = LaneRule.start(ceiling, MOMENT, known)
    return Lane("test", rule, clock=clock, uniform=lambda _low, high: high, cap=cap)


async def call(of: Lane) -> Ticket:
    """Make a call that is in flight from now on."""
    ticket = await of.admit()
    assert ticket is not None
    assert await of.wait_turn(ticket)
    return ticket


async def burst(of: Lane, clock: ManualClock, most: int = 100) -> list[Ticket]:
    """Make all the calls that may be made at this moment."""
    tickets = []
    while len(tickets) < most:
        waiting = asyncio.ensure_future(call(of))
        await clock.settle()
        if not waiting.done():
            waiting.cancel()
            await clock.settle()
            break
        tickets.append(waiting.result())
    return tickets


@pytest.mark.parametrize(("rate", "seconds"), [(5.0, 60), (0.5, 100), (100.0, 10)])
async def test_known_rate_is_used_to_half_a_percent_and_never_exceeded(
    clock: ManualClock, rate: float, seconds: int
) -> None:
    one, sent = lane(clock, rate=rate), []

    async def work() -> None:
        while True:
            ticket = await call(one)
            sent.append(clock.monotonic())
            one.release(ticket)
            one.answered(ticket)

    working = asyncio.create_task(work())
    await clock.advance(seconds)
    working.cancel()
    assert 0.994 * rate * seconds <= len(sent) <= rate * seconds + 1
    assert min(b - a for a, b in itertools.pairwise(sent)) >= 0.98 / rate


async def test_burst_goes_at_once_and_the_rate_holds_what_follows(clock: ManualClock) -> None:
    one = lane(clock, rate=5.0, burst=20)
    one.rule = one.rule._replace(careful=False)
    for _ in range(2):
        assert len(await burst(one, clock)) == 19  # one is left for what is late on its way
        await clock.advance(4)  # and in these the bucket is full again


async def test_lane_opens_with_time_and_without_an_answer(clock: ManualClock) -> None:
    one, seen = lane(clock), []
    for _ in range(14):
        await burst(one, clock)
        seen.append(one.in_flight)
        await clock.advance(MOMENT)
    assert seen[:4] == [4, 8, 12, 16]
    assert seen[-1] == 64


async def test_refused_lane_stays_below_and_goes_on_when_something_comes_back(clock: ManualClock) -> None:
    one = lane(clock)
    for _ in range(5):
        await burst(one, clock)
        await clock.advance(MOMENT)
    last = await burst(one, clock)
    await clock.advance(0.5)
    for ticket in last:
        one.release(ticket)
        one.refused(ticket, None)
    held = one.in_flight
    assert one.limit == held
    assert await burst(one, clock) == []


async def test_single_refusal_among_calls_that_are_taken_does_not_hold_the_lane_for_long(clock: ManualClock) -> None:
    one = lane(clock)
    first = await burst(one, clock)
    await clock.advance(0.5)
    one.release(first[0])
    one.refused(first[0], None)
    for _ in range(20):
        await burst(one, clock)
        await clock.advance(MOMENT)
    assert one.in_flight == 64


async def test_lane_admits_nobody_before_the_long_pause_that_the_gateway_asked_for_is_over(clock: ManualClock) -> None:
    one = lane(clock)
    ticket = await call(one)
    assert one.refused(ticket, 12.0) == 12.0
    one.release(ticket)
    waiting = asyncio.ensure_future(call(one))
    await clock.advance(11.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert waiting.done()


async def test_short_pause_is_the_refused_task_s_and_not_the_lane_s(clock: ManualClock) -> None:
    one = lane(clock)
    ticket = await call(one)
    await clock.advance(0.1)
    one.release(ticket)
    assert one.refused(ticket, 1.0) == 1.0
    assert len(await burst(one, clock)) == 1


async def test_calls_that_never_left_pause_the_lane_longer_each_time_and_teach_nothing(clock: ManualClock) -> None:
    one, pauses = lane(clock), []
    before = one.rule
    for _ in range(4):
        waiting = asyncio.ensure_future(call(one))
        await clock.advance(120)
        ticket = waiting.result()
        pauses.append(one.failed(ticket, None, left=False))
        one.release(ticket)
    assert pauses == [1.0, 2.0, 4.0, 8.0]
    assert one.rule.limit == before.limit
    assert (one.rule.taken.calls, one.rule.taken.unproven) == (0, ())


async def test_lane_gives_turns_at_the_pace_and_none_once_it_is_closed(clock: ManualClock) -> None:
    one, turns = lane(clock, rate=5.0), []

    async def work() -> None:
        ticket = await one.admit()
        if ticket is None:
            return
        if await one.wait_turn(ticket):
            turns.append(clock.monotonic())
        one.release(ticket)

    for _ in range(4):
        task = asyncio.create_task(work())
        await clock.advance(1)
        await task
    waiting = [asyncio.create_task(work()) for _ in range(3)]
    await clock.settle()
    one.drain()
    await clock.settle()
    assert all(task.done() for task in waiting)
    assert len(turns) == 5
    assert one.in_flight == 0


async def test_few_calls_are_ready_before_their_turn(clock: ManualClock) -> None:
    """Each that is reserved and not sent would be booked as maybe charged by a crash."""
    one = lane(clock, rate=0.5)
    await call(one)
    waiting = [asyncio.ensure_future(one.admit()) for _ in range(5)]
    await clock.advance(1.9)
    assert not any(each.done() for each in waiting)
    await clock.advance(0.1)
    assert sum(each.done() for each in waiting) == 1
    one.drain()
    await clock.settle()


async def test_turns_are_taken_in_the_order_of_those_who_wait(clock: ManualClock) -> None:
    one, order = lane(clock, rate=100.0), []

    async def work(number: int, ticket: Ticket) -> None:
        assert await one.wait_turn(ticket)
        order.append(number)

    tickets = [one.occupy() for _ in range(5)]
    working = [asyncio.create_task(work(number, ticket)) for number, ticket in enumerate(tickets)]
    await clock.advance(1)
    await asyncio.gather(*working)
    assert order == [0, 1, 2, 3, 4]


async def test_stopped_lane_turns_away_whoever_waits(clock: ManualClock) -> None:
    one = lane(clock)
    await burst(one, clock)
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
        waiting = asyncio.ensure_future(call(one))
        await clock.advance(PATIENCE)
        assert one.stopped is None
        one.refused(waiting.result(), PATIENCE - 1)
        one.release(waiting.result())
    assert one.stopped is not None
    assert "60 minutes" in one.stopped


async def test_lane_goes_on_after_a_night_that_the_process_slept_through(clock: ManualClock) -> None:
    """What nobody asked in this time was refused by nobody."""
    one = lane(clock)
    for _ in range(4):
        waiting = asyncio.ensure_future(call(one))
        await clock.advance(8 * PATIENCE)
        one.refused(waiting.result(), 10.0)
        one.release(waiting.result())
        assert one.stopped is None


async def test_lane_stops_at_once_when_the_pause_asked_for_is_longer_than_a_run_waits(clock: ManualClock) -> None:
    one = lane(clock)
    one.refused(await call(one), 2 * PATIENCE)
    assert one.stopped is not None
    assert "a pause of 120 minutes" in one.stopped


async def test_stop_is_heard_by_who_just_began_to_wait_for_a_cooldown(clock: ManualClock) -> None:
    """An answer that pauses the lane and one that stops it may come in the same moment."""
    one = lane(clock)
    one.refused(await call(one), 1000.0)
    waiting = asyncio.create_task(one.admit())
    await asyncio.sleep(0)  # it has begun, and what it began has not
    one.stop("no quota")
    assert await asyncio.wait_for(waiting, 5) is None
    assert clock.monotonic() < 1000.0


async def test_nobody_sleeps_on_when_several_wait_and_something_changes(clock: ManualClock) -> None:
    one = lane(clock, ceiling=1)
    ticket = await call(one)
    waiting = [asyncio.create_task(one.admit()) for _ in range(3)]
    await asyncio.sleep(0)  # they have begun, and what they began has not
    one.release(ticket)
    one.answered(ticket)
    await clock.settle()
    assert sum(each.done() for each in waiting) == 1
    one.drain()
    await clock.settle()


async def test_cap_counts_the_calls_of_every_lane(clock: ManualClock) -> None:
    """What must find room on the disk are the answers of all of them."""
    cap = ConcurrencyCap(6)
    first, second = lane(clock, cap=cap), lane(clock, cap=cap)
    assert len(await burst(first, clock)) == 4
    assert len(await burst(second, clock)) == 2
    assert second.cap.in_flight == first.cap.in_flight == 6


def test_standstill_is_a_value_that_each_failure_makes_anew() -> None:
    refused = Standstill().after_failure(1.0, 2.0, None, lambda _low, high: high)
    assert (refused.episodes, refused.until) == (1, 3.0)
    assert refused.after_failure(1.5, 2.5, 0.1, lambda low, _high: low).episodes == 1  # it was under way already
    again = refused.after_failure(4.0, 5.0, None, lambda _low, high: high)
    assert (again.episodes, again.until, again.hopeless) == (2, 7.0, None)
    assert again.over().episodes == 0


async def test_lane_that_looks_late_takes_longer_to_hold_a_call_for_taken_in(clock: ManualClock) -> None:
    """What has come lies unread meanwhile, and may be a refusal."""
    one = lane(clock, rate=1.0)
    before = one.rule.taken.moment
    await call(one)
    waiting = asyncio.ensure_future(call(one))
    await clock.settle()
    clock.elapsed += 3.0  # nobody is woken in all that time
    await clock.advance(0.0)
    assert waiting.done()
    assert one.rule.taken.moment > before


async def test_lane_goes_on_with_a_quarter_of_its_calls_after_an_outage(clock: ManualClock) -> None:
    one, tickets = lane(clock), list[Ticket]()
    while len(tickets) < 64:
        tickets += await burst(one, clock)
        await clock.advance(MOMENT)
    for ticket in tickets:
        one.answered(ticket)
        one.release(ticket)
    again = await burst(one, clock)
    assert len(again) == 64
    for ticket in again:
        one.release(ticket)
    await clock.advance(MOMENT)
    one.failed(again[0], 600.0, left=True)
    one.begin_anew()
    assert 16 <= len(await burst(one, clock)) <= 20


async def test_call_that_never_left_in_an_outage_makes_nobody_wait(clock: ManualClock) -> None:
    one = lane(clock)
    ticket = await call(one)
    before = one.rule.taken
    one.unsent(ticket)
    one.release(ticket)
    assert one.rule.taken.unproven == before.unproven[:-1]
    assert one.standstill == Standstill()
    assert await burst(one, clock, 1)
