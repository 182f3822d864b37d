"""The image that a mainline model drew through its tool: a reply of OpenAI's Responses API."""

from __future__ import annotations

from dataclasses import replace

from batchgen.domain.text import one_line
from batchgen.domain.wire import ApiError, Usage
from batchgen.gateway.echo import NOTHING_SENT, SentRequest
from batchgen.gateway.endpoints.message import FoundImages, in_values, in_words, together, words_of
from batchgen.gateway.endpoints.reply_fields import Json, error_of, objects, string, usage_of

_CALL = "image_generation_call"
_MOST = 64


def calls_of(document: Json) -> list[Json]:
    """List the tool's own items."""
    return [item for item in _items(document) if item.get("type") == _CALL]


def in_output(document: Json, sent: SentRequest = NOTHING_SENT) -> FoundImages:
    """Find the images of the output: of the tool, or, at gateways that only look alike, of the words."""
    seen = together(in_values(item.get("result")) for item in calls_of(document))
    return seen or in_words(" ".join(map(words_of, _talking(document))), sent)


def said(document: Json) -> str:
    """Find what the model says instead of drawing, in one line."""
    words = one_line(" ".join(filter(None, map(words_of, _talking(document)))))
    return words or ("content_filter" if _incomplete(document) == "content_filter" else "")


def failure_of(document: Json) -> tuple[ApiError | None, float | None]:
    """Say why there is no image: the response's error, the tool's, or that it ended early; with the seconds to wait."""
    error, wait = error_of(document, has_image=True)  # no bare message: a response has none outside `error`
    if error is not None:
        return error, wait
    for item in calls_of(document):
        error, wait = error_of(item, has_image=True)
        if error is not None:
            return error, wait
        if item.get("status") == "failed":
            return ApiError("the image tool failed without saying why", code="image_generation_failed"), None
    reason = _incomplete(document)
    if reason and reason != "content_filter":
        return ApiError(f"the response is incomplete: {reason}", code=reason), None
    return None, None


def tokens_of(document: Json) -> Usage | None:
    """Read the image's tokens from `tool_usage`, which may be missing, and the mainline model's from `usage`."""
    tools = document.get("tool_usage")
    image = usage_of(tools.get("image_gen") if isinstance(tools, dict) else None) or Usage()
    main = usage_of(document.get("usage")) or Usage()
    found = replace(image, main_input_tokens=main.input_tokens, main_output_tokens=main.output_tokens)
    return None if found == Usage() else found


def _items(document: Json) -> list[Json]:
    return objects(document.get("output"))[:_MOST]


def _talking(document: Json) -> list[Json]:
    """List the messages of the output; `output_text` stands beside it at gateways that sum them up."""
    messages = [item for item in _items(document) if item.get("type") != _CALL]
    return [*messages, {"text": document.get("output_text")}]


def _incomplete(document: Json) -> str:
    details = document.get("incomplete_details")
    return string(details.get("reason"), 200) if isinstance(details, dict) else ""
