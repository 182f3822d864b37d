"""Everything in flight that shares one quota: how many at once, how fast, and when to wait."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from batchgen.domain.clock import Clock, first_of, sleep_or
from batchgen.engine.pace import Pace
from batchgen.policy.backoff import Backoff, Uniform

START = 4
# A gateway that has let nothing through for so long is not busy, it is gone. Seconds.
PATIENCE = 3600.0
# Seconds that a call takes at most; what passes beyond it and its pause is this process's own sleep.
_CALL = 900.0
# Among so many answers, less than one in so many that asks for a pause is chance: the lane waits and stays as it is.
_WINDOW = 20
_SPORADIC = 5


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
    """Throttle, adaptive limit and cooldown of one (provider, key, model family).

    The limit starts at a few, doubles with every round of answers while the gateway keeps up, halves once per episode
    of 429s (a lone one only pauses it), and from then on grows by one per round. A pause is the lane's, never a task's:
    tasks that wait hold no place.
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
    ) -> None:
        self.name = name
        self.ceiling = ceiling
        self.limit = min(START, ceiling)
        self.in_flight = 0
        self.stopped: str | None = None
        self._pace = Pace(rate, clock) if rate else None
        self._clock = clock
        self._uniform = uniform
        self._backoff = Backoff(base=1.0, cap=60.0)
        self._doubling = True
        self._round = 0
        self._saturated = False
        self._cooldown_until = 0.0
        self._last_pause = float("-inf")
        self._halved = False
        self._episodes = 0
        self._refused_for = 0.0
        self._pause = 0.0
        self._changed = asyncio.Event()
        self._draining = asyncio.Event()
        self.cap = cap or ConcurrencyCap(ceiling)
        self.cap.lanes.append(self)
        self._answers: deque[bool] = deque(maxlen=_WINDOW)  # whether each of the last ones asked for a pause

    async def admit(self) -> Ticket | None:
        """Wait for a place and for the cooldown; None once the lane is told to stop."""
        while self.stopped is None and not self._draining.is_set():
            wait = self._cooldown_until - self._clock.monotonic()
            if wait > 0:
                self._changed.clear()
                await sleep_or(self._clock, wait, self._changed)
            elif self.in_flight >= self.limit:
                self._saturated = True
                await self._change()
            elif self.cap.full:
                await self._change()
            else:
                break
        if self.stopped is not None or self._draining.is_set():
            return None
        self.in_flight += 1
        ticket = Ticket(self._clock.monotonic(), self, asyncio.Event())
        if self._pace is None:
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
        """The gateway answered as it should; after a round of such answers the limit grows."""
        self._answers.append(False)
        self._episodes = 0
        self._round += 1
        if self._round < self.limit:
            return
        if self._saturated and self.limit < self.ceiling:
            self.limit = min(self.ceiling, self.limit * 2 if self._doubling else self.limit + 1)
            self.wake()
        self._round = 0
        self._saturated = False

    def throttled(self, ticket: Ticket, wait: float | None) -> float:
        """The gateway wants a pause, or cannot be reached. Gives the seconds of it.

        Calls that were under way when an episode began belong to it, and one episode halves the limit once.
        """
        now = self._clock.monotonic()
        self._answers.append(True)
        if ticket.started > self._last_pause:
            lasted = min(now - self._last_pause, self._pause + _CALL)
            self._refused_for = self._refused_for + lasted if self._episodes else 0.0
            self._last_pause = now
            self._halved = False
            self._episodes += 1
        if not self._halved and sum(self._answers) * _SPORADIC >= len(self._answers):
            self.limit = max(1, self.limit // 2)
            self._halved = True
            self._doubling = False
            self._answers.clear()
        self._round = 0
        pause = wait if wait is not None else self._backoff.delay(self._episodes, self._uniform)
        self._pause = pause
        self._cooldown_until = max(self._cooldown_until, now + pause)
        if pause > PATIENCE:
            self.stop(f"{self.name} asks for a pause of {pause / 60:.0f} minutes; run again then")
        elif self._refused_for + pause > PATIENCE:
            self.stop(f"{self.name} has let nothing through for {PATIENCE / 60:.0f} minutes; run again later")
        return pause

    def stop(self, why: str) -> None:
        """No more calls through this lane."""
        if self.stopped is None:
            self.stopped = why
            self.drain()

    def wake(self) -> None:
        """Have whoever waits here look again."""
        self._changed.set()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
