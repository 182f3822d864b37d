"""Several keys of one account over one route: which of them makes a call, and what becomes of the others' work."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from batchgen.domain.events import CallEnded, LanePaused
from batchgen.domain.job import Limits
from tests.support.rig import Rig, rig, simulator, small_plan

SMALL = ["1:1@1K"]
KEYS = ("ONE", "TWO")


def texts(count: int) -> list[str]:
    return [f"prompt number {number}" for number in range(count)]


def calls_by_key(run: Rig) -> Counter[str]:
    """Count the charged calls on the gateway's bill by the variable of their key."""
    names = {key.fingerprint: key.env for key in run.route.keys}
    return Counter(names[line.key] for line in run.bill() if line.charged)


async def test_calls_are_shared_out_and_the_books_name_the_key_of_each(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(12), SMALL, Limits(concurrency=8))
    async with simulator(tmp_path, "latency=0.02", keys=KEYS) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 12}
        shared = calls_by_key(run)
        assert set(shared) == set(KEYS)
        assert max(shared.values()) <= 8
        booked = dict(run.query("SELECT key_fingerprint, count(*) FROM attempt GROUP BY key_fingerprint"))
        assert booked == {key.fingerprint: shared[key.env] for key in run.route.keys}


async def test_key_without_quota_stops_alone_and_everything_is_delivered_over_the_other(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(20), SMALL, Limits(concurrency=6))
    faults = ("latency=0.02", "TWO:key_spend=0.10")  # three calls
    async with simulator(tmp_path, *faults, keys=KEYS) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 20}
        assert calls_by_key(run) == {"ONE": 17, "TWO": 3}
        assert sum(line.charged for line in run.bill()) == run.query("SELECT billed FROM job")[0][0]
        assert run.job_run.stopped is None
        (said,) = run.job_run.explained
        assert said.startswith("apiyi/gpt-image-2-vip: the key in TWO makes no more calls: no quota or balance is left")
        assert said.endswith("Going on with the others")


async def test_refused_key_stops_alone_whatever_the_other_has_brought(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(10), SMALL, Limits(concurrency=4))
    async with (
        simulator(tmp_path, "latency=0.01", "ONE:p_401=1", keys=KEYS) as contract,
        rig(tmp_path, contract, plan) as run,
    ):
        await run.runner.run()
        assert run.states() == {"completed": 10}
        assert calls_by_key(run) == {"TWO": 10}
        one, _ = run.route.keys
        assert "the key was not accepted" in (one.stopped or "")


async def test_route_is_stopped_once_all_keys_are_and_says_why_of_each(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(10), SMALL, Limits(concurrency=4))
    faults = ("latency=0.01", "ONE:p_401=1", "TWO:key_spend=0.06")
    async with simulator(tmp_path, *faults, keys=KEYS) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 2, "available": 8}
        stopped = run.job_run.stopped or ""
        assert stopped.startswith("no key is left: ONE: the key was not accepted")
        assert "; TWO: no quota or balance is left" in stopped


async def test_limit_of_one_key_pauses_its_lane_alone(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(30), SMALL, Limits(concurrency=8))
    faults = ("latency=0.01", "ONE:rate=0.01", "ONE:burst=1", "retry_after=600")
    async with simulator(tmp_path, *faults, keys=KEYS) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 30}
        assert calls_by_key(run) == {"ONE": 1, "TWO": 29}
        paused = {event.lane for event in run.events if isinstance(event, LanePaused)}
        assert paused == {"apiyi/gpt-image-2-vip with the key in ONE"}
        refused = [event for event in run.events if isinstance(event, CallEnded) and event.outcome.kind == "throttled"]
        assert 1 <= len(refused) <= 4


async def test_keys_of_an_account_share_one_lane_and_lose_no_place_with_one_of_them(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(12), SMALL, Limits(concurrency=4))
    faults = ("latency=0.01", "concurrency=4", "TWO:p_401=1")
    route = "laozhang/gpt-image-2-vip"
    plan.job = replace(plan.job, route=route)
    async with simulator(tmp_path, *faults, keys=KEYS, route=route) as contract, rig(tmp_path, contract, plan) as run:
        assert len(run.route.keys.lanes) == 1
        await run.runner.run()
        assert run.states() == {"completed": 12}
        assert calls_by_key(run) == {"ONE": 12}
        assert run.lane.in_flight == 0
        assert [key.in_flight for key in run.route.keys] == [0, 0]


async def test_keys_that_are_all_refused_at_once_leave_no_task_behind_in_silence(tmp_path: Path) -> None:
    """The tasks are back in the books by then, and in no buffer."""
    plan = small_plan(tmp_path, texts(2), SMALL, Limits(concurrency=4))
    async with simulator(tmp_path, "p_401=1", keys=KEYS) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"available": 2}
        assert (run.job_run.stopped or "").startswith("no key is left: ONE: the key was not accepted")


async def test_every_key_is_looked_for_in_whatever_comes(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(1), SMALL, Limits())
    async with simulator(tmp_path, keys=KEYS) as contract, rig(tmp_path, contract, plan) as run:
        for owner in (run.gateway.client, run.gateway.downloader):
            assert set(owner._secrets()) == {"", "sk-rig-ONE", "sk-rig-TWO"}
