"""What the JSON around the pictures says: which of them are the result, addresses, refusals, errors, usage.

Gateways differ, and what they send is hostile until read: every field may be missing, null, of another type or
endless. Nothing here raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from batchgen.domain.wire import ApiError, Usage
from batchgen.gateway.echo import NOTHING_SENT, SentRequest
from batchgen.gateway.endpoints.fields import (
    Json,
    effective_of,
    error_of,
    is_address,
    mark_of,
    objects,
    string,
    usage_of,
)
from batchgen.gateway.endpoints.message import in_chat, spoken, words_of
from batchgen.gateway.endpoints.responses import calls_of, failure_of, in_output, said, tokens_of

_DECODER = json.JSONDecoder()
_WHITE = re.compile(r"[ \t\r\n\ufeff]*")
_SALVAGE = re.compile(r'"url"\s{0,32}:\s{0,32}("https?:(?:[^"\\\x00-\x20]|\\[/u&]){1,8192}")')
# A whole Markdown image in a message whose end is missing, as JSON writes it.
_SALVAGE_PLACED = re.compile(r"!\[[^\[\]]*+\]\((https?:(?:[^\"\\\x00-\x20()]|\\[/u&]){1,8192})\)")
_LONGEST_LITERAL = 5  # a number or `false` cut in two is refused where it begins


class Shape(Enum):
    """What kind of text a body is."""

    WHOLE = "whole"  # one JSON document
    SHORT = "short"  # the beginning of one
    OTHER = "other"  # something else, or nothing


@dataclass(frozen=True, slots=True)
class Reply:
    """What a JSON document says. Fields as in `Answer`.

    Attributes:
        marks: numbers of the pictures that stand where the endpoint puts its result, in order.
    """

    marks: tuple[int, ...] = ()
    urls: tuple[str, ...] = ()
    text: str = ""
    error: ApiError | None = None
    usage: Usage | None = None
    revised_prompt: str = ""
    effective: tuple[tuple[str, str], ...] = ()
    retry_after: float | None = None


def parse(text: str) -> tuple[Shape, Any]:
    """A body as JSON. White space before the document is taken, and whatever follows it is ignored."""
    start = _WHITE.match(text)
    at = start.end() if start else 0
    if text[at : at + 1] not in {"{", "["}:
        return Shape.OTHER, None
    try:
        return Shape.WHOLE, _DECODER.raw_decode(text, at)[0]
    except json.JSONDecodeError as wrong:
        ended = wrong.msg.startswith("Unterminated") or wrong.pos >= len(text.rstrip()) - _LONGEST_LITERAL
        return (Shape.SHORT if ended else Shape.OTHER), None
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets without end
        return Shape.OTHER, None


def read_reply(document: object, endpoint: str = "generations", sent: SentRequest = NOTHING_SENT) -> Reply:
    """What a whole JSON document says.

    Args:
        document: the body, with marks where the scanner took pictures out.
        endpoint: as in `Call`.
        sent: the request, whose images and addresses may come back within words and are no result there.
    """
    if not isinstance(document, dict):
        return Reply()
    if endpoint == "responses" and isinstance(document.get("output"), list):
        return _read_responses(document, sent)
    return _read_chat(document, sent) if endpoint in {"chat", "responses"} else _read_images(document)


def salvaged_urls(text: str, endpoint: str = "generations", sent: SentRequest = NOTHING_SENT) -> tuple[str, ...]:
    """Addresses of images that stand whole in a document that was cut off."""
    if endpoint == "responses":  # its images never come as addresses, those of its inputs may
        return ()
    found: list[str] = []
    quoted = [match[1] for match in _SALVAGE.finditer(text)]
    if endpoint == "chat":
        quoted += [f'"{match[1]}"' for match in _SALVAGE_PLACED.finditer(text)]
    for each in quoted:
        try:
            found.append(json.loads(each))
        except ValueError:
            continue
    return tuple(url for url in found if is_address(url) and not (endpoint != "generations" and sent.holds(url)))


def _read_images(document: Json) -> Reply:
    items = list(_items(document))
    marks = tuple(mark for item in items if (mark := _mark(item)) is not None)
    urls = tuple(item["url"] for item in items if _mark(item) is None and is_address(item.get("url")))
    has_image = bool(marks or urls)
    error, wait = error_of(document, has_image=has_image)
    return Reply(
        marks=marks,
        urls=urls,
        text="" if has_image else _words(document, items),
        error=error,
        usage=usage_of(document.get("usage")),
        revised_prompt=_revised(items),
        effective=effective_of(document, *items[:1]),
        retry_after=wait,
    )


def _read_chat(document: Json, sent: SentRequest) -> Reply:
    seen = in_chat(document, sent) or in_output(document, sent)
    items = objects(document.get("data"))
    error, wait = error_of(document, has_image=bool(seen))
    return Reply(
        marks=seen.marks,
        urls=seen.urls,
        text="" if seen else spoken(document) or said(document) or string(document.get("data")),
        error=error,
        usage=usage_of(document.get("usage")),
        revised_prompt=_revised(items),
        effective=effective_of(*(document, *items[:1]) if items else ()),
        retry_after=wait,
    )


def _read_responses(document: Json, sent: SentRequest) -> Reply:
    seen = in_output(document, sent)
    calls = calls_of(document)
    error, wait = error_of(document, has_image=True) if seen else failure_of(document)
    return Reply(
        marks=seen.marks,
        urls=seen.urls,
        text="" if seen else said(document),
        error=error,
        usage=tokens_of(document),
        revised_prompt=_revised(calls),
        effective=effective_of(*calls[:1]),
        retry_after=wait,
    )


def _items(document: Json) -> Iterator[Json]:
    """The objects that may hold an image; a reply without `data` may be one itself."""
    data = document.get("data", document)
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict):
            yield item
        elif is_address(item):
            yield {"url": item}


def _mark(item: Json) -> int | None:
    """The picture that the scanner took out of an object."""
    found = mark_of(item.get("b64_json"))
    return mark_of(item.get("url")) if found is None else found


def _revised(items: list[Json]) -> str:
    return next((words for item in items if (words := string(item.get("revised_prompt")))), "")


def _words(document: Json, items: list[Json]) -> str:
    """What is said where an image should be: a chat message, a refusal, an output text."""
    return spoken(document) or next((string(words_of(item)) for item in items[:1]), "") or string(document.get("data"))
