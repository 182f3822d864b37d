"""The client at every endpoint: which pictures of a reply are its result, and that nothing else stays behind."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.domain.wire import CallEnd
from batchgen.store.spool.spool import SPOOL
from tests.support.gateway import a_call, a_piece, a_spool, ask, ask_into
from tests.support.sockets import MemorySink, raw_server, served

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
BASE64 = base64.b64encode(PNG).decode()
DATA = f"data:image/png;base64,{BASE64}"


async def test_picture_that_comes_back_is_no_result_and_leaves_nothing_in_the_spool(tmp_path: Path) -> None:
    sent = random.Random(3).randbytes(300_000)
    piece = a_piece(tmp_path / "ref", sent, base64=True)
    echo = "data:image/png;base64," + base64.b64encode(sent).decode()
    result = random.Random(4).randbytes(400_000)
    document = {
        "request": {"messages": [{"content": [{"image_url": {"url": echo}}]}]},
        "choices": [{"message": {"content": f"![i](data:image/png;base64,{base64.b64encode(result).decode()})"}}],
        "tools": [echo],
    }

    async def serve(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response(document)

    with a_spool(tmp_path) as spool:
        async with served(serve) as base:
            answer, sinks = await ask_into(spool, a_call(base, b'{"', piece, b'"}'))
        assert len(sinks) == 3
        assert [one.size for one in answer.pictures] == [len(result)]
        assert (spool.output / SPOOL / answer.pictures[0].file).read_bytes() == result


async def test_refusal_that_shows_the_input_image_is_a_refusal(tmp_path: Path) -> None:
    piece = a_piece(tmp_path / "ref", PNG, base64=True)

    async def serve(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"choices": [{"message": {"content": f"I can't edit ![this]({DATA})."}}]})

    async with served(serve) as base:
        answer = await ask(a_call(base, b'{"', piece, b'"}'))
    assert (answer.pictures, answer.urls) == ((), ())
    assert answer.text.startswith("I can't edit")


@pytest.mark.parametrize(
    ("endpoint", "body", "pictures", "urls"),
    [
        ("chat", {"choices": [{"message": {"content": f"![i]({DATA})"}}]}, 1, ()),
        ("chat", {"choices": [{"message": {"content": "![i](https://x.com/a.png)."}}]}, 0, ("https://x.com/a.png",)),
        ("responses", {"output": [{"type": "image_generation_call", "result": BASE64}]}, 1, ()),
        ("edits", {"data": [{"b64_json": DATA}], "echo": "data:image/png;base64,QUJD"}, 1, ()),
        ("batch", {"response": {"body": {"data": [{"b64_json": BASE64}]}}}, 1, ()),
    ],
)
async def test_client_reads_the_reply_of_each_endpoint(
    endpoint: str, body: object, pictures: int, urls: tuple[str, ...]
) -> None:
    async def serve(_request: web.Request) -> web.Response:
        return web.json_response(body)

    made: dict[int, MemorySink] = {}
    async with served(serve) as base:
        answer = await ask(a_call(base, b"{}", endpoint=endpoint), made)
    assert answer.is_json
    assert (len(answer.pictures), answer.urls, answer.text) == (pictures, urls, "")
    assert [bytes(made[int(one.file.split("-")[1])].data) for one in answer.pictures] == [PNG] * pictures


@pytest.mark.parametrize("end", ["closed", "frame too long"])
async def test_chat_that_breaks_off_within_its_picture_is_cut(end: str) -> None:
    body = json.dumps({"choices": [{"message": {"content": f"![i]({DATA})"}}]}).encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        cut = body[:2000] if end == "closed" else body
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body) + 50, cut))
        await writer.drain()

    async with raw_server(serve) as base:
        answer = await ask(a_call(base, b"{}"))
    if end == "closed":
        assert answer.ending is CallEnd.CUT
        assert "ended inside" in answer.pictures[0].damage
    else:
        assert answer.ending is CallEnd.COMPLETE
        assert answer.picture is not None
