"""Replies of the Responses API: the tool's image, its failures, both kinds of tokens, and nothing that was only asked."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.model import OutcomeKind
from batchgen.domain.wire import Answer, ApiError, CallEnd, Usage
from batchgen.gateway.echo import SentRequest
from batchgen.policy.classify import classify
from tests.support.gateway import read, read_reply

PNG = b"\x89PNG\r\n\x1a\n\xff\xfb\xbe"
MASK = b"\x89PNG a mask"
RAW = base64.b64encode(PNG).decode()
MASK_URL = "data:image/png;base64," + base64.b64encode(MASK).decode()
CALL = {
    "type": "image_generation_call",
    "id": "ig_1",
    "status": "completed",
    "result": RAW,
    "revised_prompt": "a mug",
    "action": "edit",
    "size": "1024x1024",
    "quality": "high",
    "background": "opaque",
    "output_format": "webp",
}
USAGE = {"input_tokens": 50, "output_tokens": 30, "total_tokens": 80, "input_tokens_details": {"cached_tokens": 0}}
IMAGE_USAGE = {
    "input_tokens": 10,
    "output_tokens": 196,
    "total_tokens": 206,
    "input_tokens_details": {"image_tokens": 6, "text_tokens": 4},
    "output_tokens_details": {"image_tokens": 196, "text_tokens": 0},
}


def response(*output: object, **fields: object) -> dict[str, Any]:
    """A response with this output, which repeats its tool with the mask in it."""
    tools = [{"type": "image_generation", "input_image_mask": {"image_url": MASK_URL}}]
    document = {"id": "resp_1", "object": "response", "status": "completed", "error": None, "background": False}
    return {**document, "incomplete_details": None, "output": list(output), "tools": tools, "usage": USAGE, **fields}


def message(*parts: object) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": list(parts)}


def text(words: str) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": []}


SENT = SentRequest(files=frozenset({hashlib.sha256(MASK).hexdigest()}))


@pytest.mark.parametrize("sent", [SENT, SentRequest()], ids=["mask was a file", "nothing known"])
def test_image_of_the_tool_is_the_result_and_the_mask_is_not_wherever_it_is_cut(sent: SentRequest) -> None:
    first = {"tools": [{"input_image_mask": {"image_url": MASK_URL}}], "input": [{"image_url": MASK_URL}]}
    for document in (response(message(text("Done.")), CALL), {**first, **response(CALL)}):
        body = json.dumps(document).encode()
        for cuts in ([], list(range(1, len(body))), *([cut] for cut in range(1, len(body)))):
            got = read(body, "responses", cuts, sent=sent)
            assert (got.pictures, got.damage, got.reply.urls) == ((PNG,), ("",), ()), cuts
            assert (got.reply.text, got.reply.error) == ("", None)


def test_response_tells_what_was_made_and_what_it_took() -> None:
    reply = read_reply(response({**CALL, "result": "#0"}, tool_usage={"image_gen": IMAGE_USAGE}), "responses")
    assert reply.usage == Usage(10, 196, 206, 4, 6, main_input_tokens=50, main_output_tokens=30)
    assert reply.effective == (("size", "1024x1024"), ("quality", "high"), ("background", "opaque"), ("format", "webp"))
    assert reply.revised_prompt == "a mug"


@pytest.mark.parametrize(
    ("tool_usage", "usage", "tokens"),
    [
        (None, USAGE, Usage(main_input_tokens=50, main_output_tokens=30)),
        ({}, USAGE, Usage(main_input_tokens=50, main_output_tokens=30)),
        ({"image_gen": {"output_tokens": 196}}, USAGE, Usage(None, 196, main_input_tokens=50, main_output_tokens=30)),
        ({"image_gen": {"output_tokens": 196}}, None, Usage(None, 196)),
        ({"image_gen": "x"}, {}, None),
        ("x", "y", None),
    ],
)
def test_tokens_may_be_missing_or_partial(tool_usage: Any, usage: Any, tokens: Usage | None) -> None:
    assert read_reply(response(CALL, tool_usage=tool_usage, usage=usage), "responses").usage == tokens


FAILED = {**CALL, "status": "failed", "result": None}


@pytest.mark.parametrize(
    ("document", "error", "kind"),
    [
        (
            response({**FAILED, "error": {"code": "moderation_blocked", "message": "No.", "type": "t", "param": None}}),
            ApiError("No.", "t", "moderation_blocked"),
            OutcomeKind.REFUSED_TEXT,
        ),
        (
            response({**FAILED, "error": {"code": "server_error", "message": "Try again"}}),
            ApiError("Try again", code="server_error"),
            OutcomeKind.SERVER_ERROR,
        ),
        (
            response(FAILED),
            ApiError("the image tool failed without saying why", code="image_generation_failed"),
            OutcomeKind.SERVER_ERROR,
        ),
        (
            response(status="failed", error={"code": "insufficient_quota", "message": "x"}),
            ApiError("x", code="insufficient_quota"),
            OutcomeKind.QUOTA,
        ),
        (
            response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            ApiError("the response is incomplete: max_output_tokens", code="max_output_tokens"),
            OutcomeKind.REJECTED,
        ),
        (
            {"error": {"message": "bad", "code": "invalid_value"}},
            ApiError("bad", code="invalid_value"),
            OutcomeKind.REJECTED,
        ),
    ],
)
def test_failure_of_the_response_or_its_tool_is_an_error(document: Any, error: ApiError, kind: OutcomeKind) -> None:
    reply = read_reply(document, "responses")
    assert (reply.error, reply.marks, reply.urls) == (error, (), ())
    answer = Answer(1, CallEnd.COMPLETE, 200, is_json=True, error=reply.error, text=reply.text)
    assert classify(answer, load_catalog(None).find("openai/gpt-image-2")).kind is kind


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (response(message({"type": "refusal", "refusal": "I can't."})), "I can't."),
        (response(message(text("Which mug?"))), "Which mug?"),
        (response({**CALL, "result": None}, message(text("Sorry."))), "Sorry."),
        (response(incomplete_details={"reason": "content_filter"}), "content_filter"),
        (response(output_text="No."), "No."),
        (response(), ""),
        (response(CALL | {"result": "#0"}, message(text("Done."))), ""),
    ],
)
def test_words_without_an_image_are_a_refusal(document: dict[str, Any], words: str) -> None:
    reply = read_reply(document, "responses")
    assert (reply.text, reply.error) == (words, None)


def test_refusal_keeps_the_mask_of_the_request_out_of_the_result() -> None:
    body = json.dumps(response(message({"type": "refusal", "refusal": "I can't."}))).encode()
    for cut in range(1, len(body)):
        assert read(body, "responses", [cut]).pictures == ()


def test_cut_response_gives_the_broken_result_and_never_the_mask() -> None:
    body = json.dumps({"tools": [{"input_image_mask": {"image_url": MASK_URL}}], "output": [CALL]}).encode()
    cut = body.index(RAW.encode()) + 8
    got = read(body[:cut], "responses", sent=SENT)
    assert "ended inside" in got.damage[0]
    assert PNG.startswith(got.pictures[0])
    assert read(body[: body.index(b'"output"')], "responses", sent=SENT).pictures == ()


def test_gateway_that_answers_like_a_chat_or_an_image_endpoint_is_understood() -> None:
    url = f"![i](data:image/png;base64,{RAW})"
    for document in (
        {"data": [{"b64_json": RAW}]},
        {"choices": [{"message": {"content": url}}]},
        response(message(text(url))),
        response(output_text=url),
    ):
        assert read(json.dumps(document).encode(), "responses", sent=SENT).pictures == (PNG,)
