"""Answers that nobody asked for: what lies on a connection before a request is not what it brings."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable

import pytest

from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import GatewayError
from batchgen.domain.wire import Answer, Call, CallEnd, Fetch
from batchgen.gateway.batch.api import BatchApi
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from batchgen.gateway.sending import RequestBody
from tests.support.gateway import a_piece
from tests.support.sockets import MemorySink, connections

OTHER = b"\x89PNG\r\n\x1a\nanother product"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reply(picture: bytes, *, head: bytes = b"HTTP/1.1 200 OK\r\n") -> bytes:
    body = json.dumps({"data": [{"b64_json": b64encode(picture).decode()}]}).encode()
    return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """The next request's body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = head.partition("content-length: ")[2].split()
    return await reader.readexactly(int(length[0])) if length else b""


def picture_of(body: bytes) -> bytes:
    """The right picture for a request."""
    return b"\x89PNG\r\n\x1a\n" + body


async def a_paid_call(client: Client, port: int, *pieces: object) -> tuple[Answer, bytes]:
    """One call, and the picture that it brought."""
    sink, base = MemorySink(0), f"http://127.0.0.1:{port}/v1/images/generations"
    call = Call(7, "generations", base, pieces, "application/json", "", 5.0, loopback=True)  # type: ignore[arg-type]
    answer = await client.send(call, lambda _: sink)
    return answer, bytes(sink.data)


def after(answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> Serve:
    """Answers every request rightly, and then says what nobody asked for; stays on the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            right = reply(picture_of(await request_of(reader)))
            writer.write(right)
            await answer(writer)

    return serve


async def in_one_segment(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(reply(picture_of(await request_of(reader))) + reply(OTHER))
        await writer.drain()


def later(seconds: float) -> Serve:
    async def answer(writer: asyncio.StreamWriter) -> None:
        await writer.drain()
        await asyncio.sleep(seconds)
        writer.write(reply(OTHER))
        await writer.drain()

    return after(answer)


async def continue_twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        body = await request_of(reader)
        interim = b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(interim + interim + reply(picture_of(body)) + interim + reply(OTHER))
        await writer.drain()


async def given_up_and_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Each answer is sent once more when the next request of that connection is there."""
    last = b""
    while True:
        body = await request_of(reader)
        writer.write(last + reply(picture_of(body)))
        await writer.drain()
        last = reply(OTHER)


@pytest.mark.parametrize(
    "serve",
    [in_one_segment, later(0.001), later(0.01), later(0.1), continue_twice, given_up_and_late],
    ids=["in one segment", "1 ms later", "10 ms later", "100 ms later", "with interim answers", "at the next request"],
)
async def test_second_answer_is_never_that_of_the_next_call(serve: Serve) -> None:
    async with connections(serve) as port, Client(clock=SystemClock(), key=lambda _: "") as client:
        for number in range(12):
            body = b'{"prompt":"product %d"}' % number
            answer, picture = await a_paid_call(client, port, body)
            assert (answer.ending, picture) == (CallEnd.COMPLETE, picture_of(body))
            await asyncio.sleep(0.02 if number % 2 else 0)


UNASKED = {
    "whole": reply(OTHER),
    "interim": b"HTTP/1.1 100 Continue\r\n\r\n",
    "the beginning of a head": b"HTTP/1.1 20",
    "a head": reply(OTHER).partition(b"{")[0],
    "one byte": b"H",
    "not HTTP": b"220 mail ready\r\n",
}


@pytest.mark.parametrize("unasked", UNASKED)
async def test_answer_that_comes_before_the_request_is_none_and_nothing_is_sent(unasked: str) -> None:
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(UNASKED[unasked])
        got.append(await reader.read(100))
        writer.write(reply(OTHER))

    async with connections(serve) as port, Client(clock=SystemClock(), key=lambda _: "") as client:
        for _ in range(5):
            answer, picture = await a_paid_call(client, port, b'{"prompt":"mug"}')
            assert (answer.ending, answer.status, picture) == (CallEnd.NOT_SENT, 0, b"")
            assert "spoke before it was asked" in answer.detail
    assert not any(got)


async def test_answer_that_comes_while_input_files_are_looked_at_is_none(tmp_path, monkeypatch) -> None:
    """The connection stands, and no byte of the request has left."""
    looking, said = asyncio.Event(), asyncio.Event()
    real = RequestBody.write_with_length

    async def slow(self: RequestBody, writer: object, content_length: int | None) -> None:
        looking.set()
        await said.wait()
        await asyncio.sleep(0)
        await real(self, writer, content_length)  # type: ignore[arg-type]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await looking.wait()
        writer.write(reply(OTHER))
        await writer.drain()
        await reader.read(1)  # it hangs up
        said.set()

    monkeypatch.setattr(RequestBody, "write_with_length", slow)
    piece = a_piece(tmp_path / "cup", b"x" * 100)
    async with connections(serve) as port, Client(clock=SystemClock(), key=lambda _: "") as client:
        answer, picture = await a_paid_call(client, port, b"{", piece, b"}")
    assert (answer.ending, picture) == (CallEnd.NOT_SENT, b"")


async def test_download_and_file_of_a_batch_are_not_what_came_before_they_were_asked_for() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OTHER), OTHER))
        await reader.read(1 << 16)

    sink = MemorySink(0)
    async with connections(serve) as port, Downloader() as downloader:
        base = f"http://127.0.0.1:{port}"
        download = await downloader.fetch(f"{base}/x.png", sink, loopback_base=base)
        assert (download.fetch, sink.data) == (Fetch.AGAIN, b"")
        async with BatchApi(base_url=base, key=lambda: "k", clock=SystemClock(), loopback=True) as api:
            with pytest.raises(GatewayError, match="spoke before it was asked"):
                assert [data async for data in api.content("f")] == []
