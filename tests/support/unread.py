"""A gateway whose answers nobody can read, or a client that does not know where their pictures stand."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import Contract
from batchgen.domain.wire import Answer, Call
from batchgen.gateway.scan import SinkFactory
from tests.support.rig import Rig
from tests.support.sockets import served
from tests.support.store import png

PICTURE = png(1280, 1280, depth=1, colour=0)
STRANGE = {"drawn": {"where": "nobody knows"}}


def good(seed: int = 0) -> dict[str, object]:
    """An answer with its picture where everybody looks for it."""
    picture = png(1280, 1280, depth=1, colour=0, seed=seed)
    return {"created": 1, "data": [{"b64_json": base64.b64encode(picture).decode()}]}


@asynccontextmanager
async def gateway(
    answer: Callable[[int], object], *, status: int = 200, calls: list[str] | None = None
) -> AsyncIterator[Contract]:
    """A route whose gateway answers its calls, counted from 1, as told, and has a picture at every other address."""
    asked: list[str] = [] if calls is None else calls

    async def serve(request: web.Request) -> web.Response:
        await request.read()
        asked.append(request.method)
        if request.method == "GET":
            return web.Response(body=PICTURE, content_type="image/png")
        return web.json_response(answer(asked.count("POST")), status=status)

    async with served(serve) as base:
        yield replace(load_catalog().find("apiyi/gpt-image-2-vip"), base_url=base, keys=("K",))


def recognise_nothing(run: Rig) -> None:
    """Have the client of a run not know where pictures and addresses stand."""
    send = run.gateway.client.send

    async def unread(call: Call, sinks: SinkFactory) -> Answer:
        answer = await send(call, sinks)
        marks = [{"b64_json": f"#{number}"} for number in range(len(answer.pictures))]
        text = json.dumps({"data": [*marks, *({"url": url} for url in answer.urls)]})
        return replace(answer, pictures=(), urls=(), spare=answer.pictures, unread=text)

    run.gateway.client.send = unread  # type: ignore[method-assign]


def kept(run: Rig) -> dict[str, bytes]:
    """The files of the kept answers."""
    folder: Path = run.plan.job.output / ".batchgen" / "kept"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.exists() else {}
