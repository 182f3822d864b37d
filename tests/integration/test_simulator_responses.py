"""The Responses endpoint of the simulated OpenAI: what it takes, its replies and their two bills."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import aiohttp
import pytest
from openai.types.responses import Response
from PIL import Image

from batchgen.contracts.tokens import MainPrice
from batchgen.simulator.bill import Bill
from batchgen.simulator.faults import Options
from batchgen.simulator.serve import start
from tests.integration import test_simulator
from tests.integration.test_simulator import CATALOG, KEY, OFFICIAL, VIP
from tests.integration.test_simulator_edits import data_url, picture

bench = test_simulator.bench
TOOL = {"type": "image_generation", "quality": "low", "size": "1024x1024"}


def body(asked="A mug", tool=None, **more):
    document = {"model": "gpt-6-astra", "input": asked, "tools": [{**TOOL, **(tool or {})}], "store": False, **more}
    document["tools"] = [{name: value for name, value in document["tools"][0].items() if value is not ...}]
    return {name: value for name, value in document.items() if value is not ...}


async def respond(gateway, *args, **more):
    return await gateway.call("POST", "responses", json=body(*args, **more))


def said(text, *urls):
    parts = [{"type": "input_text", "text": text}, *({"type": "input_image", "image_url": url} for url in urls)]
    return [{"role": "user", "content": parts}]


async def test_reply_is_what_the_sdks_types_ask_for(bench):
    gateway = await bench(OFFICIAL)
    answer = await respond(gateway, tool={"output_format": "webp", "background": "opaque"})
    reply = Response.model_validate(answer.json, strict=True)
    call, message = reply.output
    assert (call.type, call.status, call.action, call.size, call.quality) == (
        *("image_generation_call", "completed", "generate"),
        *("1024x1024", "low"),
    )
    assert (call.output_format, call.background, call.revised_prompt) == ("webp", "opaque", "A mug")
    image = Image.open(io.BytesIO(base64.b64decode(call.result, validate=True)))
    assert (image.format, image.size) == ("WEBP", (1024, 1024))
    assert (message.type, message.role) == ("message", "assistant")
    assert (reply.status, reply.model) == ("completed", "gpt-6-astra")


async def test_image_tokens_are_billed_and_the_mainline_model_where_it_has_a_price(bench, tmp_path):
    gateway = await bench(OFFICIAL, "pictures=plain")
    answer = await respond(gateway)
    reply = Response.model_validate(answer.json)
    assert (reply.tool_usage.image_gen.output_tokens, reply.tool_usage.image_gen.input_tokens) == (196, 2)
    assert reply.usage.input_tokens > 0
    assert gateway.last.charged == 196 * 30 + 2 * 5
    assert (gateway.last.endpoint, gateway.last.model) == ("responses", "gpt-image-2")

    priced = replace(CATALOG.find(OFFICIAL), main_price=MainPrice(1_250_000, 10_000_000, "a test"))
    running = await start([priced], Options.parse(["latency=0"]), tmp_path / "priced.jsonl")
    async with (
        aiohttp.ClientSession() as session,
        session.post(running.base_url(OFFICIAL) + "/responses", json=body(), headers=KEY) as got,
    ):
        reply = Response.model_validate(await got.json())
    await running.close()
    exact = 196 * 30 + 2 * 5 + reply.usage.input_tokens * 1.25 + reply.usage.output_tokens * 10
    assert next(iter(Bill.lines(tmp_path / "priced.jsonl"))).charged == -(-exact // 1)


async def test_references_count_as_image_input_and_make_it_an_edit(bench):
    gateway = await bench(OFFICIAL)
    urls = ("https://example.com/a.png", data_url(picture((2048, 2048))))
    reply = Response.model_validate((await respond(gateway, said("Make it red", *urls))).json)
    details = reply.tool_usage.image_gen.input_tokens_details
    assert (details.image_tokens, details.text_tokens) == (1024 + 1521, 3)
    assert reply.output[0].action == "edit"
    assert gateway.last.references == 2


async def test_mask_and_uploaded_file_are_taken(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    kept = await gateway.call("POST", "files", form=[("purpose", "vision"), ("file", picture())])
    asked = [{"role": "user", "content": [{"type": "input_image", "file_id": kept.json["id"]}]}]
    asked[0]["content"].append({"type": "input_text", "text": "red"})
    mask = {"image_url": data_url(picture(mode="RGBA"))}
    assert (await respond(gateway, asked, tool={"input_image_mask": mask})).status == 200
    bad = {"image_url": data_url(picture())}
    assert (await respond(gateway, asked, tool={"input_image_mask": bad})).status == 400


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"model": "gpt-image-2"}, "model"),
        ({"model": "gpt-image-2.6-sunburst"}, "model"),
        ({"model": ...}, "model"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool": {"size": "100x100"}}, "tools[0].size"),
        ({"tool": {"quality": "ultra"}}, "tools[0].quality"),
        ({"tool": {"response_format": "b64_json"}}, "tools[0].response_format"),
        ({"tool": {"colour": "red"}}, "tools[0].colour"),
        ({"tool": {"input_fidelity": "high"}}, "tools[0].input_fidelity"),
        ({"tool": {"action": "paint"}}, "tools[0].action"),
        ({"tool": {"action": "edit"}}, "image"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tool_choice": "none"}, "tool_choice"),
        ({"stream": True}, "stream"),
        ({"asked": ""}, "prompt"),
        ({"asked": ...}, "input"),
        ({"asked": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}, "input[0].content"),
        ({"prompt": "A mug"}, "prompt"),
    ],
    ids=range(18),
)
async def test_what_is_wrong_is_named_and_free(bench, more, param):
    gateway = await bench(OFFICIAL, "pictures=plain")
    answer = await respond(gateway, **more)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert (gateway.last.kind, gateway.last.charged) == ("rejected", 0)


async def test_tool_of_another_model_is_not_found(bench):
    gateway = await bench(OFFICIAL)
    assert (await respond(gateway, tool={"model": "gpt-image-9"})).error["code"] == "model_not_found"
    assert (await respond(gateway, tool={"model": "gpt-image-2"})).status == 200


@pytest.mark.parametrize("fault", ["refuse-text", "refuse"])
async def test_refusal_is_a_200_without_a_picture_that_costs_no_image_tokens(bench, fault):
    gateway = await bench(OFFICIAL)
    answer = await respond(gateway, f"A mug [[sim:{fault}]]")
    reply = Response.model_validate(answer.json)
    assert answer.status == 200
    assert reply.tool_usage.image_gen.total_tokens == 0
    assert gateway.last.charged == 0
    if fault == "refuse":
        (call,) = reply.output
        assert (call.status, call.result, call.error.code) == ("failed", None, "moderation_blocked")
    else:
        assert [part.type for part in reply.output[0].content] == ["refusal"]


async def test_forbidden_word_meets_both_refusals(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    for number in range(12):
        await respond(gateway, f"a forbidden mug {number}")
    assert {line.kind for line in gateway.lines} == {"refused_text"}
    assert {line.fault for line in gateway.lines} == {"refuse", "refuse-text"}


async def test_conversations_that_are_stored_are_counted(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    for store in (False, True, ...):
        await respond(gateway, store=store)
    await gateway.ask(quality="low")
    assert (await gateway.get("/_sim/stats")).json["stored"] == 2


async def test_route_without_responses_has_no_such_endpoint(bench):
    gateway = await bench(VIP)
    assert (await respond(gateway)).status == 404
