"""A job that is bought by batches: handed in, waited for, and their answers taken in. All of it can be broken off.

Every step is in the books before the next depends on it, so a process that dies at any moment hands nothing in twice:
a batch is written down under a token of our own, the gateway keeps that token, and whoever starts later asks for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from batchgen.domain.clock import sleep_or
from batchgen.domain.errors import BatchgenError, GatewayError
from batchgen.domain.events import Notice
from batchgen.engine.attempt import Executor
from batchgen.engine.batch.context import BatchContext
from batchgen.engine.batch.steps import BatchSteps
from batchgen.ledger.batches import BatchRow

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds between two looks at what the gateway is working on
_MOST_OPEN = 8  # batches at once
_TOGETHER = 60.0  # seconds: retries that are due so soon go with the same batch, which may take a day
_ABORT_WITHIN = 1.5


class BatchRunner:
    """Works a run off by batches. What the gateway works on when the run ends early is collected by a later one.

    Attributes:
        job_run: the run.
        batches: the steps of its batches.
    """

    def __init__(self, executor: Executor) -> None:
        self.job_run = executor.run
        self.batches = BatchSteps(BatchContext(executor))
        self._work: asyncio.Task[None] | None = None
        self._trouble = ""

    @property
    def in_flight(self) -> int:
        """Calls that are paid whatever this process does: none, the gateway works on batches by itself."""
        return 0

    async def run(self, until: float | None = None) -> None:
        """Buy what is available, and wait until the gateway has worked it off.

        Args:
            until: seconds since the epoch after which nothing new is begun; None for no limit.

        Raises:
            BatchgenError: the books or the disk failed in a way that nothing may go on.
        """
        self._work = asyncio.create_task(self._until_done())
        alarm = asyncio.create_task(self.job_run.drain_at(until)) if until is not None else None
        try:
            await self._work
        except asyncio.CancelledError:
            if not self.job_run.aborted:
                raise
        finally:
            if alarm is not None:
                alarm.cancel()

    async def abort(self) -> None:
        """Break off now; the next run takes up what is in the books."""
        self.job_run.abort()
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError, BatchgenError):
                await asyncio.wait({self._work}, timeout=_ABORT_WITHIN)

    async def _until_done(self) -> None:
        run = self.job_run
        wait = _FIRST_WAIT
        while not run.draining.is_set():
            moved = await self._advance()
            if run.draining.is_set():
                break
            due = await self._hand_in() if not self._trouble else None
            batches = await self._under_way()
            if not batches and due is None:
                return
            if moved or due == 0.0:
                wait = _FIRST_WAIT
                continue
            await sleep_or(run.clock, wait if batches else max(due or 0.0, 0.05), run.draining)
            wait = min(wait * 1.5, _LONGEST_WAIT)
        for row in await self._under_way():
            where = row.remote or "not handed in yet"
            images = "1 image" if row.calls == 1 else f"{row.calls} images"
            run.explain(f"a batch of {images} is under way ({where}); the next run collects it")

    async def _under_way(self) -> list[BatchRow]:
        """Return the open batches that this run can ask for."""
        rows = await self.job_run.ledger.open_batches(self.job_run.job)
        return [row for row in rows if row.id not in self.batches.waiting]

    async def _advance(self) -> bool:
        """Take every open batch one step further; tell whether one of them moved."""
        run = self.job_run
        moved = False
        for row in await self._under_way():
            if run.draining.is_set():
                break
            try:
                moved |= await self.batches.advance(row)
                self._trouble = ""
                if row.id in self.batches.waiting:
                    run.explain(self.batches.waiting[row.id])
                if (why := self.batches.gate.stopped or run.too_many_lost()) is not None:
                    run.drain(why)
            except GatewayError as error:
                if not error.passing:
                    run.drain(str(error))
                elif str(error) != self._trouble:
                    self._trouble = str(error)
                    run.emit(Notice(f"{error}; trying on"))
        return moved

    async def _hand_in(self) -> float | None:
        """Write a new batch down; return 0 for one that was made, seconds until a retry is due, None for no work."""
        run = self.job_run
        only, now = run.selection.only, run.clock.now()
        batches = await self._under_way()
        room = self._room(sum(row.calls for row in batches))
        if len(batches) >= _MOST_OPEN or room == 0:
            return None
        claims = await run.ledger.claim(run.job, room, now, (), only)
        due = await run.ledger.next_due(run.job, now, only)
        if due is not None and len(claims) < room and (not claims or due - now < _TOGETHER):
            return max(due - now, 0.05)
        if not claims:
            return None
        key = self.batches.gate.next_key(batches)
        if key is None and (why := self.batches.gate.stopped) is not None:
            run.drain(why)
            return None
        if key is None:
            return self.batches.gate.pause
        made = await self.batches.open(claims, key)
        if made:
            return 0.0
        if not batches:
            run.drain(run.wall_reached())
        return None

    def _room(self, under_way: int) -> int:
        """Return how many more calls may be handed in."""
        run = self.job_run
        wanted, most = run.selection.images, self.batches.most_calls
        return most if wanted is None else max(0, min(most, wanted - run.tally.delivered - under_way))
