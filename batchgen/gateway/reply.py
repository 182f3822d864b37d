"""What the JSON around the pictures says: addresses, refusals, errors, usage.

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

from batchgen.domain.text import one_line
from batchgen.domain.wire import ApiError, Usage
from batchgen.gateway.headers import hinted, longest
from batchgen.gateway.scan import MARK

_DECODER = json.JSONDecoder()
_WHITE = re.compile(r"[ \t\r\n\ufeff]*")
_SALVAGE = re.compile(r'"url"\s{0,32}:\s{0,32}("https?:(?:[^"\\\x00-\x20]|\\[/u&]){1,8192}")')
_LONGEST_URL = 8192
_MOST_TOKENS = 10**12
_LONGEST_WAIT = 10**12
_LONGEST_LITERAL = 5  # a number or `false` cut in two is refused where it begins

Json = dict[str, Any]


class Shape(Enum):
    """What kind of text a body is."""

    WHOLE = "whole"  # one JSON document
    SHORT = "short"  # the beginning of one
    OTHER = "other"  # something else, or nothing


@dataclass(frozen=True, slots=True)
class Reply:
    """What a JSON document says. Fields as in `Answer`."""

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


def read_reply(document: object) -> Reply:
    """What a whole JSON document says."""
    if not isinstance(document, dict):
        return Reply()
    items = list(_items(document))
    urls = tuple(url for url in map(_url, items) if url)
    has_image = bool(urls) or any(map(_has_picture, items))
    error, wait = _error(document, has_image=has_image)
    return Reply(
        urls=urls,
        text="" if has_image else _words(document, items),
        error=error,
        usage=_usage(document.get("usage")),
        revised_prompt=next((words for item in items if (words := _string(item.get("revised_prompt")))), ""),
        effective=_effective(document, items),
        retry_after=wait,
    )


def salvaged_urls(text: str) -> tuple[str, ...]:
    """Addresses that stand whole in a document that was cut off."""
    found = []
    for match in _SALVAGE.finditer(text):
        try:
            found.append(json.loads(match[1]))
        except ValueError:
            continue
    return tuple(url for url in found if _is_address(url))


def _items(document: Json) -> Iterator[Json]:
    """The objects that may hold an image; a reply without `data` may be one itself."""
    data = document.get("data", document)
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict):
            yield item
        elif isinstance(item, str) and _is_address(item):
            yield {"url": item}


def _has_picture(item: Json) -> bool:
    """Whether the scanner took a picture out of this object and left its mark."""
    return any(isinstance(value, str) and value.startswith(MARK) for value in (item.get("b64_json"), item.get("url")))


def _url(item: Json) -> str:
    url = item.get("url")
    return url if isinstance(url, str) and _is_address(url) and not _has_picture(item) else ""


def _is_address(url: str) -> bool:
    return url[:8].lower().startswith(("https://", "http://")) and len(url) <= _LONGEST_URL and url.isprintable()


def _error(document: Json, *, has_image: bool) -> tuple[ApiError | None, float | None]:
    """The error object and the seconds it asks to wait."""
    source = document.get("error")
    if isinstance(source, str) and source:
        source = {**document, "message": source}
    elif not isinstance(source, dict) or not source:
        if has_image or not (source or _bare_message(document)):
            return None, None
        source = document
    message = _string(source.get("message")) or _bare_message(source)
    localized = _string(source.get("localized_message"))
    if localized and localized != message:
        message = f"{message} ({localized})" if message else localized
    error = ApiError(
        message=one_line(message),
        type=_string(source.get("type"), 200),
        code=_string(source.get("code"), 200),
        param=_string(source.get("param"), 200),
    )
    return error, longest((_seconds(source.get("retry_after")), _seconds(document.get("retry_after")), hinted(message)))


def _bare_message(document: Json) -> str:
    """A complaint outside any error object: `message`, or its spelling in other frameworks."""
    for key in ("message", "msg", "detail", "error_description", "errors"):
        value = document.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = value.get("message") or value.get("msg")
        if isinstance(value, str) and value.strip():
            return one_line(value)
    return ""


def _words(document: Json, items: list[Json]) -> str:
    """What is said where an image should be: a chat message, a refusal, an output text."""
    choices = document.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    for holder in (message, first, document, *items[:1]):
        if not isinstance(holder, dict):
            continue
        for key in ("content", "refusal", "output_text", "text"):
            if said := _joined(holder.get(key)):
                return said
    return _string(document.get("data"))


def _joined(content: object) -> str:
    """A message's content, as one string or as a list of parts."""
    if isinstance(content, str):
        return one_line(content)
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") or part.get("refusal") for part in content[:64] if isinstance(part, dict)]
    return one_line(" ".join(part for part in parts if isinstance(part, str)))


def _usage(usage: object) -> Usage | None:
    """Tokens in OpenAI's spelling for images, or in that for chat."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("input_tokens_details", usage.get("prompt_tokens_details"))
    if not isinstance(details, dict):
        details = {}
    found = Usage(
        input_tokens=_count(usage.get("input_tokens", usage.get("prompt_tokens"))),
        output_tokens=_count(usage.get("output_tokens", usage.get("completion_tokens"))),
        total_tokens=_count(usage.get("total_tokens")),
        input_text_tokens=_count(details.get("text_tokens")),
        input_image_tokens=_count(details.get("image_tokens")),
    )
    return None if found == Usage() else found


def _effective(document: Json, items: list[Json]) -> tuple[tuple[str, str], ...]:
    """What the gateway says it made, from the reply or from its first image."""
    first = items[0] if items else {}
    names = (("size", "size"), ("quality", "quality"), ("background", "background"), ("format", "output_format"))
    values = ((name, _string(document.get(key)) or _string(first.get(key))) for name, key in names)
    return tuple((name, value[:64]) for name, value in values if value)


def _string(value: object, most: int = 4096) -> str:
    """A field as clean text; numbers as they are written, anything else as nothing."""
    if isinstance(value, str):
        return one_line(value, most)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:most]
    return ""


def _count(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
        return value
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        return hinted(f"retry {value}") or hinted(f"retry {value}s")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST_WAIT:
        return float(value)
    return None
