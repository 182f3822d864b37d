"""What a gateway works on by itself, and shows to the key alone that handed it in: batches, and calls under numbers."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.app.keyring import KeyRing
from batchgen.contracts.catalog import load_catalog
from batchgen.domain.following import Following
from batchgen.domain.job import Limits
from batchgen.engine.batch.batch_runner import BatchRunner
from batchgen.engine.batch.steps import BatchSteps
from tests.support.hasty import HastyClock
from tests.support.rig import Rig, rig, simulator, small_plan

ROUTE = "openai/gpt-image-2"
BATCH = load_catalog().resolve({"use": ROUTE, "endpoint": "batch"})
TASK = Following("/tasks/{id}", every=0.02, patience=3600, id=("id",), done=("completed",), failed=("failed",))
KEYS = ("ONE", "TWO")
TEXTS = [f"thing {number}" for number in range(4)]


async def until(true: Callable[[], bool]) -> None:
    """Wait for what another task does."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


def books_agree(run: Rig) -> None:
    """Nothing was paid twice, and the books have what the gateway charged."""
    assert len(run.bill()) == len(TEXTS)
    assert sum(line.charged for line in run.bill()) == run.query("SELECT billed FROM job")[0][0]
    assert run.query("SELECT unknown, reserved FROM job") == [(0, 0)]


# --- batches ---


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchSteps, "most_calls", 2)


@asynccontextmanager
async def batch_job(folder: Path, seconds: int, keys: tuple[str, ...]) -> AsyncIterator[tuple[Rig, BatchRunner]]:
    """The job at a gateway that takes so long for a batch, with these keys; the same job each time."""
    plan = small_plan(folder, TEXTS, ["1024x1024"], Limits())
    parameters = replace(plan.job.parameters, quality="low")
    plan.job = replace(plan.job, route=ROUTE, model=BATCH.model, parameters=parameters)
    async with simulator(folder, f"batch_seconds={seconds}", route=ROUTE, keys=keys) as served:
        contract = replace(BATCH, base_url=served.base_url, keys=keys)
        first = not (folder / "ledger.db").exists()
        async with rig(folder, contract, plan, record=first, clock=HastyClock(50)) as run:
            yield run, BatchRunner(run.executor)


async def two_batches_under_way(folder: Path) -> list[str]:
    """A run that ends once each key has handed a batch in; gives their names, that of the first key first."""
    async with batch_job(folder, 80_000, KEYS) as (run, runner):
        running = asyncio.create_task(runner.run())
        await until(lambda: run.query("SELECT count(*) FROM batch WHERE state = 'submitted'") == [(2,)])
        await runner.abort()
        await running
        one, two = run.route.keys
        asked = "SELECT DISTINCT remote FROM batch JOIN attempt ON batch_id = batch.id WHERE key_fingerprint = '{}'"
        return [run.query(asked.format(key.fingerprint))[0][0] for key in (one, two)]


async def test_batches_are_collected_with_the_keys_in_another_order(tmp_path: Path) -> None:
    await two_batches_under_way(tmp_path)
    async with batch_job(tmp_path, 0, KEYS[::-1]) as (run, runner):
        await runner.run()
        assert run.states() == {"completed": 4}
        books_agree(run)


async def test_batch_of_a_key_that_is_missing_waits_and_the_others_go_on(tmp_path: Path) -> None:
    one, two = await two_batches_under_way(tmp_path)
    async with batch_job(tmp_path, 0, ("TWO",)) as (run, runner):
        await runner.run()
        assert run.states() == {"completed": 2, "running": 2}
        (fingerprint,) = run.query("SELECT DISTINCT key_fingerprint FROM attempt WHERE charge = 'reserved'")[0]
        assert run.job_run.stopped is None
        (said,) = run.job_run.explained
        assert f"a key that is not here, whose fingerprint is {fingerprint}: name its variable under `keys:`" in said
        assert f"retry JOB --batch {one}" in said
        assert two not in said
    async with batch_job(tmp_path, 0, KEYS) as (run, runner):
        await runner.run()
        assert run.states() == {"completed": 4}
        books_agree(run)


@pytest.mark.parametrize("keys", [KEYS, KEYS[::-1]])
async def test_batch_that_was_perhaps_handed_in_is_looked_for_with_its_own_key(
    tmp_path: Path, keys: tuple[str, ...]
) -> None:
    await two_batches_under_way(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.db") as books:  # as if it had died before the ids were known
        books.execute("UPDATE batch SET state = 'written', remote = '', status = 'creating', updated_at = 1")
    async with batch_job(tmp_path, 0, keys) as (run, runner):
        await runner.run()
        assert run.states() == {"completed": 4}
        books_agree(run)


async def test_batch_that_was_perhaps_handed_in_with_a_missing_key_is_not_handed_in_again(tmp_path: Path) -> None:
    await two_batches_under_way(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.db") as books:
        books.execute("UPDATE batch SET state = 'written', remote = '', status = 'creating', updated_at = 1")
    async with batch_job(tmp_path, 0, ("ONE",)) as (run, runner):
        await runner.run()
        assert run.states() == {"completed": 2, "running": 2}
        (said,) = run.job_run.explained
        assert "may have been handed in with another key" in said
        assert len(run.bill()) in {2, 4}, "the gateway may work on the other by itself"
    async with batch_job(tmp_path, 0, KEYS) as (run, runner):
        await runner.run()
        books_agree(run)


async def test_batch_that_was_surely_not_handed_in_goes_with_another_key(tmp_path: Path) -> None:
    async with batch_job(tmp_path, 0, KEYS) as (run, runner):
        one, _ = run.route.keys
        claims = await run.ledger.claim(run.job, 2, HastyClock(1).now(), (), None)
        assert await runner.batches.open(claims, one)
    async with batch_job(tmp_path, 0, ("TWO",)) as (run, runner):
        await runner.run()
        assert run.states() == {"completed": 4}
        books_agree(run)
        assert run.charges() == {"void": 2, "billed": 4}


async def test_key_that_a_batch_api_refuses_stops_alone_and_its_calls_go_with_the_other(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, TEXTS, ["1024x1024"], Limits())
    plan.job = replace(plan.job, route=ROUTE, model=BATCH.model)
    faults = ("batch_seconds=0", "ONE:p_401=1")
    async with simulator(tmp_path, *faults, route=ROUTE, keys=KEYS) as served:
        contract = replace(BATCH, base_url=served.base_url, keys=KEYS)
        async with rig(tmp_path, contract, plan, clock=HastyClock(50)) as run:
            await BatchRunner(run.executor).run()
            assert run.states() == {"completed": 4}
            books_agree(run)
            assert run.job_run.stopped is None
            assert any("the key in ONE makes no more calls" in said for said in run.job_run.explained)


# --- calls under numbers ---


@asynccontextmanager
async def followed_job(folder: Path, keys: tuple[str, ...]) -> AsyncIterator[Rig]:
    plan = small_plan(folder, TEXTS, ["1:1@1K"], Limits(concurrency=4))
    async with simulator(folder, "latency=1000", task=TASK, keys=keys) as contract:
        first = not (folder / "ledger.db").exists()
        async with rig(folder, contract, plan, record=first) as run:
            yield run


async def calls_under_way(folder: Path) -> None:
    """A run that ends once the gateway works on every call; then the gateway has them done."""
    working = "SELECT count(*) FROM attempt WHERE remote_task <> ''"
    async with followed_job(folder, KEYS) as run:
        running = asyncio.create_task(run.runner.run())
        await until(lambda: run.query(working) == [(4,)])
        await run.runner.abort()
        await running
        assert run.query("SELECT count(DISTINCT key_fingerprint) FROM attempt") == [(2,)]
    for path in (folder / "simulator" / "tasks").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"due": 0}))


async def test_calls_are_followed_with_the_keys_in_another_order(tmp_path: Path) -> None:
    await calls_under_way(tmp_path)
    async with followed_job(tmp_path, KEYS[::-1]) as run:
        await run.recover()
        await run.runner.run()
        assert run.states() == {"completed": 4}
        books_agree(run)


async def test_call_is_fetched_with_a_new_key_to_which_the_gateway_shows_it(tmp_path: Path) -> None:
    await calls_under_way(tmp_path)
    mine = KeyRing({"TWO": "sk-rig-TWO"}).fingerprint("TWO")
    for path in (tmp_path / "simulator" / "tasks").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"key": mine}))
    async with followed_job(tmp_path, ("TWO",)) as run:
        await run.recover()
        await run.runner.run()
        assert run.states() == {"completed": 4}
        assert run.job_run.explained == []
        books_agree(run)


async def test_call_of_a_key_that_is_missing_waits_and_the_run_says_which(tmp_path: Path) -> None:
    await calls_under_way(tmp_path)
    async with followed_job(tmp_path, ("TWO",)) as run:
        await run.recover()
        await run.runner.run()
        assert run.states() == {"completed": 2, "running": 2}
        (fingerprint,) = run.query("SELECT DISTINCT key_fingerprint FROM attempt WHERE charge = 'reserved'")[0]
        (said,) = run.job_run.explained
        assert said.startswith("2 calls were handed in over apiyi/gpt-image-2-vip with a key that is not here")
        assert fingerprint in said
    async with followed_job(tmp_path, KEYS) as run:
        await run.recover()
        await run.runner.run()
        assert run.states() == {"completed": 4}
        books_agree(run)
