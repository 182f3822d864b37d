"""Batches whose gateway answers late, cut, wrongly or not at all: nothing is handed in twice that may be worked on."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from batchgen.domain.batch_files import RemoteBatch
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import GatewayError
from batchgen.domain.wire import Answer
from batchgen.engine.batch.steps import BatchSteps
from batchgen.gateway.batch import api as batch_api_module
from batchgen.gateway.batch.api import BatchApi
from batchgen.store.output.place import Spot
from batchgen.store.spool.sink import SpoolSink
from tests.support.batch import USAGE, Api, batch_rig, good, line
from tests.support.sockets import served


class Slow(Api):
    """Takes a batch without saying so, and lists it only later."""

    listed = False

    async def create(self, file: str, endpoint: str, token: str) -> RemoteBatch:
        await super().create(file, endpoint, token)
        raise GatewayError("POST /batches: the deadline passed", passing=True)

    async def find(self, token: str, since: float) -> RemoteBatch | None:
        return await super().find(token, since) if self.listed else None


async def test_batch_whose_creation_nobody_saw_is_looked_for_before_it_is_handed_in_again(tmp_path: Path) -> None:
    api = Slow()
    async with batch_rig(tmp_path, api, 4) as run:
        await run.open()
        for _ in range(3):  # the loop asks again after a second; so does a start after a kill
            (row,) = await run.rig.ledger.open_batches(run.rig.job)
            with pytest.raises(GatewayError):
                await run.batches.advance(row)
        assert len(api.made) == 1
        api.listed = True
        (row,) = await run.rig.ledger.open_batches(run.rig.job)
        assert await run.batches.advance(row)
        assert len(api.made) == 1


async def test_batch_whose_creation_took_a_night_of_sleep_is_given_its_time_to_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = [0.0]
    real = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: real(clock) + night[0])

    class Asleep(Slow):
        async def create(self, file: str, endpoint: str, token: str) -> RemoteBatch:
            night[0] += 8 * 3600
            return await super().create(file, endpoint, token)

    api = Asleep()
    async with batch_rig(tmp_path, api, 4) as run:
        await run.open()
        for _ in range(2):
            (row,) = await run.rig.ledger.open_batches(run.rig.job)
            with pytest.raises(GatewayError):
                await run.batches.advance(row)
    assert len(api.made) == 1


class NoList(Api):
    """Does not list batches."""

    async def find(self, token: str, since: float) -> RemoteBatch | None:
        raise GatewayError("/batches: HTTP 404 · not found", status=404)


async def test_batch_that_may_be_under_way_is_not_free_because_it_cannot_be_looked_for(tmp_path: Path) -> None:
    async with batch_rig(tmp_path, NoList(), 4) as run:
        await run.open()
        await run.runner.run()
        assert run.runner.job_run.stopped
        assert run.rig.charges() == {"reserved": 4}
        assert run.rig.states() == {"running": 4}


class Cut(Api):
    """Sends an output file cut the first time, without an error on the wire."""

    fetched = 0

    def output(self, number: int, custom_ids: list[str]) -> bytes:
        whole = super().output(number, custom_ids)
        self.fetched += 1
        return whole[:-2000] if self.fetched == 1 else whole


async def test_output_file_that_ends_early_is_fetched_again_and_nothing_bought(tmp_path: Path) -> None:
    api = Cut()
    async with batch_rig(tmp_path, api, 4) as run:
        await run.runner.run()
        assert (len(api.made), api.fetched) == (1, 2)
        assert run.rig.states() == {"completed": 4}
        assert run.rig.charges() == {"billed": 4}


class Empty(Api):
    """Answers nothing of its first batch."""

    def output(self, number: int, custom_ids: list[str]) -> bytes:
        return b"" if number == 0 else super().output(number, custom_ids)


async def test_batch_without_any_answer_stops_the_run_instead_of_buying_everything_again(tmp_path: Path) -> None:
    api = Empty()
    async with batch_rig(tmp_path, api, 30) as run:
        await run.runner.run()
        assert len(api.made) == 1
        assert "lost" in (run.runner.job_run.stopped or "")


class Says(Api):
    """Answers every call with one error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__()
        self._said: tuple[int, dict[str, Any]] = (status, {"error": {"code": code, "message": "no"}})

    def output(self, number: int, custom_ids: list[str]) -> bytes:
        return b"".join(line(custom_id, *self._said) for custom_id in custom_ids)


@pytest.mark.parametrize(("status", "code"), [(429, "insufficient_quota"), (401, "invalid_api_key")])
async def test_lines_that_no_later_batch_could_answer_stop_the_run(tmp_path: Path, status: int, code: str) -> None:
    api = Says(status, code)
    async with batch_rig(tmp_path, api, 4) as run:
        await asyncio.wait_for(run.runner.run(), 20)
        assert len(api.made) == 1
        assert run.runner.job_run.stopped
        assert run.rig.states() == {"available": 4}


async def test_lines_that_were_throttled_count_as_attempts(tmp_path: Path) -> None:
    api = Says(429, "rate_limit_exceeded")
    async with batch_rig(tmp_path, api, 4) as run:
        await asyncio.wait_for(run.runner.run(), 20)
        assert len(api.made) == 3
        assert run.rig.states() == {"failed": 4}
        assert run.rig.charges() == {"void": 12}


class Dear(Api):
    """Bills a hundred times what was set aside."""

    def output(self, number: int, custom_ids: list[str]) -> bytes:
        return b"".join(
            good(custom_id, USAGE | {"output_tokens": 19600, "total_tokens": 19610}) for custom_id in custom_ids
        )


async def test_bill_above_its_reservation_stops_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BatchSteps, "most_calls", 2)
    monkeypatch.setattr("batchgen.engine.batch.batch_runner._MOST_OPEN", 1)
    api = Dear()
    async with batch_rig(tmp_path, api, 6) as run:
        await run.runner.run()
        assert len(api.made) == 1
        assert run.runner.job_run.stopped


async def test_bill_above_its_reservation_holds_back_what_is_written_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several bundles are open at once: the answers of the first say what is wrong before the next is handed in."""
    monkeypatch.setattr(BatchSteps, "most_calls", 2)
    api = Dear()
    async with batch_rig(tmp_path, api, 6) as run:
        await run.open(2)
        for _ in ("handed in", "looked at"):
            (first,) = await run.rig.ledger.open_batches(run.rig.job)
            await run.batches.advance(first)
        await run.open(2)
        await run.runner.run()
        assert len(api.made) == 1
        assert run.runner.job_run.stopped
        assert run.rig.states() == {"completed": 2, "running": 2, "available": 2}


class Uploading(Api):
    """Says when a file is on its way, and takes it in only then."""

    def __init__(self) -> None:
        super().__init__()
        self.uploading, self.go = asyncio.Event(), asyncio.Event()

    async def upload(self, file: Path, size: int) -> str:
        self.uploading.set()
        await self.go.wait()
        return await super().upload(file, size)


async def test_what_is_uploaded_when_the_run_is_stopped_is_not_handed_in(tmp_path: Path) -> None:
    api = Uploading()
    async with batch_rig(tmp_path, api, 4) as run:
        running = asyncio.create_task(run.runner.run())
        await api.uploading.wait()
        run.runner.job_run.drain("interrupted")
        api.go.set()
        await running
        assert api.made == []
        assert run.rig.charges() == {"reserved": 4}
        assert "not handed in yet" in run.runner.job_run.explained[-1]


class Full(Api):
    """Has no room in its queue for the second batch, until the first is done."""

    turned_away = 0

    def _remote(self, number: int) -> RemoteBatch:
        done = super()._remote(number)
        if number == 1:
            self.turned_away += 1
            why = "Enqueued token limit reached. Please try again once some in_progress batches have been completed."
            return replace(done, status="failed", output_file="", detail=why, code="token_limit_exceeded")
        return done


async def test_full_queue_is_waited_for_and_counts_as_no_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchSteps, "most_calls", 2)
    monkeypatch.setattr("batchgen.engine.batch.batch_runner._MOST_OPEN", 1)
    monkeypatch.setattr("batchgen.engine.batch.submit._QUEUE_PAUSE", 0.2)
    api = Full()
    async with batch_rig(tmp_path, api, 4) as run:
        await asyncio.wait_for(run.runner.run(), 20)
        assert api.turned_away
        assert run.rig.states() == {"completed": 4}
        assert run.rig.charges() == {"billed": 4, "void": 2}
        assert run.rig.query("SELECT DISTINCT attempts FROM task") == [(1,)]


class Failing(Api):
    """Fails every batch as a whole."""

    def _remote(self, number: int) -> RemoteBatch:
        return replace(super()._remote(number), status="failed", output_file="", detail="line 1: no such model")


async def test_batches_that_fail_as_a_whole_stop_the_run_after_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BatchSteps, "most_calls", 2)
    monkeypatch.setattr("batchgen.engine.batch.batch_runner._MOST_OPEN", 1)
    api = Failing()
    async with batch_rig(tmp_path, api, 10) as run:
        await asyncio.wait_for(run.runner.run(), 20)
        assert len(api.made) == 2
        assert "2 batches in a row failed" in (run.runner.job_run.stopped or "")
        assert run.rig.states()["available"] == 6


class Pausing(Api):
    """Sends a few answers, and the rest when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.go = asyncio.Event(), asyncio.Event()

    async def content(self, file: str) -> AsyncIterator[bytes]:
        first, *rest = self.made[0][1]
        yield good(first)
        self.waiting.set()
        for custom_id in rest:
            yield good(custom_id)
            await asyncio.sleep(0)


async def test_leaving_while_an_answer_is_made_durable_reads_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, landing, go = Pausing(), asyncio.Event(), asyncio.Event()
    async with batch_rig(tmp_path, api, 30) as run:
        real = run.rig.spool.finish

        async def slow(answer: Answer, sinks: Sequence[SpoolSink], spot: Spot | None) -> None:
            landing.set()
            await go.wait()
            await real(answer, sinks, spot)

        monkeypatch.setattr(run.rig.spool, "finish", slow)
        running = asyncio.create_task(run.runner.run())
        await landing.wait()
        leaving = asyncio.create_task(run.runner.abort())
        await asyncio.sleep(0)
        go.set()
        await leaving
        await running
        assert run.rig.states() == {"running": 30}
        await run.rig.recover()
        assert run.rig.states() == {"completed": 1, "running": 29}


async def test_file_of_answers_may_take_longer_than_a_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read as long as bytes come: what would be read again from its beginning would never end."""
    monkeypatch.setattr(batch_api_module, "_QUESTION", 0.05)
    monkeypatch.setattr(batch_api_module, "_TRANSFER", 0.05)

    async def content(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(4):
            await response.write(b"x" * 100)
            await asyncio.sleep(0.03)
        return response

    async with (
        served(content) as base,
        BatchApi(base_url=base, key=lambda: "k", clock=SystemClock(), loopback=True) as api,
    ):
        assert b"".join([data async for data in api.content("f")]) == b"x" * 400


async def test_answers_that_come_compressed_although_nobody_asked_are_read() -> None:
    text = b'{"custom_id":"t-1"}\n' * 100

    async def content(_request: web.Request) -> web.Response:
        return web.Response(body=gzip.compress(text), headers={"Content-Encoding": "gzip"})

    async def status(_request: web.Request) -> web.Response:
        body = gzip.compress(b'{"id":"b0","status":"completed"}')
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    app = web.Application()
    app.router.add_get("/v1/files/f/content", content)
    app.router.add_get("/v1/batches/b0", status)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        async with BatchApi(base_url=base_url, key=lambda: "k", clock=SystemClock(), loopback=True) as api:
            assert b"".join([data async for data in api.content("f")]) == text
            assert (await api.get("b0")).status == "completed"
    finally:
        await runner.cleanup()
