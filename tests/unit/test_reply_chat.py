"""Chat replies in every shape gateways give them: an image is found wherever it is put, a refusal stays one."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.model import OutcomeKind
from batchgen.domain.wire import Answer, CallEnd, Usage
from batchgen.gateway.echo import SentRequest, results
from batchgen.gateway.endpoints.message import in_words
from batchgen.gateway.scan import ScannedPicture
from batchgen.policy.classify import classify
from tests.support.gateway import read, read_reply, salvaged_urls
from tests.support.pace import no_longer_than

PNG = b"\x89PNG\r\n\x1a\n\xff\xfb\xbe"
OTHER = b"\x89PNG another"
URL = "https://r2cdn.example.com/a/b_(1).png?sig=x%2By&n=1"
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
OTHER_DATA = "data:image/png;base64," + base64.b64encode(OTHER).decode()


def said(content: object, **message: object) -> dict[str, Any]:
    """A chat completion whose message has this content."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 9}}


# each shape of facts/gateways.md, E4, with what must come of it: pictures, addresses
SHAPES: dict[str, tuple[dict[str, Any], tuple[bytes, ...], tuple[str, ...]]] = {
    "1 markdown address": (said(f"![image]({URL})"), (), (URL,)),
    "1 after blank lines and prose": (said(f'\n\nHere it is:\n\n![a "mug" [big]]({URL})\n\nEnjoy!'), (), (URL,)),
    "1 with a title": (said(f'![image]({URL} "a mug")'), (), (URL,)),
    "1 in angle brackets": (said(f"![image](<{URL}>)"), (), (URL,)),
    "1 as a tag": (said(f'<img alt="x" src="{URL}" />'), (), (URL,)),
    "1 within a link": (said(f"[![image]({URL})](https://example.com/page)"), (), (URL,)),
    "1 two of them": (said(f"![a]({URL}) ![b]({URL}2) ![c]({URL})"), (), (URL, URL + "2")),
    "1 not closed": (said(f"![image]({URL}"), (), (URL,)),
    "2 markdown data URL": (said(f"\n\n![image]({DATA})"), (PNG,), ()),
    "2 with prose": (said(f"Sure! ![image]({DATA})\n[download](https://example.com/x)"), (PNG,), ()),
    "3 bare data URL": (said(DATA), (PNG,), ()),
    "3 bare address": (said(f" {URL}\n"), (), (URL,)),
    "3 bare address and a full stop": (said(f"{URL}."), (), (URL,)),
    "3 plain link": (said(f"[Download]({URL})"), (), (URL,)),
    "3 plain data link": (said(f"[Download]({DATA})"), (PNG,), ()),
    "4 data with an address": ({"created": 1, "data": [{"url": URL}], "usage": {"prompt_tokens": 9}}, (), (URL,)),
    "4 data with base64": ({"data": [{"b64_json": base64.b64encode(PNG).decode()}]}, (PNG,), ()),
    "4 data with a prefix": ({"data": [{"b64_json": DATA, "url": None}]}, (PNG,), ()),
    "4 data with a data URL": ({"data": [{"url": DATA}]}, (PNG,), ()),
    "6 message images": (said("", images=[{"type": "image_url", "image_url": {"url": DATA}}]), (PNG,), ()),
    "6 message images, null content": (said(None, images=[{"image_url": {"url": URL}}]), (), (URL,)),
    "6 message images, plain": (said("A mug", images=[URL]), (), (URL,)),
    "7 parts": (said([{"type": "text", "text": "A"}, {"type": "image_url", "image_url": {"url": DATA}}]), (PNG,), ()),
    "7 parts with an address": (said([{"type": "image_url", "image_url": URL}]), (), (URL,)),
    "7 part with base64": (said([{"type": "image", "b64_json": base64.b64encode(PNG).decode()}]), (PNG,), ()),
    "7 text part": (said([{"type": "output_text", "text": f"![i]({DATA})"}]), (PNG,), ()),
    "7 output text": ({"output_text": f"![i]({DATA})"}, (PNG,), ()),
    "7 output items": (
        {"output": [{"type": "message", "content": [{"type": "output_text", "text": f"![i]({DATA})"}]}]},
        (PNG,),
        (),
    ),
    "data before message": ({"data": [{"url": URL}], **said(f"![i]({URL}2)")}, (), (URL,)),
    "images before content": (said(f"![i]({URL})", images=[{"image_url": {"url": DATA}}]), (PNG,), ()),
    "markdown data before markdown address": (said(f"![i]({URL}) ![i]({DATA})"), (PNG,), ()),
    "markdown address before bare data": (said(f"![i]({URL}) thumbnail {OTHER_DATA}"), (), (URL,)),
    "second choice": ({"choices": [{"message": {"content": ""}}, {"message": {"content": DATA}}]}, (PNG,), ()),
    "at an unknown place": ({"choices": [{"message": {"content": None, "attachment": {"data": DATA}}}]}, (PNG,), ()),
}


def encoded(document: object, style: str) -> bytes:
    text = json.dumps(document, indent=1 if style == "pretty" else None)
    return (text.replace("/", "\\/") if style == "slashes" else text).encode()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("style", ["plain", "slashes", "pretty"])
def test_image_of_a_chat_is_found_in_every_shape_wherever_it_is_cut(shape: str, style: str) -> None:
    document, pictures, urls = SHAPES[shape]
    body = encoded(document, style)
    for cuts in ([], list(range(1, len(body))), *([cut] for cut in range(1, len(body)))):
        got = read(body, "chat", cuts)
        assert (got.pictures, got.reply.urls, got.reply.text) == (pictures, urls, ""), cuts
        assert not any(got.damage)


def test_chat_reply_tells_its_usage() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    assert read_reply({**said("x"), "usage": usage}, "chat").usage == Usage(9, 2, 11)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (said("I can't create\nthat."), "I can't create that."),
        (said(None, refusal="No."), "No."),
        (said([{"type": "refusal", "refusal": "No."}]), "No."),
        (said("See https://openai.com/policies."), "See https://openai.com/policies."),
        (said("I can't. [Policy](https://openai.com/policies)"), "I can't. [Policy](https://openai.com/policies)"),
        (said("Look! [policy](https://openai.com/a.png)"), "Look! [policy](https://openai.com/a.png)"),
        (said("see #0 and #1"), "see #0 and #1"),
        (said("file:///etc/passwd"), "file:///etc/passwd"),
        (said("![x](javascript:alert(1))"), "![x](javascript:alert(1))"),
        ({"choices": [{"message": {"content": ""}, "finish_reason": "content_filter"}]}, "content_filter"),
        (said(""), ""),
        ({"choices": []}, ""),
        ({"choices": None, "data": None}, ""),
        ({"data": "很抱歉，无法生成"}, "很抱歉，无法生成"),
    ],
)
def test_words_without_an_image_are_a_refusal(document: dict[str, Any], text: str) -> None:
    reply = read_reply(document, "chat")
    assert (reply.text, reply.urls, reply.marks) == (text, (), ())


def test_address_longer_than_any_is_none() -> None:
    assert read_reply(said("![x](https://x/" + "y" * 9000 + ")"), "chat").urls == ()


@pytest.mark.parametrize("alt", ["a ] b", "a [ b", "[a]", "a](b", ""])
def test_alternative_text_with_brackets_costs_no_paid_image(alt: str) -> None:
    assert read_reply(said(f"Here: ![{alt}]({URL})"), "chat").urls == (URL,)


def test_refusal_of_a_chat_is_final_and_an_image_of_one_is_delivered() -> None:
    vip = load_catalog(None).find("apiyi/gpt-image-2-vip")
    for content, kind in (
        ("I can't. See https://x.com/policy", OutcomeKind.REFUSED_TEXT),
        (f"![i]({URL})", OutcomeKind.DELIVERED),
    ):
        reply = read_reply(said(content), "chat")
        answer = Answer(1, CallEnd.COMPLETE, 200, is_json=True, urls=reply.urls, text=reply.text, error=reply.error)
        assert classify(answer, vip).kind is kind


def asked(*files: bytes, text: bytes = b"") -> SentRequest:
    return SentRequest(text, frozenset(hashlib.sha256(data).hexdigest() for data in files))


def test_image_of_the_request_is_no_result_when_a_refusal_repeats_it() -> None:
    body = json.dumps(said(f"You sent ![this]({OTHER_DATA}), which I can't edit.")).encode()
    for cut in range(1, len(body)):
        got = read(body, "chat", [cut], sent=asked(OTHER))
        assert (got.pictures, got.reply.urls) == ((), ())
        assert got.reply.text.startswith("You sent")


def test_image_of_the_request_is_left_out_beside_the_result() -> None:
    echo = {"request": {"messages": [{"content": [{"image_url": {"url": OTHER_DATA}}]}]}}
    for document in (
        {**echo, **said(f"From ![this]({OTHER_DATA}) I made ![that]({DATA})")},
        {**echo, **said(f"![that]({DATA})")},
        {**echo, "data": [{"b64_json": DATA}]},
        {**echo, "images": [{"image_url": OTHER_DATA}], **said(DATA)},
        {**echo, **said(None, attachment=DATA)},
    ):
        assert read(json.dumps(document).encode(), "chat", sent=asked(OTHER)).pictures == (PNG,)


def test_reply_that_only_repeats_the_request_holds_no_result() -> None:
    for document in (
        {"images": [{"image_url": OTHER_DATA}]},
        {"messages": [{"content": OTHER_DATA}]},
        said(OTHER_DATA),
    ):
        got = read(json.dumps(document).encode(), "chat", sent=asked(OTHER))
        assert (got.pictures, got.reply.urls) == ((), ())


def test_address_of_the_request_is_no_result() -> None:
    reference = "https://example.com/ref_é.png?a=1&b=2"
    sent = asked(text=json.dumps({"url": reference}, ensure_ascii=False).encode())
    for content in (f"I can't edit ![it]({reference})", reference, f"[it]({reference})"):
        reply = read_reply(said(content), "chat", sent)
        assert (reply.urls, reply.text) == ((), content)
    assert read_reply(said(f"![it]({reference}) became ![that]({URL})"), "chat", sent).urls == (URL,)
    assert read_reply({"images": [reference], **said("No.")}, "chat", sent).text == "No."


def test_results_are_those_at_their_place_and_of_a_broken_text_those_of_answers_or_the_only_one() -> None:
    found = [ScannedPicture(3), ScannedPicture(3, own=True), ScannedPicture(0), ScannedPicture(0, "damaged")]
    first_was_sent = SentRequest(marks=frozenset({0}))
    assert results((3, 0, 0, 2, 9), found) == (3, 0)
    assert results((3, 0), found, first_was_sent, text="") == (3,)
    assert results((), found) == ()
    assert results((), found, text="") == (1,)
    assert results((), [ScannedPicture(3), ScannedPicture(3)], first_was_sent, text="") == (1,)
    assert results((), [ScannedPicture(3), ScannedPicture(3)], text="") == ()
    assert results((), [ScannedPicture(3), ScannedPicture(3)], text='{"preview": ["#0", "x": "#1"') == (1,)


def test_salvage_of_a_cut_chat_takes_only_whole_images_that_were_not_sent() -> None:
    head = '{"choices":[{"message":{"content":"'
    assert salvaged_urls(head + "![i](https:\\/\\/x\\/a.png?b\\u0026c)\\n", "chat") == ("https://x/a.png?b&c",)
    assert salvaged_urls(head + "![i](https://x/a.p", "chat") == ()
    assert salvaged_urls(head + "[i](https://x/a.png)", "chat") == ()
    sent = SentRequest(b'{"url":"https://x/ref.png"}')
    assert salvaged_urls(head + '![i](https://x/ref.png)","url":"https://x/ref.png","u', "chat", sent) == ()
    assert salvaged_urls('{"data":[{"url":"https://x/a.png"},', "chat", sent) == ("https://x/a.png",)
    assert salvaged_urls('{"output":[{"url":"https://x/a.png"},', "responses") == ()


@pytest.mark.parametrize(
    "text",
    [
        "![" * 500_000,
        "![x](https://a" * 70_000,
        "[x](https://a " * 70_000,
        "[x](https://" + "a" * 900_000,
        "https://(" * 100_000,
        "](" * 500_000,
        "src='" * 200_000,
        "data:#" * 160_000,
    ],
)
def test_endless_text_takes_no_endless_time(text: str) -> None:
    with no_longer_than(600):
        found, salvaged = in_words(text), salvaged_urls(text, "chat")
    assert not found.marks
    assert len(found.urls) == text.startswith("![x](https://")
    assert salvaged == ()


_KEYS = ["choices", "message", "content", "images", "image_url", "url", "b64_json", "data", "text", "refusal", "type"]
_KEYS += ["output", "result", "output_text", "error", "status", "incomplete_details", "reason", "usage", "tool_usage"]
_KEYS += ["image_gen", "finish_reason", "message", "role", "input_tokens"]
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=8),
    st.sampled_from(
        [URL, "data:#0", "#1", f"![x]({URL})", "![x](data:#0)", "image_generation_call", "failed", "\x1b\n"]
    ),
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5)),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None)
@given(_JSON, st.sampled_from(["chat", "responses", "edits", "batch"]))
def test_reply_never_raises_and_an_image_excludes_a_refusal(document: Any, endpoint: str) -> None:
    reply = read_reply(document, endpoint)
    assert not (reply.text and (reply.marks or reply.urls))
    assert not set(reply.text) & {"\n", "\x1b"}
    assert all(url.startswith("https://") for url in reply.urls)
    assert all(mark in {0, 1} for mark in reply.marks)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), st.binary(min_size=1, max_size=5000), st.integers(0, 2**32))
def test_larger_picture_is_found_wherever_it_is_cut(shape: str, picture: bytes, seed: int) -> None:
    document, pictures, _ = SHAPES[shape]
    body = encoded(document, "slashes").replace(
        base64.b64encode(PNG).replace(b"/", b"\\/"), base64.b64encode(picture).replace(b"/", b"\\/")
    )
    rng = random.Random(seed)
    got = read(body, "chat", [rng.randrange(len(body)) for _ in range(9)])
    assert got.pictures == tuple(picture for _ in pictures)
