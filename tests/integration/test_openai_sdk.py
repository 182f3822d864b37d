"""The official SDK as a foreign client of the simulator: its typed replies and typed errors show that the double is true."""

from __future__ import annotations

import asyncio
import base64
import io
import json

import openai
import pytest
from openai.types import Batch, FileObject, ImagesResponse
from openai.types.responses import Response
from PIL import Image

from batchgen.contracts.catalog import load_catalog
from batchgen.simulator.bill import Bill
from batchgen.simulator.faults import Options
from batchgen.simulator.serve import start

OFFICIAL, VIP = "openai/gpt-image-2", "apiyi/gpt-image-2-vip"


@pytest.fixture
async def simulator(tmp_path):
    """Both kinds of route."""
    contracts = [load_catalog().find(route) for route in (OFFICIAL, VIP)]
    running = await start(
        contracts,
        Options.parse(["latency=0", "retry_after=20ms", "b64=raw", "batch_seconds=0"]),
        tmp_path / "bill.jsonl",
    )
    yield running
    await running.close()


@pytest.fixture
async def sdk(simulator):
    """Makes clients of the SDK: `sdk(route, **settings)`."""
    clients = []

    def make(route=OFFICIAL, **settings):
        settings = {"api_key": "sk-test", "max_retries": 0, **settings}
        clients.append(openai.AsyncOpenAI(base_url=simulator.base_url(route), **settings))
        return clients[-1]

    yield make
    for client in clients:
        await client.close()


def lines(simulator):
    return list(Bill.lines(simulator.state.bill.path))


async def test_official_reply_is_typed_with_usage_and_what_was_delivered(sdk, simulator):
    reply = await sdk().images.generate(
        model="gpt-image-2",
        prompt="A mug",
        size="1536x1024",
        quality="medium",
        output_format="webp",
        background="opaque",
    )
    assert isinstance(reply, ImagesResponse)
    assert (reply.size, reply.quality, reply.output_format, reply.background) == (
        "1536x1024",
        "medium",
        "webp",
        "opaque",
    )
    assert reply.created > 1_700_000_000
    assert (reply.usage.output_tokens, reply.usage.input_tokens_details.text_tokens) == (1372, 2)
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens
    image = Image.open(io.BytesIO(base64.b64decode(reply.data[0].b64_json, validate=True)))
    assert (image.format, image.size) == ("WEBP", (1536, 1024))
    assert reply.data[0].url is None
    assert lines(simulator)[-1].charged == 1372 * 30 + 2 * 5


async def test_reverse_reply_is_typed_with_base64_and_with_an_address(sdk, simulator):
    client = sdk(VIP)
    inline = await client.images.generate(model="gpt-image-2-vip", prompt="A mug", size="2048x1152")
    assert base64.b64decode(inline.data[0].b64_json).startswith(b"\x89PNG")
    by_url = await client.images.generate(
        model="gpt-image-2-vip", prompt="A mug", size="2048x1152", response_format="url"
    )
    assert by_url.data[0].b64_json is None
    assert by_url.data[0].url.startswith(simulator.root + "/img/")


async def test_request_id_is_where_the_sdk_looks_for_it(sdk, simulator):
    reply = await sdk().images.generate(model="gpt-image-2", prompt="A mug", quality="low")
    assert reply._request_id == lines(simulator)[-1].request_id


@pytest.mark.parametrize(
    ("fields", "error", "code", "param"),
    [
        ({"response_format": "b64_json"}, openai.BadRequestError, "unknown_parameter", "response_format"),
        ({"size": "1792x936"}, openai.BadRequestError, "invalid_value", "size"),
        ({"prompt": "something forbidden"}, openai.BadRequestError, "moderation_blocked", None),
        ({"model": "gpt-image-9"}, openai.NotFoundError, "model_not_found", None),
        ({"prompt": "[[sim:401]]"}, openai.AuthenticationError, "invalid_api_key", None),
        ({"prompt": "[[sim:429]]"}, openai.RateLimitError, "rate_limit_exceeded", None),
        ({"prompt": "[[sim:quota]]"}, openai.RateLimitError, "insufficient_quota", None),
        ({"prompt": "[[sim:500]]"}, openai.InternalServerError, "server_error", None),
        ({"prompt": "[[sim:502]]"}, openai.InternalServerError, None, None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_error_is_the_sdks_own_type_with_code_and_param(sdk, fields, error, code, param):
    with pytest.raises(error) as caught:
        await sdk().images.generate(**{"model": "gpt-image-2", "prompt": "A mug", **fields})
    assert (caught.value.code, caught.value.param) == (code, param)


async def test_key_that_is_missing_is_an_authentication_error(sdk):
    with pytest.raises(openai.AuthenticationError, match="didn't provide an API key"):
        await sdk(default_headers={"Authorization": ""}).images.generate(model="gpt-image-2", prompt="A mug")


async def test_lost_answer_is_a_connection_error(sdk, simulator):
    with pytest.raises(openai.APIConnectionError):
        await sdk().images.generate(model="gpt-image-2", prompt="[[sim:drop]]", quality="low")
    assert lines(simulator)[-1].charged > 0


async def test_hanging_call_is_a_timeout_error(sdk):
    with pytest.raises(openai.APITimeoutError):
        await sdk(timeout=0.1).images.generate(model="gpt-image-2", prompt="[[sim:hang]]")


async def test_sdk_obeys_retry_after_and_pays_once(sdk, simulator):
    reply = await sdk(max_retries=2).images.generate(model="gpt-image-2", prompt="[[sim:429,429]] A mug", quality="low")
    assert reply.data
    assert [line.status for line in lines(simulator)] == [429, 429, 200]
    assert [line.charged > 0 for line in lines(simulator)] == [False, False, True]


async def test_sdk_pays_again_for_a_lost_answer_which_is_why_it_is_not_used(sdk, simulator):
    with pytest.raises(openai.APIConnectionError):
        await sdk(max_retries=1).images.generate(model="gpt-image-2", prompt="[[sim:drop]] A mug", quality="low")
    assert Bill.read(simulator.state.bill.path).repeated == 1


# --- edits ---


def png(size=(1024, 1024), mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, size, (200, 30, 30) if mode == "RGB" else (200, 30, 30, 0)).save(file, "PNG")
    return ("a.png", file.getvalue(), "image/png")


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_edit_of_one_image_and_of_lists_is_typed_with_usage(sdk, simulator, count):
    image = [png()] * count if count else png()
    reply = await sdk().images.edit(
        model="gpt-image-2", image=image, prompt="Make it red", size="1024x1024", quality="low", output_format="jpeg"
    )
    assert isinstance(reply, ImagesResponse)
    assert reply.usage.input_tokens_details.image_tokens == 1024 * max(count, 1)
    assert reply.usage.output_tokens == 196
    assert base64.b64decode(reply.data[0].b64_json).startswith(b"\xff\xd8")
    assert lines(simulator)[-1].charged == 1024 * max(count, 1) * 8 + 3 * 5 + 196 * 30


async def test_edit_with_a_mask_is_taken_and_a_mask_of_another_size_is_not(sdk):
    fields = {"model": "gpt-image-2", "image": png(), "prompt": "Make it red", "quality": "low"}
    reply = await sdk().images.edit(**fields, mask=png(mode="RGBA"))
    assert reply.data[0].b64_json
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk().images.edit(**fields, mask=png((64, 64), "RGBA"))
    assert caught.value.param == "mask"


async def test_list_sent_to_a_reverse_route_has_the_wrong_field_name(sdk):
    reply = await sdk(VIP).images.edit(model="gpt-image-2-vip", image=png(), prompt="Make it red", size="1280x1280")
    assert reply.data[0].b64_json
    with pytest.raises(openai.UnprocessableEntityError, match="field required"):
        await sdk(VIP).images.edit(model="gpt-image-2-vip", image=[png()], prompt="Make it red", size="1280x1280")


# --- responses ---


async def test_response_with_the_image_tool_is_typed_with_both_usages(sdk, simulator):
    reply = await sdk().responses.create(
        model="gpt-6-astra",
        input="A mug",
        tools=[{"type": "image_generation", "model": "gpt-image-2", "size": "1024x1024", "quality": "low"}],
        tool_choice={"type": "image_generation"},
        store=False,
    )
    assert isinstance(reply, Response)
    assert (reply.status, reply.output_text) == ("completed", "")
    call = reply.output[0]
    assert (call.type, call.status, call.size, call.quality) == (
        "image_generation_call",
        "completed",
        "1024x1024",
        "low",
    )
    assert Image.open(io.BytesIO(base64.b64decode(call.result))).size == (1024, 1024)
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens > 0
    assert reply.tool_usage.image_gen.output_tokens == 196
    assert lines(simulator)[-1].charged == 196 * 30 + 2 * 5


async def test_refused_response_is_typed_too(sdk):
    tools = [{"type": "image_generation"}]
    blocked = await sdk().responses.create(model="gpt-6-astra", input="[[sim:refuse]]", tools=tools, store=False)
    assert (blocked.output[0].status, blocked.output[0].error.code) == ("failed", "moderation_blocked")
    said = await sdk().responses.create(model="gpt-6-astra", input="[[sim:refuse-text]]", tools=tools, store=False)
    assert said.output[0].content[0].refusal


# --- batches ---


async def test_batch_is_created_followed_listed_and_read(sdk, simulator):
    client = sdk()
    body = {"model": "gpt-image-2", "prompt": "A mug", "size": "1024x1024", "quality": "low"}
    requests = [
        {"custom_id": f"sku-{number}", "method": "POST", "url": "/v1/images/generations", "body": body}
        for number in range(3)
    ]
    text = "".join(json.dumps(request) + "\n" for request in requests).encode()
    file = await client.files.create(file=("in.jsonl", text), purpose="batch")
    assert isinstance(file, FileObject)
    batch = await client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/images/generations",
        completion_window="24h",
        metadata={"job": "spring"},
    )
    assert isinstance(batch, Batch)
    assert batch.status == "validating"
    while batch.status not in {"completed", "failed"}:
        await asyncio.sleep(0.005)
        batch = await client.batches.retrieve(batch.id)
    assert (batch.status, batch.request_counts.completed, batch.usage.output_tokens) == ("completed", 3, 3 * 196)
    listed = [each async for each in client.batches.list(limit=1)]
    assert [each.id for each in listed] == [batch.id]
    assert listed[0].metadata == {"job": "spring"}
    content = await client.files.content(batch.output_file_id)
    records = [json.loads(line) for line in content.text.splitlines()]
    assert {record["custom_id"] for record in records} == {"sku-0", "sku-1", "sku-2"}
    for record in records:
        reply = ImagesResponse.model_validate(record["response"]["body"])
        assert (reply.usage.output_tokens, reply.size) == (196, "1024x1024")
    assert [line.charged for line in lines(simulator)] == [(196 * 30 + 2 * 5) // 2] * 3
    assert (await client.files.delete(file.id)).deleted
