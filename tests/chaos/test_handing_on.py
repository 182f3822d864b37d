"""What the simulation found in the pool: inheritances nobody took up (seed 1029), a stop nobody heard (seed 1561)."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.job import Limits, Parameters
from batchgen.domain.model import Claim
from batchgen.domain.size import parse_size
from batchgen.engine.bookkeeper import Tally
from batchgen.engine.delivery import Ended
from batchgen.engine.lane import Lane, Ticket
from batchgen.engine.leg import Leg, Legs
from batchgen.engine.pool import Order, Selection
from batchgen.engine.runner import Runner
from tests.conftest import ManualClock

FIRST, SECOND = "apiyi/gpt-image-2-vip", "laozhang/gpt-image-2-vip"
SIZE = parse_size("1:1@1K")
TASK = Claim(1, 1, "p0", "a mug", SIZE, SIZE, 1, Parameters(), "p0", 1, 0, 0, 0, 0.0)


class Buys:
    """An executor that needs no time."""

    def __init__(self) -> None:
        self.bought: list[int] = []

    async def execute(self, claim: Claim, ticket: Ticket) -> Ended:
        self.bought.append(claim.task)
        return Ended.SETTLED

    def stop(self) -> None:
        """Nothing to stop."""


class SlowBooks:
    """Books with one task of the first route, which is stopped while the second one asks for its own."""

    def __init__(self, legs: Legs, runners: list[Runner]) -> None:
        self._legs, self._runners = legs, runners
        self._stopped = asyncio.Event()

    async def claim(self, job: int, count: int, now: float, skip: set[int], only: None, routes: frozenset[str]) -> Any:
        first, second = self._legs.all
        if "" not in routes:
            first.lane.stop("no quota")
            self._stopped.set()
            self._runners[0]._queues.wake()
            while "" not in second.routes:
                await asyncio.sleep(0)
            return []
        await self._stopped.wait()
        taken = TASK.task in skip or TASK.task in cast("Any", second.executor).bought
        return [] if SECOND not in routes or taken else [TASK]

    async def next_due(self, *_: object) -> None:
        return None

    async def diverted(self, *_: object) -> set[str]:
        return set()


def pool() -> tuple[Runner, tuple[Buys, Buys]]:
    """A runner over two routes, on books with one task."""
    clock, catalog, executors, runners = ManualClock(), load_catalog(), (Buys(), Buys()), list[Runner]()
    lanes = [Lane(route, 4, None, clock=clock, uniform=lambda low, high: high) for route in (FIRST, SECOND)]
    legs = Legs(
        [
            Leg(catalog.find(route), cast("Any", executor), lane)
            for route, executor, lane in zip((FIRST, SECOND), executors, lanes, strict=True)
        ]
    )
    books = cast("Any", SlowBooks(legs, runners))
    runner = Runner(Order(1, Limits(), Selection(), books, Tally(), clock, lambda event: None), legs)
    runners.append(runner)
    return runner, executors


async def test_what_is_handed_on_while_the_heir_asks_the_books_is_not_left_lying() -> None:
    runner, executors = pool()
    await asyncio.wait_for(runner.run(), 10)
    assert runner.stopped is None
    assert executors[1].bought == [TASK.task]


@pytest.mark.timeout(10)
async def test_run_that_was_stopped_before_it_began_ends_without_a_call() -> None:
    runner, executors = pool()
    runner.stop("interrupted")
    await runner.run()
    assert executors[0].bought + executors[1].bought == []
