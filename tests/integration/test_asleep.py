"""A process that was asleep for longer than any deadline, with calls, downloads and questions in flight.

The server moves the loop's clock in the middle of what it does, as a stopped process finds it when it goes on.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable

import pytest

from batchgen.domain.clock import SystemClock
from batchgen.domain.wire import Answer, Call, CallEnd, Fetch
from batchgen.gateway.batch.api import BatchApi
from batchgen.gateway.call_log import LogQuery, LogReader
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from tests.support.sockets import MemorySink, RawServe, connections

NIGHT = 8 * 3600.0
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4096
WHOLE = json.dumps({"data": [{"b64_json": b64encode(PICTURE).decode()}]}).encode()
LARGE = b'{"prompt":"' + b"x" * (8 << 20) + b'"}'
STAGES = ("before the request is read", "within the request", "before the head", "within the head", "within the body")

Sleep = Callable[[], Awaitable[None]]


@pytest.fixture
async def sleep(monkeypatch: pytest.MonkeyPatch) -> Sleep:
    """Lets a night pass at once."""
    loop, nights = asyncio.get_running_loop(), [0.0]
    awake = loop.time
    monkeypatch.setattr(loop, "time", lambda: awake() + sum(nights))

    async def fall_asleep() -> None:
        nights.append(NIGHT)
        for _ in range(20):  # every timer that is due rings
            await asyncio.sleep(0)

    return fall_asleep


def server(body: bytes, stage: str, sleep: Sleep) -> RawServe:
    """Answers every request with this body, and sleeps at one stage."""

    async def at(here: str) -> None:
        if here == stage:
            await sleep()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await at("before the request is read")
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await at("within the request")
        if "content-length: " in head:
            await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
        await at("before the head")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
        await writer.drain()
        await at("within the head")
        writer.write(b"ngth: %d\r\n\r\n" % len(body) + body[:100])
        await writer.drain()
        await at("within the body")
        writer.write(body[100:])
        await writer.drain()

    return serve


async def a_paid_call(port: int, seconds: float = 5.0) -> tuple[Answer, MemorySink]:
    sink, base = MemorySink(0), f"http://127.0.0.1:{port}/v1/images/generations"
    call = Call(7, "generations", base, (LARGE,), "application/json", "", seconds, loopback=True)
    async with Client(clock=SystemClock(), key=lambda _: "") as client:
        return await client.send(call, lambda _: sink), sink


@pytest.mark.parametrize("stage", STAGES)
async def test_answer_is_taken_when_we_slept(stage: str, sleep: Sleep) -> None:
    async with connections(server(WHOLE, stage, sleep)) as port:
        answer, sink = await a_paid_call(port)
    assert (answer.ending, bytes(sink.data)) == (CallEnd.COMPLETE, PICTURE)


@pytest.mark.parametrize("stage", STAGES)
async def test_download_goes_on_when_we_slept(stage: str, sleep: Sleep) -> None:
    async with connections(server(PICTURE, stage, sleep)) as port, Downloader(total=5.0, idle=2.0) as downloader:
        base, sink = f"http://127.0.0.1:{port}", MemorySink(0)
        download = await downloader.fetch(f"{base}/x.png", sink, loopback_base=base)
    assert (download.fetch, bytes(sink.data)) == (Fetch.DONE, PICTURE)


@pytest.mark.parametrize("stage", STAGES)
async def test_questions_about_batches_and_files_of_theirs_go_on_when_we_slept(stage: str, sleep: Sleep) -> None:
    found = json.dumps({"id": "batch_1", "status": "completed", "pad": " " * 200}).encode()
    async with (
        connections(server(found, stage, sleep)) as port,
        BatchApi(base_url=f"http://127.0.0.1:{port}", key=lambda: "k", clock=SystemClock(), loopback=True) as api,
    ):
        assert (await api.get("batch_1")).status == "completed"
        assert (await api.create("file_1", "/v1/images/generations", "t")).id == "batch_1"
        assert b"".join([data async for data in api.content("file_1")]) == found


@pytest.mark.parametrize("stage", STAGES)
async def test_log_is_read_when_we_slept(stage: str, sleep: Sleep) -> None:
    row = {"id": 5, "created_at": 1_800_000_000, "quota": 15_000, "model_name": "m"}
    page = json.dumps({"success": True, "data": {"items": [row], "total": 1}}).encode()
    asked = 0
    answer = server(page, stage, sleep)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        await answer(reader, writer)

    async with connections(serve) as port, LogReader(SystemClock()) as reader:
        query = LogQuery(f"http://127.0.0.1:{port}/log", "token", ("m",), 1_799_999_000, 1_800_001_000)
        assert [each.amount for each in await reader.rows(query)] == [30_000]
    assert asked == 1


async def test_gateway_that_never_answers_is_given_up_in_spite_of_a_sleep(sleep: Sleep) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(LARGE))
        await sleep()
        await asyncio.Event().wait()

    async with connections(serve) as port:
        answer, _ = await a_paid_call(port, seconds=0.3)
    assert answer.ending is CallEnd.TIMED_OUT
