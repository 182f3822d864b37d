"""The pool of a job that is bought by batches: hand bundles in, wait, take their answers in. All of it can be left.

Every step is in the books before the next depends on it, so a process that dies at any moment hands nothing in twice:
a bundle is written down under a token of our own, the gateway keeps that token, and whoever starts later asks for it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from batchgen.domain.clock import Clock
from batchgen.domain.errors import BatchgenError, GatewayError
from batchgen.domain.events import Listener, Notice, RunStopped
from batchgen.domain.job import Limits
from batchgen.engine.bookkeeper import Tally
from batchgen.engine.bundle import Bundler
from batchgen.engine.runner import BUDGET_REACHED, Runner, Selection, too_many_lost
from batchgen.ledger.ledger import Ledger

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds between two looks at what the gateway is working on
_MOST_OPEN = 8  # bundles at once
_TOGETHER = 60.0  # seconds: retries that are due so soon go with the same bundle, which may take a day
_LEAVE_WITHIN = 1.5


class BatchRunner:
    """Runs one job until nothing is left to buy, or until it is told to stop. Looks to others like a `Runner`."""

    def __init__(
        self,
        *,
        job: int,
        limits: Limits,
        selection: Selection,
        ledger: Ledger,
        bundler: Bundler,
        tally: Tally,
        clock: Clock,
        listener: Listener,
    ) -> None:
        self.stopped: str | None = None
        self.left = False
        self.tally = tally
        self.explained: list[str] = []
        self._job = job
        self._limits = limits
        self._selection = selection
        self._ledger = ledger
        self._bundler = bundler
        self._clock = clock
        self._emit = listener
        self._stopping = asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        self._trouble = ""

    @property
    def in_flight(self) -> int:
        """Calls that are paid whatever this process does: none, the gateway works on bundles by itself."""
        return 0

    async def run(self, until: float | None = None) -> None:
        """Hand in what is available, and take in what comes back.

        Args:
            until: seconds since the epoch after which this process waits no longer; None for no limit.

        Raises:
            BatchgenError: the books or the disk failed in a way that nothing may go on.
        """
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

    def stop(self, reason: str) -> None:
        """Hand nothing more in and wait no longer; what the gateway works on is collected by a later run."""
        if self.stopped is None:
            self.stopped = reason
            self._stopping.set()
            self._emit(RunStopped(reason))

    async def leave(self) -> None:
        """Break off at once; whatever step that interrupts is taken up by the next run."""
        self.left = True
        self.stop("left at once")
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError, BatchgenError):
                await asyncio.wait({self._work}, timeout=_LEAVE_WITHIN)

    def explain(self, text: str) -> None:
        """Something a person must know now, and again when the run has ended."""
        self.explained.append(text)
        self._emit(Notice(text))

    async def _until_done(self) -> None:
        wait = _FIRST_WAIT
        while not self._stopping.is_set():
            moved = await self._advance()
            why = self._bundler.stopped or too_many_lost(self.tally, self._limits)
            if why is not None:
                self.stop(why)
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
        made = await self._bundler.open(claims)
        if made:
            return 0.0
        if not bundles:
            self.stop(BUDGET_REACHED)
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

    async def _alarm(self, until: float) -> None:
        while (left := until - self._clock.now()) > 0:
            await self._clock.sleep(min(left, 30.0))
        self.stop("`limits.until` is reached")


AnyRunner = Runner | BatchRunner
"""What can be watched, stopped and left."""
