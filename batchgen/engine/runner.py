"""The pool of a job that is bought call by call: takes tasks, lets lanes admit them, and knows when to stop."""

from __future__ import annotations

import asyncio

from batchgen.domain.clock import month_of
from batchgen.domain.errors import BatchgenError, StoreError
from batchgen.domain.events import Notice
from batchgen.domain.model import Claim
from batchgen.engine.delivery import Ended
from batchgen.engine.leg import Leg, Legs
from batchgen.engine.pool import Order, Pool
from batchgen.engine.queues import Queues

# Seconds for the books to take in what is given up; what they cannot take, the next start recovers.
_LEAVE_WITHIN = 1.5


class Runner(Pool):
    """Runs one job with calls of its own, over one route or several.

    Stopping means no new calls: those in flight are awaited. Leaving means now: calls in flight are given up and
    booked as unknown.
    """

    def __init__(self, order: Order, legs: Legs) -> None:
        super().__init__(order)
        self._legs = legs
        self._flights: dict[asyncio.Task[Ended], tuple[Claim, int]] = {}  # with what had been freed at their start
        self._gone = asyncio.Event()
        self._dispatchers: list[asyncio.Task[None]] = []
        self._error: BaseException | None = None
        self._walled_at: int | None = None  # what had been freed when a reservation was refused
        self._said_held = False
        self._queues = Queues(order.job, order.selection.only, order.ledger, legs, order.clock)

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    async def run(self, until: float | None = None) -> None:
        await self._queues.adopt()
        if self.stopped is None:  # before it began
            self._dispatchers = [asyncio.create_task(self._dispatch(leg)) for leg in self._legs.all]
        alarm = asyncio.create_task(self._alarm(until)) if until is not None else None
        gone = asyncio.create_task(self._gone.wait())
        try:
            await self._dispatched()
            while self._flights and not self._gone.is_set():
                await asyncio.wait({*self._flights, gone}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)  # let the callbacks take them out
        finally:
            gone.cancel()
            if alarm is not None:
                alarm.cancel()
        if waiting := len(self._queues.unserved):
            these = "1 task waits" if waiting == 1 else f"{waiting} tasks wait"
            self.explain(f"{these}: no route that is left takes what is asked")
        if unfetched := self.tally.unfetched:
            these = "1 paid image" if unfetched == 1 else f"{unfetched} paid images"
            self.explain(f"{these} could not be fetched; the next run tries those whose addresses still live")
        if self._error is not None:
            raise self._error

    def _halt(self) -> None:
        for leg in self._legs.all:
            leg.executor.stop()
        for dispatcher in self._dispatchers:
            dispatcher.cancel()

    async def _break_off(self) -> None:
        for leg in self._legs.all:
            leg.executor.leave()
        if self._flights:
            await asyncio.wait(self._flights, timeout=_LEAVE_WITHIN)
        self._gone.set()

    async def _dispatched(self) -> None:
        """Wait until no dispatcher begins anything any more; the first error stops them all."""
        waiting = set(self._dispatchers)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for dispatcher in done:
                if not dispatcher.cancelled() and (error := dispatcher.exception()) is not None:
                    self._fail(error)

    async def _dispatch(self, leg: Leg) -> None:
        """Begin one route's tasks as its lane admits them, until there are none or it is stopped."""
        try:
            while (claim := await self._next(leg)) is not None:
                leg.admitting = claim
                try:
                    ticket = await leg.lane.admit()
                finally:
                    leg.admitting = None
                if ticket is None:
                    leg.buffer.appendleft(claim)
                    self._queues.wake()
                    continue
                if (lost := self._too_many_lost()) is not None:
                    leg.lane.leave(ticket)
                    self.stop(lost)
                    return
                flight = asyncio.create_task(leg.executor.execute(claim, ticket))
                self._flights[flight] = claim, self.tally.freed
                flight.add_done_callback(self._landed)
                if not ticket.passed.is_set():
                    await ticket.passed.wait()
        finally:
            leg.ended = True
            self._queues.wake()

    async def _next(self, leg: Leg) -> Claim | None:
        """The next task of a route, once there is one; None when nothing is left that could become one."""
        while True:
            # Taken before the books are asked: what lands meanwhile wakes us, and they are asked again.
            now, idle, wait = self._clock.now(), not self._flights and not self._queues.admitting, None
            leg.changed.clear()
            if leg.lane.stopped is not None:
                if await self._gives_way(leg, now):
                    return None
            elif leg.buffer or await self._refill(leg, now):
                leg.dry = False
                full = self._full()
                if full is None and not self._held() and (claim := self._queues.take(leg)) is not None:
                    return claim
                if full is not None and idle:
                    self.stop(full)
            else:
                wait = await self._queues.rest(leg, now)
                if idle and self._nothing_left(leg):
                    return None
            await self._queues.change(leg, wait)

    def _nothing_left(self, leg: Leg) -> bool:
        """Whether no route has anything, nor can get it: nothing began, landed or was handed on since a leg looked."""
        return self._queues.empty and not self._flights and not leg.changed.is_set()

    async def _refill(self, leg: Leg, now: float) -> bool:
        return await self._queues.refill(leg, now, [claim for claim, _ in self._flights.values()])

    async def _gives_way(self, leg: Leg, now: float) -> bool:
        """Whether a stopped route can be left: another takes over, or its tasks stay as they are, or there are none."""
        heir = self._queues.inherit(leg)
        if heir is not None:
            self.explain(f"{leg.contract.route}: {leg.lane.stopped}. Going on over {heir.contract.route}")
            return True
        if leg.buffer or await self._refill(leg, now) or await self._queues.due(leg, now) is not None:
            if any(each.live for each in self._legs.all if each is not leg):
                self.explain(f"{leg.contract.route}: {leg.lane.stopped}. What waits for it is left as it is")
            else:
                self.stop(leg.lane.stopped or "")
            return True
        return not self._flights

    def _held(self) -> bool:
        """Whether nothing is begun before what is in flight has landed."""
        if not self._waits_for_addresses():
            self._said_held = False
            return False
        if (lost := self._too_many_lost()) is not None:
            self.stop(lost)
        elif not self._said_held:
            self._said_held = True
            self._emit(Notice("too many paid images cannot be fetched now; no new call is made until they can"))
        return True

    def _full(self) -> str | None:
        """Why no further task may be begun for the moment; what is in flight may yet change that."""
        wanted = self._selection.images
        if wanted is not None and self.tally.delivered + len(self._flights) + self._queues.admitting >= wanted:
            return f"--limit {wanted} is reached"
        if self._walled_at is not None and self.tally.freed <= self._walled_at and self._is_same_month():
            return self._wall_reached()
        return None

    def _is_same_month(self) -> bool:
        """Whether the month is still the one in which a reservation was refused; another has a ceiling of its own."""
        return self.tally.month == month_of(self._clock.now())

    def _landed(self, flight: asyncio.Task[Ended]) -> None:
        claim, freed = self._flights.pop(flight)
        self._queues.wake()
        if flight.cancelled():
            return
        error = flight.exception()
        if isinstance(error, StoreError):
            self.stop(str(error))
        elif error is not None:
            self._fail(error)
        elif flight.result() is Ended.NO_BUDGET:
            self._queues.put_back(claim)
            self._walled_at = freed

    def _fail(self, error: BaseException) -> None:
        """The first error wins; nothing new is begun after it."""
        if self._error is None:
            self._error = error
        self.stop(str(error) if isinstance(error, BatchgenError) else f"internal error: {error!r}")
