"""The pool of a job that is bought by batches: hand bundles in, wait, take their answers in. All of it can be left.

Every step is in the books before the next depends on it, so a process that dies at any moment hands nothing in twice:
a bundle is written down under a token of our own, the gateway keeps that token, and whoever starts later asks for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from batchgen.domain.errors import BatchgenError, GatewayError
from batchgen.domain.events import Notice
from batchgen.engine.bundle import Bundler
from batchgen.engine.pool import Order, Pool

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds between two looks at what the gateway is working on
_MOST_OPEN = 8  # bundles at once
_TOGETHER = 60.0  # seconds: retries that are due so soon go with the same bundle, which may take a day
_LEAVE_WITHIN = 1.5


class BatchRunner(Pool):
    """Runs one job by batches. What the gateway works on when it is stopped or left is collected by a later run."""

    def __init__(self, order: Order, bundler: Bundler) -> None:
        super().__init__(order)
        self._job = order.job
        self._ledger = order.ledger
        self._bundler = bundler
        self._stopping = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._trouble = ""

    @property
    def in_flight(self) -> int:
        """Calls that are paid whatever this process does: none, the gateway works on bundles by itself."""
        return 0

    async def run(self, until: float | None = None) -> None:
        self._work = asyncio.create_task(self._until_done())
        alarm = asyncio.create_task(self._alarm(until)) if until is not None else None
        try:
            await self._work
        except asyncio.CancelledError:
            if not self.left:
                raise
        finally:
            if alarm is not None:
                alarm.cancel()

    def _halt(self) -> None:
        self._bundler.gate.close()
        self._stopping.set()

    async def _break_off(self) -> None:
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError, BatchgenError):
                await asyncio.wait({self._work}, timeout=_LEAVE_WITHIN)

    async def _until_done(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            moved = await self._advance()
            if self._stopping.is_set():
                break
            due = await self._hand_in() if not self._trouble else None
            bundles = await self._ledger.open_batches(self._job)
            if not bundles and due is None:
                return
            if moved or due == 0.0:
                wait = _FIRST_WAIT
                continue
            await self._rest(wait if bundles else max(due or 0.0, 0.05))
            wait = min(wait * 1.5, _LONGEST_WAIT)
        for row in await self._ledger.open_batches(self._job):
            where = row.remote or "not handed in yet"
            images = "1 image" if row.calls == 1 else f"{row.calls} images"
            self.explain(f"a batch of {images} is under way ({where}); the next run collects it")

    async def _advance(self) -> bool:
        """Take every open bundle one step further; whether one of them moved."""
        moved = False
        for row in await self._ledger.open_batches(self._job):
            if self._stopping.is_set():
                break
            try:
                moved |= await self._bundler.advance(row)
                self._trouble = ""
                if (why := self._bundler.gate.stopped or self._too_many_lost()) is not None:
                    self.stop(why)
            except GatewayError as error:
                if not error.passing:
                    self.stop(str(error))
                elif str(error) != self._trouble:
                    self._trouble = str(error)
                    self._emit(Notice(f"{error}; trying on"))
        return moved

    async def _hand_in(self) -> float | None:
        """Write a new bundle down: 0 when one was made, seconds until a retry is due, None where there is no work."""
        only, now = self._selection.only, self._clock.now()
        bundles = await self._ledger.open_batches(self._job)
        room = self._room(sum(row.calls for row in bundles))
        if len(bundles) >= _MOST_OPEN or room == 0:
            return None
        claims = await self._ledger.claim(self._job, room, now, (), only)
        due = await self._ledger.next_due(self._job, now, only)
        if due is not None and len(claims) < room and (not claims or due - now < _TOGETHER):
            return max(due - now, 0.05)
        if not claims:
            return None
        if pause := self._bundler.gate.pause:
            return pause
        made = await self._bundler.open(claims)
        if made:
            return 0.0
        if not bundles:
            self.stop(self._wall_reached())
        return None

    def _room(self, under_way: int) -> int:
        """How many more calls may be handed in."""
        wanted, most = self._selection.images, self._bundler.most_calls
        return most if wanted is None else max(0, min(most, wanted - self.tally.delivered - under_way))

    async def _rest(self, seconds: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({sleeping, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            stopping.cancel()
