"""Everything in flight that shares one quota: how many at once, how fast, and when to wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from batchgen.domain.clock import Clock, first_of, sleep_or
from batchgen.engine.lane_limit import LaneLimit
from batchgen.engine.pace import Pace
from batchgen.policy.backoff import Uniform


@dataclass(slots=True)
class Ticket:
    """One place in the lane, from before the reservation to the end of the call.

    Attributes:
        started: on the monotonic clock.
        lane: whose place it is.
        passed: set once the call has had its turn in the pace, or needs none.
    """

    started: float
    lane: Lane
    passed: asyncio.Event

    def __enter__(self) -> None:
        """Hold the place until the block ends."""

    def __exit__(self, *_: object) -> None:
        self.lane.release(self)


class ConcurrencyCap:
    """All calls in flight of a run, over every lane.

    Args:
        most: at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.lanes: list[Lane] = []

    @property
    def in_flight(self) -> int:
        """Calls over every lane."""
        return sum(lane.in_flight for lane in self.lanes)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more."""
        return self.in_flight >= self.most

    def freed(self) -> None:
        """Have whoever waits in any lane look again, because a place is free."""
        for lane in self.lanes:
            lane.wake()


class Lane:
    """The places of one (provider, key, model family): who gets one, and who waits for it.

    How many there are is learned (see `LaneLimit`). A pause is the lane's, never a task's: tasks that wait hold no
    place.

    Attributes:
        learned: what the answers so far have taught of the gateway.
        stopped: why no call can succeed now; None while one may.
    """

    def __init__(
        self,
        name: str,
        ceiling: int,
        rate: float | None,
        *,
        clock: Clock,
        uniform: Uniform,
        cap: ConcurrencyCap | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Make a lane; `pace` is one that it shares with other lanes, in place of its own at `rate`."""
        self.name = name
        self.learned = LaneLimit.start(ceiling)
        self.in_flight = 0
        self.stopped: str | None = None
        self.cap = cap or ConcurrencyCap(ceiling)
        self.cap.lanes.append(self)
        self._pace = pace or (Pace(rate, clock) if rate else None)
        self._clock = clock
        self._uniform = uniform
        self._changed = asyncio.Event()
        self._draining = asyncio.Event()

    @property
    def limit(self) -> int:
        """How many calls may be in flight now."""
        return self.learned.calls

    @property
    def ready(self) -> bool:
        """Whether a call would be let in at once."""
        free = self.in_flight < self.limit and not self.cap.full
        return free and self.learned.paused_until <= self._clock.monotonic()

    async def admit(self) -> Ticket | None:
        """Wait for a place and for the cooldown; None once the lane is told to stop."""
        while self.stopped is None and not self._draining.is_set():
            wait = self.learned.paused_until - self._clock.monotonic()
            if wait > 0:
                self._changed.clear()
                await sleep_or(self._clock, wait, self._changed)
            elif self.in_flight >= self.limit:
                self.learned = self.learned.after_waiting()
                await self._change()
            elif self.cap.full:
                await self._change()
            else:
                break
        if self.stopped is not None or self._draining.is_set():
            return None
        ticket = self.occupy()
        if self._pace is not None:
            ticket.passed.clear()
        return ticket

    def occupy(self) -> Ticket:
        """Take a place at once, for a call that the gateway works on already."""
        self.in_flight += 1
        ticket = Ticket(self._clock.monotonic(), self, asyncio.Event())
        ticket.passed.set()
        return ticket

    async def wait_turn(self, ticket: Ticket) -> bool:
        """Wait for this call's turn in the pace, the last thing before it is sent; False when it is not to be sent.

        The dispatcher lets nobody else in before `ticket.passed`, so that the pace has one waiter and what varies
        between two turns and two requests is the way to the gateway alone.
        """
        if self._pace is not None:
            await first_of(self._pace.acquire(), self._draining.wait())
        ticket.passed.set()
        return self.stopped is None and not self._draining.is_set()

    def release(self, ticket: Ticket) -> None:
        """Give a place back."""
        self.in_flight -= 1
        ticket.passed.set()
        self.cap.freed()

    def drain(self) -> None:
        """Let no call go that has not gone yet; those in flight are awaited."""
        self._draining.set()
        self.wake()

    def succeeded(self) -> None:
        """Learn that the gateway answered as it should."""
        before, self.learned = self.learned, self.learned.after_answer()
        if self.learned.calls > before.calls:
            self.wake()

    def throttled(self, ticket: Ticket, wait: float | None) -> float:
        """Learn that the gateway wants a pause, or cannot be reached; give the seconds of it.

        Args:
            ticket: that of the call.
            wait: seconds that the gateway asks for; None when it does not say.
        """
        now = self._clock.monotonic()
        self.learned = self.learned.after_refusal(ticket.started, now, wait, self._uniform)
        if self.learned.hopeless is not None:
            self.stop(f"{self.name} {self.learned.hopeless}")
        return self.learned.pause

    def stop(self, why: str) -> None:
        """Let no more calls through this lane."""
        if self.stopped is None:
            self.stopped = why
            self.drain()

    def wake(self) -> None:
        """Have whoever waits here look again."""
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
