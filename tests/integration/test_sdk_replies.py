"""The other way round: what the official SDK's own reply types write, our client reads."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from openai.types import ImagesResponse
from openai.types.image import Image as SdkImage
from openai.types.images_response import Usage, UsageInputTokensDetails
from PIL import Image

from batchgen.domain.clock import SystemClock
from batchgen.domain.wire import Answer, Call, Ending
from batchgen.gateway.client import Client
from batchgen.store.spool import Spool


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 32), "teal").save(out, "PNG")
    return out.getvalue()


async def read(reply: ImagesResponse, tmp_path: Path) -> tuple[Answer, bytes]:
    """What our client makes of a typed reply, sent by a server that knows nothing of us."""

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(text=reply.model_dump_json(), content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/images/generations", serve)
    spool = Spool.open(tmp_path / "out", tmp_path / "ledger.db", "id", clock=SystemClock())
    try:
        async with TestServer(app) as server, Client(clock=SystemClock(), key=lambda _name: "sk-x") as client:
            url = str(server.make_url("/v1/images/generations"))
            call = Call(1, url, b"{}", "application/json", "K", 10.0, loopback=True)
            sinks = []
            answer = await client.send(call, lambda index: sinks.append(spool.sink(1, index)) or sinks[-1])
            await spool.finish(answer, sinks)
            kept = tmp_path / "out/.batchgen" / answer.pictures[0].file if answer.pictures else None
            return answer, kept.read_bytes() if kept else b""
    finally:
        spool.close()


async def test_client_reads_a_typed_reply_with_an_inline_image_and_usage(tmp_path: Path) -> None:
    data = picture()
    reply = ImagesResponse(
        created=1_795_000_000,
        background="opaque",
        output_format="png",
        quality="high",
        size="1024x1024",
        data=[SdkImage(b64_json=base64.b64encode(data).decode(), revised_prompt="a teal field")],
        usage=Usage(
            input_tokens=50,
            output_tokens=7024,
            total_tokens=7074,
            input_tokens_details=UsageInputTokensDetails(image_tokens=40, text_tokens=10),
        ),
    )
    answer, kept = await read(reply, tmp_path)
    assert answer.ending is Ending.COMPLETE
    assert kept == data
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (50, 7024)
    assert (answer.usage.input_image_tokens, answer.usage.input_text_tokens) == (40, 10)
    assert dict(answer.effective) == {"size": "1024x1024", "quality": "high", "background": "opaque", "format": "png"}
    assert answer.revised_prompt == "a teal field"


@pytest.mark.parametrize("url", ["https://cdn.example/1.png", "https://cdn.example/1.png?sig=a%2Fb&x=1"])
async def test_client_reads_a_typed_reply_with_an_address(tmp_path: Path, url: str) -> None:
    answer, _ = await read(ImagesResponse(created=1, data=[SdkImage(url=url)]), tmp_path)
    assert answer.urls == (url,)
    assert answer.pictures == ()
