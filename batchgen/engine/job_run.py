"""One run of a job, as those who start, work for, watch and end it see it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TypeVar

from batchgen.domain.clock import Clock
from batchgen.domain.events import Listener, Notice, RunStopped
from batchgen.domain.job import Limits
from batchgen.domain.walls import NO_WALLS, Walls
from batchgen.engine.bookkeeper import Tally
from batchgen.engine.routes import Routes
from batchgen.ledger.ledger import Ledger
from batchgen.policy.backoff import Uniform

T = TypeVar("T")

LEFT = "left at once"
PATIENCE = 3600.0  # seconds for which a gateway that is down is waited for, where the job does not say until when
_LOOK = 30.0  # seconds between looks at the wall clock, which may be set meanwhile


@dataclass(frozen=True, slots=True)
class Selection:
    """What part of a job this run is about.

    Attributes:
        only: prompt keys; None for all.
        images: how many images to buy at most; None for no limit.
    """

    only: frozenset[str] | None = None
    images: int | None = None


class Cancellable:
    """The tasks that wait for a gateway or for a storage, the only part of a claim that may be given up."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Task[object]] = set()

    async def wait(self, wire: Coroutine[object, object, T]) -> T:
        """Await the other side.

        Raises:
            asyncio.CancelledError: it was given up.
        """
        flight = asyncio.current_task()
        if flight is None:
            return await wire
        self._waiting.add(flight)
        try:
            return await wire
        finally:
            self._waiting.discard(flight)

    def abort(self) -> None:
        """Cancel all that waits."""
        for flight in self._waiting:
            flight.cancel()


class JobRun:
    """What a run may do, what it has done, and why it begins nothing new any more. It is made before its routes.

    Attributes:
        job: its number in the ledger.
        number: that of the run in the books; None while no call may be made.
        walls: what the run may spend.
        open: images that were still to be bought when it began.
        tally: what all routes have done so far.
        routes: empty until it is assembled.
        wire: what waits for a gateway or for a storage.
        stopped: why nothing new is begun; None while it is.
        draining: set with it.
        leaving: set when a person wants to go: what a gateway works on under a number is left to the next run.
        aborted: whether it was broken off.
        explained: what a person must know, in the order in which it was found out.
    """

    def __init__(
        self,
        job: int,
        limits: Limits,
        selection: Selection,
        ledger: Ledger,
        *,
        clock: Clock,
        uniform: Uniform,
        listener: Listener,
        number: int | None = None,
        walls: Walls = NO_WALLS,
        tasks: int = 0,
    ) -> None:
        self.job = job
        self.limits = limits
        self.selection = selection
        self.ledger = ledger
        self.clock = clock
        self.uniform = uniform
        self.emit = listener
        self.number = number
        self.walls = walls
        self.open = tasks
        self.tally = Tally()
        self.routes = Routes()
        self.wire = Cancellable()
        self.stopped: str | None = None
        self.draining = asyncio.Event()
        self.leaving = asyncio.Event()
        self.aborted = False
        self.explained: list[str] = []

    def left(self) -> int:
        """Return how many images are still to be bought, as far as is known."""
        return max(0, self.open - self.tally.delivered)

    def drain(self, reason: str) -> None:
        """Begin nothing new; what is in flight goes on to its end. The first reason stands."""
        if self.stopped is None:
            self.stopped = reason
            self.draining.set()
            self.routes.drain()
            self.emit(RunStopped(reason))

    def leave(self, reason: str) -> None:
        """Begin nothing new, and let the next run see to what gateways work on under a number."""
        self.leaving.set()
        self.drain(reason)

    def abort(self) -> None:
        """Begin nothing new, and give up every call and download in flight; answers that are there are still placed."""
        self.aborted = True
        self.leave(LEFT)
        self.wire.abort()

    async def drain_at(self, until: float) -> None:
        """Wait for a moment, in seconds since the epoch, then begin nothing new."""
        while (left := until - self.clock.now()) > 0:
            await self.clock.sleep(min(left, _LOOK))
        self.drain("`limits.until` is reached")

    def explain(self, text: str) -> None:
        """Say something that a person must know now, and again when the run has ended."""
        self.explained.append(text)
        self.emit(Notice(text))

    def wall_reached(self) -> str:
        """Say why nothing more may be spent, by the wall that a reservation met last."""
        return self.walls.reached(self.tally.wall, self.tally.month)

    @property
    def patience(self) -> float:
        """Seconds for which a gateway that is down is waited for."""
        if self.limits.patience is not None:
            return self.limits.patience
        return PATIENCE if self.limits.until is None else float("inf")

    def too_many_lost(self) -> str | None:
        """Say why a run must not go on that loses so many answers, or paid images; None while it may."""
        tally = self.tally
        if tally.lost > self._most_lost and not any(route.health.is_doubtful for route in self.routes):
            return (
                f"{tally.lost} of {max(tally.calls, tally.lost)} answers were lost in this run; "
                "look at the connection and at `batchgen report`, then run again"
            )
        if tally.unfetched > self._most_lost:
            return (
                f"{tally.unfetched} paid images could not be fetched from their addresses; look at the connection and "
                "at `batchgen report`. The next run first tries those that still live, without a call, and then buys on"
            )
        return None

    def waits_for_addresses(self) -> bool:
        """Tell whether so many paid addresses cannot be fetched that nothing more is bought before they can."""
        return self.tally.slow + self.tally.unfetched > self._most_lost

    @property
    def _most_lost(self) -> int:
        total = self.limits.unknown_total
        return total if total is not None else max(10, self.tally.calls // 20)
