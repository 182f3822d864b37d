"""Events put together: whatever a stream holds, nothing raises, and what is unfinished is never taken for the result."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.gateway.event_stream import folded, is_event_stream, may_have_ended
from batchgen.gateway.json_body import Shape
from batchgen.gateway.reading import read_text
from batchgen.gateway.scan import ScannedPicture

PICTURES = [ScannedPicture(9, own=True), ScannedPicture(9, own=True)]
PARTIAL = {"type": "image_generation.partial_image", "b64_json": "#0"}

_KEYS = st.sampled_from(
    ["type", "error", "response", "item", "choices", "delta", "message", "content", "data", "url", "b64_json", "output",
     "status", "index", "finish_reason", "images", "usage"]
)  # fmt: skip
_TEXTS = st.sampled_from(
    ["image_generation.completed", "response.completed", "response.output_item.done", "error", "ping", "#1", "data:#1",
     "https://x.example/a.png", "queued", "", "words"]
)  # fmt: skip
_VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), _TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=10,
)


@settings(max_examples=400, deadline=None)
@given(
    events=st.lists(st.one_of(_VALUES.map(json.dumps), st.sampled_from(["[DONE]", "{", "hello", '{"a":'])), max_size=5),
    name=st.sampled_from(["", "event: error\n", "event: image_edit.completed\n", ": hello\n"]),
    endpoint=st.sampled_from(["generations", "edits", "chat", "responses"]),
    end=st.sampled_from(["\n\n", "\n", "", "\r\n\r\n"]),
)
def test_no_stream_raises_and_no_preview_is_shown(events: list[str], name: str, endpoint: str, end: str) -> None:
    text = f"data: {json.dumps(PARTIAL)}\n\n" + "\n\n".join(f"{name}data: {each}" for each in events) + end
    assert is_event_stream(text)
    may_have_ended(text)
    reading = read_text(text, PICTURES, endpoint)
    assert 0 not in reading.shown
    assert reading.body.shape is Shape.WHOLE or not (reading.reply.text or reading.reply.error)


@pytest.mark.parametrize("text", ["", "{}", '[{"data": 1}]', "<html>data: x", " \n{", "dataset: x", "eventful"])
def test_other_bodies_are_no_streams(text: str) -> None:
    assert not is_event_stream(text)


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ('data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n', False),
        ('data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', True),
        ('data: {"type":"response.output_text.delta","delta":"a"}\n\n', False),
        ("data: [DONE]\n\n", True),
        ('event: error\ndata: {"error":{"message":"no"}}\n\n', True),
        ('data: {"status":"succeeded"}\r\n\r\n', True),
    ],
)
def test_stream_is_put_together_only_when_its_end_may_be_there(text: str, ended: bool) -> None:
    assert may_have_ended(text) is ended


def test_data_of_several_lines_is_one_document() -> None:
    told = folded('data: {"data":\ndata: [{"b64_json": "#1"}]}\n\n')
    assert (told.shape, told.document) == (Shape.WHOLE, {"data": [{"b64_json": "#1"}]})
