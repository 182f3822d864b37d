"""Calls that send files: streamed, of an exact length, and judged by the bytes that left."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import resource
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from batchgen.domain.clock import SystemClock
from batchgen.domain.wire import CallEnd, FilePiece
from batchgen.gateway import sending
from batchgen.gateway.client import Client
from batchgen.gateway.request import build_call
from tests.support.gateway import (
    a_call,
    a_claim,
    a_file,
    a_piece,
    ask,
    contract,
    inputs,
    whole,
)
from tests.support.sockets import MemorySink, raw_server, served

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.mark.parametrize("size", [0, 1, 2, 3, 393_215, 393_216, 393_217, 1_000_000])
@pytest.mark.parametrize("as_text", [False, True])
async def test_body_arrives_byte_for_byte_with_its_exact_length(tmp_path: Path, size: int, as_text: bool) -> None:
    content = random.Random(size).randbytes(size)
    piece = a_piece(tmp_path / "a", content, base64=as_text)
    got: list[tuple[str | None, bytes]] = []

    async def serve(request: web.Request) -> web.Response:
        got.append((request.headers.get("content-length"), await request.read()))
        return web.json_response({"data": []})

    async with served(serve) as base:
        call = a_call(base, b'{"a":"', piece, b'","b":"', piece, b'"}')
        answer = await ask(call)
    assert answer.ending is CallEnd.COMPLETE
    assert got == [(str(len(whole(call.body))), whole(call.body))]


async def test_form_is_read_by_a_server_that_is_not_ours(tmp_path: Path) -> None:
    one, two, mask = (
        a_file(tmp_path / name, PNG * count, name) for count, name in ((1, "a.png"), (50, "b.png"), (2, "m"))
    )
    parts: list[tuple[str | None, str | None, bytes]] = []

    async def serve(request: web.Request) -> web.Response:
        async for part in await request.multipart():
            assert isinstance(part, aiohttp.BodyPartReader)
            parts.append((part.name, part.filename, bytes(await part.read())))
        return web.json_response({"data": [{"b64_json": base64.b64encode(PNG * 3).decode()}]})

    async with served(serve) as base:
        route = replace(contract("openai/gpt-image-2"), base_url=base, keys=())
        answer = await ask(build_call(1, a_claim(text="x"), route, inputs(one, two, mask=mask)))
    assert answer.picture is not None
    assert parts == [
        ("model", None, b"gpt-image-2"),
        ("prompt", None, b"x"),
        ("size", None, b"2048x2048"),
        ("image[]", "a.png", PNG),
        ("image[]", "b.png", PNG * 50),
        ("mask", "m", PNG * 2),
    ]


async def test_file_that_is_gone_or_another_is_not_sent_and_asked_for_once(tmp_path: Path) -> None:
    requests: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append((await reader.read(1)).decode())

    good = a_piece(tmp_path / "good", PNG)
    cases = (("gone", 5, "cannot be read: No such file"), ("short", 3, "3 bytes"), ("long", 9, "9 bytes"))
    async with raw_server(serve) as base:
        for name, size, words in cases:
            bad = replace(a_piece(tmp_path / name, b"x" * size), size=5)
            if name == "gone":
                (tmp_path / name).unlink()
            answer = await ask(a_call(base, b"head", good, b"x", bad))
            assert (answer.ending, answer.sent_at, answer.total) == (CallEnd.NOT_SENT, 0.0, 0.0)
            assert words in answer.detail
            assert name in answer.detail
    assert not any(requests)
    assert len(requests) <= len(cases)  # a file that is gone is not tried again over another connection


@pytest.mark.parametrize("change", ["truncated", "removed"])
async def test_file_that_changes_while_it_is_sent_closes_the_connection_and_the_call_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    first, second = a_piece(tmp_path / "a", bytes(3_000_000)), a_piece(tmp_path / "b", bytes(3_000_000))
    got = bytearray()
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            got.extend(data)
        closed.set()

    real = sending.stream

    async def changing(pieces: tuple[bytes | FilePiece, ...]) -> AsyncIterator[bytes]:
        count = 0
        async for data in real(pieces):
            yield data
            count += 1
            if count == 3:
                os.truncate(second.path, 2_000_000) if change == "truncated" else Path(second.path).unlink()

    monkeypatch.setattr(sending, "stream", changing)
    async with raw_server(serve) as base:
        answer = await ask(a_call(base, b"{", first, second, b"}"))
        await asyncio.wait_for(closed.wait(), 5)
    assert answer.ending is CallEnd.SEND_FAILED
    assert answer.sent_at > 0
    assert ("2000000 bytes where 3000000" if change == "truncated" else "cannot be read") in answer.detail
    assert len(got) < 6_000_000


async def test_large_file_and_large_picture_take_no_memory(tmp_path: Path) -> None:
    """60 MB up as base64 and 20 MB down within a chat's text, with a process that grows by a fraction of either."""
    piece = a_piece(tmp_path / "a", bytes(60_000_000), base64=True)
    picture = base64.b64encode(bytes(3 << 14))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = piece.length + 4
        while left:
            left -= len(await reader.read(min(left, 1 << 16)))
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
            b'{"choices":[{"message":{"content":"![i](data:image/png;base64,'
        )
        for _ in range(420):
            writer.write(picture)
            await writer.drain()
        writer.write(b')"}}]}')

    class Counting(MemorySink):
        async def write(self, data: bytes | memoryview) -> None:
            total[0] += len(data)

    total = [0]
    async with raw_server(serve) as base, Client(clock=SystemClock(), key=lambda _name: "") as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer = await client.send(a_call(base, b'{"', piece, b'"}', timeout=60), Counting)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert answer.ending is CallEnd.COMPLETE
    assert answer.picture is not None
    assert answer.picture.size == total[0] == 420 * (3 << 14) > 20_000_000
    assert grown < 15_000_000
