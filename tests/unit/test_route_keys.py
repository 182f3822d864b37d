"""Which key makes the next call, over lanes that a gateway refuses, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.job import Limits
from batchgen.engine.assembly import RouteSpec, assemble
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.route_keys import Admission, RouteKeys
from tests.chaos.simulation.loop import SimClock, VirtualLoop
from tests.support.rig import small_plan

T = TypeVar("T")

VIP = load_catalog().find("apiyi/gpt-image-2-vip")
REFUSED_AFTER = 0.3  # seconds


def virtually(work: Coroutine[Any, Any, T]) -> tuple[T, float]:
    """Do work on a loop whose time is a number; gives what came of it, and the seconds."""
    loop = VirtualLoop(0.0)
    try:
        return loop.run_until_complete(work), loop.time()
    finally:
        loop.close()


def keys_of(names: tuple[str, ...], limits: Limits, **changes: Any) -> RouteKeys:
    """The keys of a route as a run has them."""
    loop = asyncio.get_running_loop()
    clock = SimClock(cast("VirtualLoop", loop), 0.0)
    nothing = cast("Any", None)
    run = JobRun(1, limits, Selection(), nothing, clock=clock, uniform=lambda _, high: high, listener=lambda _: None)
    spec = RouteSpec(replace(VIP, keys=names, **changes), fingerprints=names)
    assemble(run, small_plan(Path(), [], ["1:1@1K"], limits).job, [spec], nothing)
    return run.routes.first.keys


@dataclass
class Gateway:
    """Takes so many calls at once of each key, and draws for a minute or so.

    Attributes:
        most: calls in flight, by key; 0 refuses the key.
        made: pictures by key.
    """

    keys: RouteKeys
    most: dict[str, int]
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    inside: Counter[str] = field(default_factory=Counter)
    made: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    async def work_off(self, tasks: int) -> None:
        """Make so many pictures, as the dispatcher of a route does."""
        left, flights = tasks, set[asyncio.Task[bool]]()
        while left or flights:
            if left and (admission := await self.keys.admit()) is not None:
                left -= 1
                flights.add(asyncio.create_task(self._call(admission)))
            elif flights:
                await asyncio.wait(flights, return_when=asyncio.FIRST_COMPLETED)
            else:
                return
            done = {each for each in flights if each.done()}
            left += sum(not each.result() for each in done)
            flights -= done

    async def _call(self, admission: Admission) -> bool:
        key, env = admission.key, admission.key.env
        with admission:
            if not await key.lane.wait_turn(admission.ticket):
                return False
            if self.inside[env] >= self.most[env]:
                await asyncio.sleep(REFUSED_AFTER)
                self.refused += 1
                if not self.most[env]:
                    self.keys.refuse(key, "no quota")
                else:
                    self.keys.throttled(admission, None)
                return False
            self.inside[env] += 1
            await asyncio.sleep(self.dice.lognormvariate(4.1, 0.3))
            self.inside[env] -= 1
            self.made[env] += 1
        key.lane.answered(admission.ticket)
        return True


async def worked_off(most: dict[str, int], tasks: int, limits: Limits, **changes: Any) -> Gateway:
    gateway = Gateway(keys_of(tuple(most), limits, **changes), most)
    await gateway.work_off(tasks)
    return gateway


def test_two_keys_are_twice_as_fast_as_one() -> None:
    _, alone = virtually(worked_off({"ONE": 30}, 1500, Limits(concurrency=30)))
    both, together = virtually(worked_off({"ONE": 30, "TWO": 30}, 1500, Limits(concurrency=60)))
    assert alone / together >= 1.9
    assert both.refused <= 3
    assert 700 <= both.made["ONE"] <= 800


def test_limit_that_nobody_told_is_found_for_each_key_alone() -> None:
    limits = Limits(concurrency=200)
    _, alone = virtually(worked_off({"ONE": 30}, 2000, limits, concurrency=100))
    both, together = virtually(worked_off({"ONE": 30, "TWO": 30}, 2000, limits, concurrency=100))
    assert alone / together >= 1.9
    assert both.refused <= 0.06 * 2000


def test_key_that_is_out_of_quota_leaves_all_to_the_other_with_one_refusal_for_each_call_that_was_out() -> None:
    gateway, _ = virtually(worked_off({"ONE": 30, "TWO": 0}, 300, Limits(concurrency=60)))
    assert gateway.made == {"ONE": 300}
    assert gateway.refused <= 5
    assert gateway.keys.stopped is None
    assert [key.stopped for key in gateway.keys] == [None, "no quota"]


def test_limits_of_the_job_are_for_all_keys_together() -> None:
    gateway, took = virtually(worked_off({"ONE": 30, "TWO": 30}, 300, Limits(concurrency=60, rate=0.5)))
    assert sum(gateway.made.values()) == 300
    assert 300 / 0.5 <= took <= 300 / 0.5 * 1.01 + 200
    few, _ = virtually(worked_off({"ONE": 30, "TWO": 30}, 100, Limits(concurrency=7)))
    assert max(few.inside.values()) <= 7
    assert abs(few.made["ONE"] - few.made["TWO"]) < 20


def test_keys_of_one_account_share_what_is_known_of_it() -> None:
    async def one_lane() -> tuple[int, int]:
        keys = keys_of(("ONE", "TWO"), Limits(concurrency=10), limits_per="account")
        first, second = await keys.admit(), await keys.admit()
        assert first is not None
        assert second is not None
        return len(keys.lanes), len({first.key, second.key})

    assert virtually(one_lane())[0] == (1, 2)
