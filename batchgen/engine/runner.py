"""The pool: takes tasks from the ledger, lets lanes admit them, and knows when to stop."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from batchgen.domain.clock import Clock
from batchgen.domain.errors import BatchgenError, StoreError
from batchgen.domain.events import Listener, RunStopped
from batchgen.domain.job import Limits
from batchgen.domain.model import Claim
from batchgen.engine.attempt import Executor
from batchgen.engine.bookkeeper import Tally
from batchgen.engine.delivery import Ended
from batchgen.engine.lane import Lane
from batchgen.ledger.ledger import Ledger
from batchgen.policy.decide import LONGEST_DELAY

BUDGET_REACHED = "the budget is reached"
# Seconds for the books to take in what is given up; what they cannot take, the next start recovers.
_LEAVE_WITHIN = 1.5


@dataclass(frozen=True, slots=True)
class Selection:
    """What part of a job this run is about.

    Attributes:
        only: prompt keys; None for all.
        images: how many images to buy at most; None for no limit.
    """

    only: frozenset[str] | None = None
    images: int | None = None


class Runner:
    """Runs one job until nothing is left to buy, or until it is told to stop.

    Stopping means no new calls: those in flight are awaited. Leaving means now: calls in flight are given up and
    booked as unknown.
    """

    def __init__(
        self,
        *,
        job: int,
        limits: Limits,
        selection: Selection,
        ledger: Ledger,
        executor: Executor,
        lane: Lane,
        clock: Clock,
        listener: Listener,
    ) -> None:
        self.stopped: str | None = None
        self.left = False
        self._job = job
        self._limits = limits
        self._selection = selection
        self._ledger = ledger
        self._executor = executor
        self._lane = lane
        self._clock = clock
        self._emit = listener
        self._buffer: deque[Claim] = deque()
        self._flights: dict[asyncio.Task[Ended], tuple[Claim, int]] = {}  # with what had been freed at their start
        self._changed = asyncio.Event()
        self._gone = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None
        self._error: BaseException | None = None
        self._budget_full_at: int | None = None

    @property
    def tally(self) -> Tally:
        """What this run has done so far."""
        return self._executor.tally

    @property
    def in_flight(self) -> int:
        """Tasks between their reservation and their settlement."""
        return len(self._flights)

    async def run(self, until: float | None = None) -> None:
        """Buy what is available, and wait for all that is in flight.

        Args:
            until: seconds since the epoch at which no new call is made; None for no limit.

        Raises:
            BatchgenError: the books or the disk failed in a way that nothing may go on.
        """
        self._dispatcher = asyncio.create_task(self._dispatch())
        alarm = asyncio.create_task(self._alarm(until)) if until is not None else None
        gone = asyncio.create_task(self._gone.wait())
        try:
            await asyncio.wait({self._dispatcher})
            if not self._dispatcher.cancelled() and (error := self._dispatcher.exception()) is not None:
                self._fail(error)
            while self._flights and not self._gone.is_set():
                await asyncio.wait({*self._flights, gone}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)  # let the callbacks take them out
        finally:
            gone.cancel()
            if alarm is not None:
                alarm.cancel()
        if self._error is not None:
            raise self._error

    def stop(self, reason: str) -> None:
        """Make no new calls; those in flight go on to their end."""
        if self.stopped is None:
            self.stopped = reason
            self._executor.stop()
            if self._dispatcher is not None:
                self._dispatcher.cancel()
            self._emit(RunStopped(reason))

    async def leave(self) -> None:
        """Give up what is in flight. Its calls are booked as unknown before this returns."""
        self.left = True
        self.stop("left at once")
        self._executor.leave()
        if self._flights:
            await asyncio.wait(self._flights, timeout=_LEAVE_WITHIN)
        self._gone.set()

    async def _dispatch(self) -> None:
        while (claim := await self._next()) is not None:
            ticket = await self._lane.admit()
            refusal = self._lane.stopped or self._too_many_lost()
            if ticket is None or refusal is not None:
                self.stop(refusal or "the lane was stopped")
                return
            flight = asyncio.create_task(self._executor.execute(claim, ticket))
            self._flights[flight] = claim, self.tally.freed
            flight.add_done_callback(self._landed)
            if not ticket.passed.is_set():
                await ticket.passed.wait()

    async def _next(self) -> Claim | None:
        """The next task, once there is one; None when nothing is left that could become one."""
        while True:
            # Taken before the books are asked: what lands meanwhile wakes us, and they are asked again.
            now, idle = self._clock.now(), not self._flights
            self._changed.clear()
            if not self._buffer and not await self._refill(now):
                due = await self._ledger.next_due(self._job, now, self._selection.only)
                if idle and due is None:
                    return None
                await self._change(None if due is None else due - now)
                continue
            full = self._full()
            if full is None:
                return self._buffer.popleft()
            if not self._flights:
                self.stop(full)
                return None
            await self._change(None)

    async def _refill(self, now: float) -> bool:
        """Take a few tasks: as many as are begun soon, so that retries do not wait behind a long buffer."""
        held = {claim.task for claim, _ in self._flights.values()}
        few, only = 2 * self._lane.limit, self._selection.only
        claims = await self._ledger.claim(self._job, few, now, held, only)
        if not claims:
            due = await self._ledger.next_due(self._job, now, only)
            if due is not None and due - now > 2 * LONGEST_DELAY:  # nobody waits so long: the wall clock went back
                claims = await self._ledger.claim(self._job, few, due, held, only)
        self._buffer.extend(claims)
        return bool(self._buffer)

    def _full(self) -> str | None:
        """Why no further task may be begun for the moment; what is in flight may yet change that."""
        wanted = self._selection.images
        if wanted is not None and self.tally.delivered + len(self._flights) >= wanted:
            return f"--limit {wanted} is reached"
        if self._budget_full_at is not None and self.tally.freed <= self._budget_full_at:
            return BUDGET_REACHED
        return None

    def _landed(self, flight: asyncio.Task[Ended]) -> None:
        claim, freed = self._flights.pop(flight)
        self._changed.set()
        if flight.cancelled():
            return
        error = flight.exception()
        if isinstance(error, StoreError):
            self.stop(str(error))
        elif error is not None:
            self._fail(error)
        elif flight.result() is Ended.NO_BUDGET:
            self._buffer.appendleft(claim)
            self._budget_full_at = freed

    def _too_many_lost(self) -> str | None:
        total = self._limits.unknown_total
        if self.tally.lost <= (total if total is not None else max(10, self.tally.calls // 20)):
            return None
        return (
            f"{self.tally.lost} of {self.tally.calls} answers were lost in this run; "
            "look at the connection and at `batchgen report`, then run again"
        )

    def _fail(self, error: BaseException) -> None:
        """The first error wins; nothing new is begun after it."""
        if self._error is None:
            self._error = error
        self.stop(str(error) if isinstance(error, BatchgenError) else f"internal error: {error!r}")

    async def _change(self, seconds: float | None) -> None:
        """Wait until something has landed since `_next` began to look, or so long."""
        if seconds is None:
            await self._changed.wait()
            return
        changing = asyncio.ensure_future(self._changed.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait({changing, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changing.cancel()
            sleeping.cancel()

    async def _alarm(self, until: float) -> None:
        while (left := until - self._clock.now()) > 0:
            await self._clock.sleep(min(left, 30.0))
        self.stop("`limits.until` is reached")
