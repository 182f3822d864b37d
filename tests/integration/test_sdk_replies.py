"""The other way round: what the official SDK's own reply types write, our client reads."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from aiohttp import web
from openai.types import ImagesResponse
from openai.types.chat import ChatCompletion
from openai.types.image import Image as SdkImage
from openai.types.images_response import Usage, UsageInputTokensDetails
from openai.types.responses import Response
from PIL import Image
from pydantic import BaseModel

from batchgen.domain.wire import Answer, CallEnd
from batchgen.store.spool.spool import SPOOL
from tests.support.gateway import a_call, a_spool, ask_into
from tests.support.sockets import served


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 32), "teal").save(out, "PNG")
    return out.getvalue()


async def read(reply: BaseModel, tmp_path: Path, endpoint: str = "generations") -> tuple[Answer, bytes]:
    """What our client makes of a typed reply, sent by a server that knows nothing of us."""

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(text=reply.model_dump_json(), content_type="application/json")

    with a_spool(tmp_path) as spool:
        async with served(serve) as base:
            answer, _ = await ask_into(spool, a_call(base, b"{}", endpoint=endpoint))
        kept = spool.output / SPOOL / answer.pictures[0].file if answer.pictures else None
        return answer, kept.read_bytes() if kept else b""


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
    assert answer.ending is CallEnd.COMPLETE
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


async def test_client_reads_a_typed_chat_completion_with_a_data_url(tmp_path: Path) -> None:
    data = picture()
    content = f"\n\n![image](data:image/png;base64,{base64.b64encode(data).decode()})"
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    reply = ChatCompletion.model_validate(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )
    answer, kept = await read(reply, tmp_path, "chat")
    assert kept == data
    assert answer.text == ""
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (9, 2)


def response(**item: object) -> Response:
    """A typed response with one call of the image tool, and the tool as it was asked for, mask and all."""
    tokens = {"input_tokens": 10, "output_tokens": 196, "total_tokens": 206}
    image_tokens = {**tokens, "input_tokens_details": {"image_tokens": 6, "text_tokens": 4}}
    main = {"input_tokens": 50, "output_tokens": 30, "total_tokens": 80}
    details = {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    mask = "data:image/png;base64," + base64.b64encode(b"a mask").decode()
    return Response.model_validate(
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1.0,
            "model": "gpt-5.2",
            "parallel_tool_calls": False,
            "tool_choice": {"type": "image_generation"},
            "tools": [{"type": "image_generation", "input_image_mask": {"image_url": mask}}],
            "output": [{"type": "image_generation_call", "id": "ig_1", "status": "completed", **item}],
            "usage": {**main, **details},
            "tool_usage": {"image_gen": image_tokens, "web_search": {"num_requests": 0}},
        }
    )


async def test_client_reads_a_typed_response_and_not_the_mask_that_it_repeats(tmp_path: Path) -> None:
    data = picture()
    reply = response(result=base64.b64encode(data).decode(), size="1024x1024", quality="low", output_format="png")
    answer, kept = await read(reply, tmp_path, "responses")
    assert kept == data
    assert len(answer.pictures) == 1
    assert answer.usage is not None
    assert (answer.usage.input_text_tokens, answer.usage.input_image_tokens, answer.usage.output_tokens) == (4, 6, 196)
    assert (answer.usage.main_input_tokens, answer.usage.main_output_tokens) == (50, 30)
    assert dict(answer.effective) == {"size": "1024x1024", "quality": "low", "format": "png"}


async def test_client_reads_the_error_of_a_typed_response(tmp_path: Path) -> None:
    wrong = {"code": "moderation_blocked", "message": "No.", "type": "image_generation_user_error"}
    answer, _ = await read(response(status="failed", error=wrong), tmp_path, "responses")
    assert answer.pictures == ()
    assert answer.error is not None
    assert (answer.error.code, answer.error.message) == ("moderation_blocked", "No.")
