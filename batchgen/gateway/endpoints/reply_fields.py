"""Fields of a reply, read with care: each may be missing, null, of another type or endless. Nothing here raises."""

from __future__ import annotations

import re
from typing import Any

from batchgen.domain.text import one_line
from batchgen.domain.wire import ApiError, Usage
from batchgen.gateway.headers import hinted, longest
from batchgen.gateway.scan import MARK, WITHIN_MARK

_LONGEST_URL = 8192
_MOST_TOKENS = 10**12
_LONGEST_WAIT = 10**12
_MARKED = re.compile(rf"(?:{WITHIN_MARK}|{MARK})(\d{{1,3}})")
_EFFECTIVE = (("size", "size"), ("quality", "quality"), ("background", "background"), ("format", "output_format"))
_FINE_CODES = frozenset({"0", "200", "success", "ok"})
_FINE = re.compile(
    r"(?:success|successful(?:ly)?|succeeded|ok|done|completed|(?:操作|请求|提交|生成)?成功)[.!。！]?", re.IGNORECASE
)

Json = dict[str, Any]


def mark_of(value: object) -> int | None:
    """Return the picture whose mark the scanner left as this string, None when it is another value."""
    marked = _MARKED.fullmatch(value) if isinstance(value, str) else None
    return int(marked[1]) if marked else None


def is_address(value: object) -> bool:
    """Tell whether a value is an address that a picture can be fetched from."""
    if not isinstance(value, str) or len(value) > _LONGEST_URL:
        return False
    return value[:8].lower().startswith(("https://", "http://")) and value.isprintable()


def error_of(document: Json, *, has_image: bool) -> tuple[ApiError | None, float | None]:
    """Read the error object and the seconds it asks to wait."""
    source = document.get("error")
    if isinstance(source, str) and source:
        source = {**document, "message": source}
    elif not isinstance(source, dict) or not source:
        if has_image or not (source or complaint(document)):
            return None, None
        source = document
    message = string(source.get("message")) or _bare_message(source)
    localized = string(source.get("localized_message"))
    if localized and localized != message:
        message = f"{message} ({localized})" if message else localized
    if not message and (not any(source.values()) or string(source.get("code")) in _FINE_CODES):
        return None, None
    error = ApiError(
        message=one_line(message),
        type=string(source.get("type"), 200),
        code=string(source.get("code"), 200),
        param=string(source.get("param"), 200),
    )
    return error, longest((_seconds(source.get("retry_after")), _seconds(document.get("retry_after")), hinted(message)))


def usage_of(usage: object) -> Usage | None:
    """Read the tokens in OpenAI's spelling for images, or in that for chat."""
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


def effective_of(*holders: Json) -> tuple[tuple[str, str], ...]:
    """Read what the gateway says it made, from the first of these objects that says it."""
    values = (
        (name, next((said for each in holders if (said := string(each.get(key)))), "")) for name, key in _EFFECTIVE
    )
    return tuple((name, value[:64]) for name, value in values if value)


def revised_prompt(items: list[Json]) -> str:
    """Return the prompt as the gateway rewrote it, from the first of these objects that tells; "" where none does."""
    return next((words for item in items if (words := string(item.get("revised_prompt")))), "")


def string(value: object, most: int = 4096) -> str:
    """Read a field as clean text; numbers as they are written, anything else as nothing."""
    if isinstance(value, str):
        return one_line(value, most)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)[:most]
    return ""


def objects(value: object) -> list[Json]:
    """Return the objects of a list, or one object alone."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]


def complaint(document: Json) -> str:
    """Find a message that complains: one outside any error object that does not say itself that all is well."""
    message = _bare_message(document)
    fine = string(document.get("code")) in _FINE_CODES or document.get("success") is True
    holds = any(isinstance(each := document.get(key), dict | list) and each for key in ("data", "result", "output"))
    return "" if _FINE.fullmatch(message) or (fine and holds) else message


def _bare_message(document: Json) -> str:
    """Find a complaint outside any error object: `message`, or its spelling in other frameworks."""
    for key in ("message", "msg", "detail", "error_description", "errors"):
        value = document.get(key)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = value.get("message") or value.get("msg")
        if isinstance(value, str) and value.strip():
            return one_line(value)
    return ""


def _count(value: object) -> int | None:
    """Read a number of tokens; one that is none, below zero or without bounds, stays a claim that can be told."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return max(-_MOST_TOKENS, min(value, _MOST_TOKENS))
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, str):
        return hinted(f"retry {value}") or hinted(f"retry {value}s")
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= _LONGEST_WAIT:
        return float(value)
    return None
