"""The main faults over the other endpoints: chat, Responses, and edits with a reference image."""

from __future__ import annotations

import base64
from functools import partial

from batchgen.domain.lifecycle import Charge
from tests.chaos import wire_case as of
from tests.chaos.pictures import GOOD_PICTURE, NOISE
from tests.chaos.raw_gateway import End, Script
from tests.chaos.wire_case import (
    CHUNKED,
    GOOD,
    HALF,
    HEAD,
    WHOLE,
    Case,
    Step,
    answer,
    document,
    error,
    framed,
    sends,
    status,
)

_B64 = base64.b64encode(GOOD_PICTURE).decode()
_ECHO = base64.b64encode(NOISE["png"]).decode()


def _said(content: object) -> bytes:
    return document({"choices": [{"message": {"role": "assistant", "content": content}}]})


_CHAT = _said(f"![image](data:image/png;base64,{_B64})")
_USAGE = {"input_tokens": 50, "output_tokens": 20, "total_tokens": 70}
_DRAWN = {"type": "image_generation_call", "status": "completed", "result": _B64}
_FAILED = {"type": "image_generation_call", "status": "failed"}
_TOOL = {"image_gen": {"input_tokens": 9, "output_tokens": 196, "total_tokens": 205}}
_RESPONSE = document({"output": [_DRAWN], "usage": _USAGE, "tool_usage": _TOOL})
_ECHOED = document({"input": [f"data:image/png;base64,{_ECHO}"], "data": []})


def good_answer(endpoint: str) -> Script:
    """An answer of that endpoint with a good picture."""
    return {"chat": answer(_CHAT), "responses": answer(_RESPONSE)}.get(endpoint, GOOD)


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


_chat, _responses, _edits = ({"endpoint": name} for name in ("chat", "responses", "edits"))
_responses_error = partial(of.own_error, charge=Charge.UNKNOWN)  # OpenAI does not say that its 5xx are free

CASES: list[Case] = [
    of.whole("chat: whole, then it hangs", sends(HEAD + b"\r\n" + _CHAT, end=End.HANG), **_chat),
    of.cut("chat: short without a length", sends(HEAD + b"\r\n", _half(_CHAT)), **_chat),
    of.cut("chat: chunked without the last chunk", sends(CHUNKED, of.chunk(_half(_CHAT))), **_chat),
    of.worded("chat: words instead of a picture", answer(_said("I can't help with that.")), **_chat),
    of.worded("chat: a link among words", answer(_said("see https://openai.com/policies for why")), **_chat),
    of.empty("chat: no choices", answer(document({"choices": []})), **_chat),
    of.throttled("chat: 429", status(429, error("slow down"), "retry-after-ms: 50"), pause=(0.05, 0.05), **_chat),
    of.damaged(
        "chat: picture of invalid base64",
        answer(_said(f"![i](data:image/png;base64,{_B64[:200]}*{_B64[200:]})")),
        **_chat,
    ),
    of.whole("responses: whole, then it hangs", sends(HEAD + b"\r\n" + _RESPONSE, end=End.HANG), **_responses),
    of.cut("responses: short with a length", sends(framed(_half(_RESPONSE), length=len(_RESPONSE))), **_responses),
    of.error_inside(
        "responses: the tool failed", answer(document({"output": [_FAILED], "usage": _USAGE})), **_responses
    ),
    of.empty(
        "responses: an empty output",
        answer(document({"output": [], "usage": _USAGE})),
        step=Step.FAIL,  # on a route where a call may take more than is paid twice by itself
        **_responses,
    ),
    _responses_error("responses: 500 as JSON", status(500, error("server had an error")), **_responses),
    of.whole("edits: whole, then it hangs", sends(framed(WHOLE, length=len(WHOLE) + 9), end=End.HANG), **_edits),
    of.cut("edits: short without a length", sends(HEAD + b"\r\n", HALF), **_edits),
    of.empty("edits: only the reference comes back", answer(_ECHOED), **_edits),
    of.rejected("edits: 413", status(413, error("too large")), **_edits),
    of.lost("edits: nothing comes back", sends(), **_edits),
]
