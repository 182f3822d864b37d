"""What every kind of run is to those who start, watch and stop it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from batchgen.domain.clock import Clock
from batchgen.domain.events import Listener, Notice, RunStopped
from batchgen.domain.job import Limits
from batchgen.domain.walls import NO_WALLS, Walls
from batchgen.engine.bookkeeper import Tally
from batchgen.ledger.ledger import Ledger

LEFT = "left at once"
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


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run, and with what.

    Attributes:
        job: its number in the ledger.
        tally: counts of this run, which others add to as well.
        walls: what the run may spend.
    """

    job: int
    limits: Limits
    selection: Selection
    ledger: Ledger
    tally: Tally
    clock: Clock
    listener: Listener
    walls: Walls = NO_WALLS


class Pool(ABC):
    """Runs one job until nothing is left to buy, or until it is told to stop.

    Attributes:
        stopped: why nothing new is begun, None while it is.
        left: whether it was broken off.
        explained: what a person must know, in the order in which it was found out.
    """

    def __init__(self, order: Order) -> None:
        self.stopped: str | None = None
        self.left = False
        self.tally = order.tally
        self.explained: list[str] = []
        self._limits = order.limits
        self._selection = order.selection
        self._clock = order.clock
        self._walls = order.walls
        self._emit = order.listener

    @property
    @abstractmethod
    def in_flight(self) -> int:
        """Tasks whose calls are lost if it is left now."""

    @abstractmethod
    async def run(self, until: float | None = None) -> None:
        """Buy what is available, and wait for all that is in flight.

        Args:
            until: seconds since the epoch after which nothing new is begun; None for no limit.

        Raises:
            BatchgenError: the books or the disk failed in a way that nothing may go on.
        """

    def stop(self, reason: str) -> None:
        """Begin nothing new; what is in flight goes on to its end. The first reason stands."""
        if self.stopped is None:
            self.stopped = reason
            self._halt()
            self._emit(RunStopped(reason))

    async def leave(self) -> None:
        """Break off now. What is in flight is in the books before this returns, or taken up by the next run."""
        self.left = True
        self.stop(LEFT)
        await self._break_off()

    @abstractmethod
    def _halt(self) -> None:
        """Let nothing new begin."""

    @abstractmethod
    async def _break_off(self) -> None:
        """Give up what is in flight."""

    def explain(self, text: str) -> None:
        """Something a person must know now, and again when the run has ended."""
        self.explained.append(text)
        self._emit(Notice(text))

    def _wall_reached(self) -> str:
        """Why nothing more may be spent, by the wall that a reservation met last."""
        return self._walls.reached(self.tally.wall, self.tally.month)

    def _too_many_lost(self) -> str | None:
        """Why a run must not go on that loses so many answers, or paid images; None while it may."""
        tally = self.tally
        if tally.lost > self._most_lost:
            return (
                f"{tally.lost} of {max(tally.calls, tally.lost)} answers were lost in this run; "
                "look at the connection and at `batchgen report`, then run again"
            )
        if tally.unfetched > self._most_lost:
            return (
                f"{tally.unfetched} paid images could not be fetched from their addresses; "
                "look at the connection and at `batchgen report`, then run again"
            )
        return None

    def _waits_for_addresses(self) -> bool:
        """Whether so many paid addresses cannot be fetched that nothing more is bought before they can."""
        return self.tally.slow + self.tally.unfetched > self._most_lost

    @property
    def _most_lost(self) -> int:
        total = self._limits.unknown_total
        return total if total is not None else max(10, self.tally.calls // 20)

    async def _alarm(self, until: float) -> None:
        while (left := until - self._clock.now()) > 0:
            await self._clock.sleep(min(left, _LOOK))
        self.stop("`limits.until` is reached")
