"""What gateways were reported to send in the wild: streams nobody asked for, pictures at odd places, words for no money.

A preview here is no whole picture, so that a case fails where one is delivered.
"""

from __future__ import annotations

import base64
import json

from batchgen.domain.lifecycle import Charge
from tests.chaos import wire_case as of
from tests.chaos.pictures import GOOD_PICTURE, HTML, SIGNATURE
from tests.chaos.raw_gateway import PORT, End, Script
from tests.chaos.wire_case import CHUNKED, Case, Step, answer, chunk, document, error, framed, sends, status

_B64 = base64.b64encode(GOOD_PICTURE).decode()
_PREVIEW = base64.b64encode(SIGNATURE + b"half a picture" * 99).decode()
_ROOT = f"http://127.0.0.1:{PORT.decode()}"
_FILE = sends(framed(GOOD_PICTURE, head=b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"))
_USAGE = {"input_tokens": 9, "output_tokens": 196, "total_tokens": 205}
_PARTIAL = {"type": "image_generation.partial_image", "b64_json": _PREVIEW, "partial_image_index": 0}
_COMPLETED = {"type": "image_generation.completed", "b64_json": _B64, "usage": _USAGE}
_DRAWN = {"type": "image_generation_call", "status": "completed", "result": _B64}
_RESPONSE = {"status": "completed", "output": [_DRAWN], "usage": _USAGE, "tool_usage": {"image_gen": _USAGE}}
_LIMIT = "Rate limit reached for gpt-image-2. Please try again in 15ms."
_CHALLENGE = b"<!doctype html><html><title>Just a moment...</title><body>Verify you are human</body></html>"
_inside = {"charge": Charge.UNKNOWN}


def _events(*events: object) -> bytes:
    return "".join(f"data: {each if isinstance(each, str) else json.dumps(each)}\n\n" for each in events).encode()


def _stream(*events: object) -> Script:
    return status(200, _events(*events), kind="text/event-stream")


def _held_open(*events: object) -> Script:
    """A stream whose connection stays open behind its last event."""
    return sends(CHUNKED, *(chunk(_events(each)) for each in events), end=End.HANG)


def _said(text: str) -> dict[str, object]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


def _at(name: str, reply: object) -> Case:
    return of.whole(f"field: {name}", answer(document(reply)), downloads=(_FILE,))


_STREAMS = [
    of.whole("field: previews, then the image", _stream(_PARTIAL, _PARTIAL, _COMPLETED)),
    of.whole("field: an image in events, then silence", _held_open(_PARTIAL, _COMPLETED)),
    of.whole("field: events said to be JSON", answer(_events(_PARTIAL, _COMPLETED, "[DONE]"))),
    of.whole("field: comments, then a document", sends(CHUNKED, chunk(b": busy\n\n"), chunk(_events(document({"data": [{"b64_json": _B64}]}).decode())), b"0\r\n\r\n")),
    of.whole("field: a chat in events", _stream(_said("![mug]"), _said(f"(data:image/png;base64,{_B64})"), "[DONE]"), endpoint="chat"),
    of.whole("field: a chat in events, then silence", _held_open(_said(f"![](data:image/png;base64,{_B64})"), "[DONE]"), endpoint="chat"),
    of.whole("field: a response in events", _stream({"type": "response.completed", "response": _RESPONSE}), endpoint="responses"),
    of.cut("field: previews alone", _stream(_PARTIAL, _PARTIAL)),
    of.cut("field: previews and an end", _stream(_PARTIAL, "[DONE]")),
    of.cut("field: previews, then silence", _held_open(_PARTIAL), timeout=0.5),
    of.worded("field: moderation as an event", _stream(_PARTIAL, {"type": "error", "error": {"code": "moderation_blocked", "message": "Your request was rejected by the safety system"}})),
    of.no_quota("field: no money as an event", _stream({"type": "error", "error": {"code": "insufficient_quota", "message": "no"}}), step=Step.CLOSE, **_inside),
    of.error_inside("field: a failure as an event", _held_open({"error": {"message": "upstream failed"}})),
]  # fmt: skip
_PLACES = [
    _at("relative to the root", {"data": [{"url": "/files/a.png"}]}),
    _at("relative to the call", {"data": [{"url": "../files/a.png"}]}),
    _at("an address in a list", {"data": [{"url": [f"{_ROOT}/files/a.png"]}]}),
    _at("images", {"images": [{"url": f"{_ROOT}/files/a.png"}], "timings": {"inference": 2.1}, "seed": 1}),
    _at("output", {"id": "p", "status": "succeeded", "output": [f"{_ROOT}/a.png"], "urls": {"get": f"{_ROOT}/p"}}),
    _at("an address under b64_json", {"data": [{"b64_json": f"{_ROOT}/files/a.png"}]}),
    _at("a signed address with blanks", {"data": [{"url": f"{_ROOT}/杯 1.png?sig=a%2Fb+c&name=white mug.png"}]}),
    _at("success in words", {"code": 0, "message": "success", "data": {"imageUrl": f"{_ROOT}/files/a.png"}}),
    of.whole("field: base64 under another key", answer(document({"result": {"image": _B64}, "thumbnail": _PREVIEW}))),
    of.whole("field: base64 under url", answer(document({"data": [{"url": _B64}]}))),
    of.whole("field: the picture as the body", sends(framed(GOOD_PICTURE, head=b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"))),
    of.cut("field: half the picture as the body", sends(framed(GOOD_PICTURE[:900], length=len(GOOD_PICTURE)))),
    of.unread("field: two that may be it", answer(document({"one": _B64, "other": _PREVIEW}))),
    of.unread("field: success without anything known", answer(document({"code": 0, "msg": "success", "data": {"asset": "a-1"}}))),
    of.unread("field: a preview of what is in progress", answer(document({"status": "processing", "preview": _PREVIEW}))),
]  # fmt: skip
_MONEY = [
    of.no_quota("field: 429 该令牌额度已用尽", status(429, error("该令牌额度已用尽"))),
    of.no_quota("field: 500 该令牌额度已用尽", status(500, error("该令牌额度已用尽"))),
    of.no_quota("field: 400 billing hard limit", status(400, error("Billing hard limit has been reached"))),
    of.throttled("field: a limit in a 200", answer(error(_LIMIT, "rate_limit_exceeded")), step=Step.AGAIN, **_inside),
    of.busy("field: 529", status(529, error("Overloaded", "overloaded_error"))),
    of.busy("field: 425", status(425, error("too early"))),
    of.own_error("field: 400 server_error", status(400, error("The server had an error. You can retry your request", "server_error"))),
    of.page("field: a challenge with a 403", status(403, _CHALLENGE, kind="text/html")),
    of.rejected("field: a prompt that is quoted", status(400, error("Invalid value: 'a mug'", "invalid_value"))),
    of.page("field: a page with a 200", status(200, HTML, kind="text/html")),
]  # fmt: skip

CASES: list[Case] = [*_STREAMS, *_PLACES, *_MONEY]
