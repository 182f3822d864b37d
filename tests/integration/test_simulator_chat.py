"""The chat endpoint of the simulated reverse routes: every shape of reply, sizes, references, refusals."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest
from PIL import Image

from batchgen.simulator.faults import CHAT_SHAPES
from tests.integration import test_simulator
from tests.integration.test_simulator import ALL, KEY, LAO_VIP, LAO_WEB, OFFICIAL, VIP
from tests.integration.test_simulator_edits import RED, data_url, picture

bench = test_simulator.bench
BY_ADDRESS = {"markdown-url", "bare-url", "link"}


async def chat(gateway, content="Generate an image: a mug", **more):
    messages = more.pop("messages", [{"role": "user", "content": content}])
    body = {"model": gateway.contract.model, "messages": messages, **more}
    return await gateway.call("POST", "chat/completions", json=body)


async def images_in(gateway, answer):
    """Every picture of a reply, whatever its shape, as files."""
    text = json.dumps(answer.json).replace("\\n", " ")
    files = [(await gateway.get(url)).body for url in re.findall(r"https?://[^\s\"')]+", text)]
    encoded = re.findall(r"data:image/\w+;base64,([A-Za-z0-9+/=]+)", text)
    return files + [base64.b64decode(each + "=" * (-len(each) % 4)) for each in encoded]


@pytest.mark.parametrize("shape", CHAT_SHAPES)
async def test_picture_comes_in_the_shape_asked_for(bench, shape):
    gateway = await bench(LAO_WEB, f"chat={shape}", "b64=prefix")
    answer = await chat(gateway, response_format="b64_json")
    reply = answer.json
    files = await images_in(gateway, answer)
    assert [Image.open(io.BytesIO(file)).size for file in files] == [(1254, 1254)]
    assert (b"/img/" in answer.body) == (shape in BY_ADDRESS) or shape in {"images", "parts"}
    line = gateway.last
    assert (line.kind, line.charged, line.endpoint) == ("delivered", 30_000, "chat")
    if shape == "data":
        assert "choices" not in reply
        assert reply["created"]
        return
    if shape == "output-text":
        assert reply["output_text"].startswith("![image](data:image/png;base64,")
        return
    message = reply["choices"][0]["message"]
    content = message["content"]
    assert message["role"] == "assistant"
    begins = {
        "markdown-url": "\n\n![image](http",
        "markdown-data": "![image](data:",
        "data-url": "data:",
        "bare-url": "http",
        "link": "Here is your image: [image](http",
    }
    if shape in begins:
        assert content.startswith(begins[shape])
    elif shape == "images":
        assert (content, list(message["images"][0])) == ("", ["type", "image_url"])
    else:
        assert [part["type"] for part in content] == ["text", "image_url"]


async def test_each_vendor_answers_in_its_own_shape(bench):
    gateway = await bench(LAO_WEB, others=(VIP, ALL))
    answer = await chat(gateway)
    assert re.fullmatch(r"\n\n!\[image\]\(http://\S+\)\n\n", answer.json["choices"][0]["message"]["content"])
    for route in (VIP, ALL):
        gateway.route = route
        answer = await chat(gateway)
        assert "choices" not in answer.json
        assert list(answer.json["data"][0]) == ["url"]
        answer = await chat(gateway, response_format="b64_json")
        assert list(answer.json["data"][0]) == ["b64_json"]


async def test_mixed_shapes_meet_all_of_them(bench):
    gateway = await bench(LAO_WEB, "chat=mixed", "pictures=plain")
    kinds = set()
    for number in range(60):
        reply = (await chat(gateway, f"mug {number}")).json
        message = reply["choices"][0]["message"] if "choices" in reply else {}
        content = message.get("content")
        kinds.add((*sorted(reply.keys() - {"usage"}), "images" in message, str(content).strip()[:8]))
    assert len(kinds) > 7


async def test_usage_is_spelled_as_in_chat(bench):
    gateway = await bench(LAO_WEB, "pictures=plain")
    usages = [(await chat(gateway, f"mug {number}")).json.get("usage") for number in range(12)]
    spelled = [usage for usage in usages if usage]
    assert spelled
    assert all(set(usage) == {"prompt_tokens", "completion_tokens", "total_tokens"} for usage in spelled)
    assert None in usages


@pytest.mark.parametrize("prompt", ["横版 16:9，a mug", "Generate an image: 横版 16:9，a mug"])
async def test_phrase_in_front_decides_the_size(bench, prompt):
    gateway = await bench(ALL)
    answer = await chat(gateway, prompt)
    assert Image.open(io.BytesIO((await images_in(gateway, answer))[0])).size == (1672, 941)


async def test_size_parameter_decides_where_sizes_are_listed(bench):
    gateway = await bench(VIP)
    answer = await chat(gateway, size="2048x1152")
    assert Image.open(io.BytesIO((await images_in(gateway, answer))[0])).size == (2048, 1152)
    refused = await chat(gateway, size="1024x1024")
    assert (refused.status, refused.error["param"]) == (400, "size")
    assert (await chat(gateway, quality="high")).status == 400


@pytest.mark.parametrize("url", ["https://example.com/a.png", data_url(picture())], ids=["https", "data"])
async def test_references_come_as_parts_and_are_seen(bench, url):
    gateway = await bench(VIP)
    parts = [{"type": "text", "text": "make it blue"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = await chat(gateway, parts)
    assert answer.status == 200
    assert gateway.last.references == 1
    if url.startswith("data:"):
        image = Image.open(io.BytesIO((await images_in(gateway, answer))[0])).convert("RGB")
        assert any(
            max(abs(a - b) for a, b in zip(pixel, RED, strict=True)) < 12 for _, pixel in image.getcolors(1 << 20)
        )


async def test_reference_that_is_no_image_is_refused_and_free(bench):
    gateway = await bench(VIP)
    for url in ("data:image/png;base64,AAAA", "ftp://x/a.png", 7):
        answer = await chat(gateway, [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}])
        assert answer.status == 400
    assert sum(line.charged for line in gateway.lines) == 0


async def test_only_the_last_user_message_is_the_prompt(bench):
    gateway = await bench(LAO_WEB, "pictures=plain")
    talk = [
        {"role": "system", "content": "draw"},
        {"role": "user", "content": "a forbidden thing"},
        {"role": "assistant", "content": "![image](https://example.com/1.png)"},
        {"role": "user", "content": "a mug"},
    ]
    await chat(gateway, messages=talk)
    first = gateway.last
    await chat(gateway, "a mug")
    assert (first.kind, first.prompt) == ("delivered", gateway.last.prompt)


@pytest.mark.parametrize(
    "body", [{}, {"messages": []}, {"messages": [{"role": "system", "content": "x"}]}, {"messages": [{"role": "user"}]}]
)
async def test_conversation_without_words_is_a_400(bench, body):
    gateway = await bench(LAO_WEB)
    answer = await gateway.call("POST", "chat/completions", json={"model": "gpt-image-2", **body})
    assert answer.status == 400


async def test_streaming_is_refused(bench):
    gateway = await bench(LAO_WEB)
    assert (await chat(gateway, stream=True)).status == 400
    assert (await chat(gateway, stream=False)).status == 200


@pytest.mark.parametrize(("route", "charged"), [(VIP, 30_000), (LAO_WEB, 0)])
async def test_refusal_in_words_comes_in_two_languages_and_costs_what_the_vendor_says(bench, route, charged):
    gateway = await bench(route)
    said = []
    for number in range(12):
        answer = await chat(gateway, f"a forbidden mug {number}")
        assert answer.status == 200
        said.append(answer.json["choices"][0]["message"]["content"])
        assert (gateway.last.kind, gateway.last.charged) == ("refused_text", charged)
    assert any("抱歉" in text for text in said)
    assert any("can't" in text for text in said)


async def test_empty_reply_has_no_content(bench):
    gateway = await bench(LAO_WEB)
    contents = [
        (await chat(gateway, f"{number} [[sim:empty]]")).json["choices"][0]["message"]["content"] for number in range(8)
    ]
    assert set(contents) == {None, ""}


@pytest.mark.parametrize("fault", ["500", "429", "502", "401", "quota", "refuse", "garbage"])
async def test_faults_hold_for_chat_as_for_images(bench, fault):
    gateway = await bench(VIP)
    answer = await chat(gateway, f"a mug [[sim:{fault}]]")
    same = await gateway.ask(f"a mug [[sim:{fault}]]", size="1280x1280")
    assert answer.status == same.status
    assert [line.kind for line in gateway.lines] == [gateway.last.kind] * 2


@pytest.mark.parametrize("route", [OFFICIAL, LAO_VIP, "apiyi/gpt-image-2"])
async def test_route_without_chat_has_no_such_endpoint(bench, route):
    gateway = await bench(route)
    answer = await chat(gateway)
    assert (answer.status, answer.error["message"]) == (404, "Invalid URL (POST /v1/chat/completions)")
    answer = await gateway.call("GET", "models", KEY)
    assert "GET /v1/models" in answer.error["message"]
