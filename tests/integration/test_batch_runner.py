"""Batches whose gateway answers late, cut, wrongly or not at all: nothing is handed in twice that may be worked on."""

from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import GatewayError
from batchgen.engine.bundle import Bundler
from batchgen.gateway.batches import BatchApi, RemoteBatch
from tests.batch_help import USAGE, Api, batch_rig, good, line


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
                await run.bundler.advance(row)
        assert len(api.made) == 1
        api.listed = True
        (row,) = await run.rig.ledger.open_batches(run.rig.job)
        assert await run.bundler.advance(row)
        assert len(api.made) == 1


class NoList(Api):
    """Does not list batches."""

    async def find(self, token: str, since: float) -> RemoteBatch | None:
        raise GatewayError("/batches: HTTP 404 · not found", status=404)


async def test_batch_that_may_be_under_way_is_not_free_because_it_cannot_be_looked_for(tmp_path: Path) -> None:
    async with batch_rig(tmp_path, NoList(), 4) as run:
        await run.open()
        await run.runner.run()
        assert run.runner.stopped
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
        assert "lost" in (run.runner.stopped or "")


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
        assert run.runner.stopped
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
    monkeypatch.setattr(Bundler, "most_calls", 2)
    monkeypatch.setattr("batchgen.engine.batch._MOST_OPEN", 1)
    api = Dear()
    async with batch_rig(tmp_path, api, 6) as run:
        await run.runner.run()
        assert len(api.made) == 1
        assert run.runner.stopped


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
