"""A good answer sent as events although none were asked for: two previews, then what the whole answer would have held.

Events and their fields are those of OpenAI's streaming pages (images, chat, responses; 2026-08).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pybase64

from batchgen.domain.size import Size
from batchgen.simulator.endpoints.answers import compact
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.pictures.drawing import Drawing, draw

_PREVIEWS = 2
_SMALL = Size(256, 256)
_DONE = "[DONE]"


def as_events(reply: HttpReply, picture: Drawing, *, edited: bool) -> HttpReply:
    """Send a whole answer as events. Takes long where its pictures are in it: meant for an executor."""
    document = json.loads(reply.body)
    small = pybase64.b64encode(draw(replace(picture, size=_SMALL, plain=True, pad=0))).decode()
    events: list[dict[str, Any] | str]
    if "data" in document:
        events = [*_of_images(document, "image_edit" if edited else "image_generation", small)]
    elif "choices" in document:
        events = [*_of_chat(document), _DONE]
    elif "output" in document:
        events = [*_of_response(document, small)]
    else:
        events = [document, _DONE]
    return replace(reply, body=b"".join(map(_event, events)), content_type="text/event-stream")


def _event(event: dict[str, Any] | str) -> bytes:
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n".encode() if "type" in event else b""
    return name + b"data: %b\n\n" % compact(event)


def _of_images(document: dict[str, Any], kind: str, small: str) -> list[dict[str, Any]]:
    head = {key: value for key, value in document.items() if key not in {"data", "usage"}}
    partial = [
        {"type": f"{kind}.partial_image", "b64_json": small, "partial_image_index": number, **head}
        for number in range(_PREVIEWS)
    ]
    usage = {"usage": document["usage"]} if "usage" in document else {}
    return [*partial, *({"type": f"{kind}.completed", **head, **item, **usage} for item in document["data"])]


def _of_chat(document: dict[str, Any]) -> list[dict[str, Any]]:
    head = {**{key: value for key, value in document.items() if key != "choices"}, "object": "chat.completion.chunk"}
    message = document["choices"][0]["message"]
    words = message.get("content")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    if isinstance(words, str):
        at = words.find("data:") if "data:" in words else len(words) // 2  # no gateway cuts a data URL
        deltas += ({"content": part} for part in (words[:at], words[at:]))
    deltas.append({key: value for key, value in message.items() if key != "role" and not isinstance(value, str)})
    chunks = [{**head, "choices": [{"index": 0, "delta": each, "finish_reason": None}]} for each in deltas]
    return [*chunks, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]


def _of_response(document: dict[str, Any], small: str) -> list[dict[str, Any]]:
    begun = {"type": "response.created", "response": {**document, "status": "in_progress", "output": []}}
    preview = {"type": "response.image_generation_call.partial_image", "partial_image_b64": small}
    return [begun, preview, {"type": "response.completed", "response": document}]
