"""What the simulation found in the runner: inheritances nobody took up (seed 1029), a stop nobody heard (seed 1561)."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.job import Limits, Parameters
from batchgen.domain.model import Claim
from batchgen.domain.size import parse_size
from batchgen.engine.attempt import Executor
from batchgen.engine.delivery import ClaimResult, Delivery
from batchgen.engine.follower import Follower
from batchgen.engine.health import RouteHealth
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.lane import Lane
from batchgen.engine.route_keys import Admission, RouteKey, RouteKeys
from batchgen.engine.routes import RouteRun
from batchgen.engine.runner import Runner
from batchgen.policy.decide import Rules
from batchgen.policy.lanes.rule import LaneRule
from tests.conftest import ManualClock

FIRST, SECOND = "apiyi/gpt-image-2-vip", "laozhang/gpt-image-2-vip"
SIZE = parse_size("1:1@1K")
TASK = Claim(1, 1, "p0", "a mug", SIZE, SIZE, 1, Parameters(), "p0", 1, 0, 0, 0, 0.0)


class Buys:
    """An executor that needs no time."""

    def __init__(self, run: JobRun) -> None:
        self.run = run
        self.delivery = Delivery(run, cast("Any", None))
        self.follower = Follower(run, cast("Any", None))
        self.bought: dict[str, list[int]] = {FIRST: [], SECOND: []}

    async def execute(self, route: RouteRun, claim: Claim, admission: Admission) -> ClaimResult:
        self.bought[route.name].append(claim.task)
        return ClaimResult.SETTLED


class SlowBooks:
    """Books with one task of the first route, which is stopped while the second one asks for its own."""

    def __init__(self) -> None:
        self.executor: Buys | None = None
        self._stopped = asyncio.Event()

    async def claim(self, job: int, count: int, now: float, skip: set[int], only: None, routes: frozenset[str]) -> Any:
        assert self.executor is not None
        first, second = self.executor.run.routes
        if "" not in routes:
            first.stop("no quota")
            self._stopped.set()
            self.executor.run.routes.wake()
            while "" not in second.serves:
                await asyncio.sleep(0)
            return []
        await self._stopped.wait()
        taken = TASK.task in skip or TASK.task in self.executor.bought[SECOND]
        return [] if SECOND not in routes or taken else [TASK]

    async def next_due(self, *_: object) -> None:
        return None

    async def interrupted(self, *_: object) -> list[Any]:
        return []

    async def diverted(self, *_: object) -> set[str]:
        return set()


def two_routes() -> Buys:
    """An executor over two routes, on books with one task."""
    clock, catalog, books = ManualClock(), load_catalog(), SlowBooks()

    def uniform(low: float, high: float) -> float:
        return high

    run = JobRun(
        1, Limits(), Selection(), cast("Any", books), clock=clock, uniform=uniform, listener=lambda event: None
    )
    for route in (FIRST, SECOND):
        contract, lane = catalog.find(route), Lane(route, LaneRule.start(4, 1.0), clock=clock, uniform=uniform)
        keys, rules = RouteKeys([RouteKey("K", "", lane)]), Rules(Limits())
        health = RouteHealth(clock, uniform, rules.four_k)
        run.routes.add(RouteRun(contract, rules, cast("Any", None), keys, health))
    books.executor = Buys(run)
    return books.executor


async def test_what_is_handed_on_while_the_heir_asks_the_books_is_not_left_lying() -> None:
    executor = two_routes()
    await asyncio.wait_for(Runner(cast("Executor", executor)).run(), 10)
    assert executor.run.stopped is None
    assert executor.bought == {FIRST: [], SECOND: [TASK.task]}


@pytest.mark.timeout(10)
async def test_run_that_was_stopped_before_it_began_ends_without_a_call() -> None:
    executor = two_routes()
    executor.run.drain("interrupted")
    await Runner(cast("Executor", executor)).run()
    assert executor.bought == {FIRST: [], SECOND: []}
