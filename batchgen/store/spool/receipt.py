"""The receipt beside a spooled answer: all that came back, but the bytes of images, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import Any

from batchgen.domain.origin import NO_ORIGIN, Origin
from batchgen.domain.wire import Answer, ApiError, CallEnd, Picture, Usage
from batchgen.store.output.origin_json import plain_origin, read_origin

_VERSION = 1
_DEFAULTS = [
    (field.name, None if field.default is MISSING else field.default)
    for field in fields(Answer)
    if field.name != "placed"  # what came, not what became of it
]
_encode = json.JSONEncoder(separators=(",", ":")).encode


def write_receipt(answer: Answer) -> bytes:
    """Return the answer as JSON; what holds its default is left out."""
    record: dict[str, Any] = {"version": _VERSION}
    for name, default in _DEFAULTS:
        value = getattr(answer, name)
        if value != default:
            record[name] = value
    for name in ("pictures", "spare"):
        if name in record:
            record[name] = [(picture.file, picture.size, picture.damage) for picture in record[name]]
    if answer.error is not None:
        record["error"] = _plain(answer.error)
    if answer.origin != NO_ORIGIN:
        record["origin"] = plain_origin(answer.origin)
    if answer.usage is not None:
        record["usage"] = _plain(answer.usage)
    return _encode(record).encode("ascii")


def read_receipt(data: bytes) -> Answer:
    """Read an answer, each field of its own type and within what can be booked.

    Fields of a later version that this one does not know are passed over.

    Raises:
        ValueError: not a receipt. Nothing else, whatever the bytes are.
    """
    try:
        record = json.loads(data.decode(), object_pairs_hook=_unique)
        given = {"attempt": record["attempt"], "ending": record["ending"], **record}
        return Answer(**{name: read(given[name]) for name, read in _READ.items() if name in given})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a receipt: {error}") from error


def _origin(record: Any) -> Origin:
    """Read whose answer it is; one that cannot be used is as good as none, and the answer is whole without it."""
    try:
        return read_origin(record)
    except (ValueError, AttributeError):
        return NO_ORIGIN


def _plain(value: ApiError | Usage) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        raise ValueError("it says something twice")
    return record


def _whole(value: object) -> int:
    if type(value) is int and 0 <= value <= _MOST:
        return value
    raise ValueError("it has a number that is none, or none of ours")


def _seconds(value: object) -> float:
    if type(value) in {int, float} and 0 <= value <= _LAST:  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]
    raise ValueError("it has a time that is none")


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError("it has neither true nor false where one should be")


def _words(value: object) -> str:
    if isinstance(value, str):
        value.encode()  # half a surrogate pair, which no database takes, is a ValueError
        return value
    raise ValueError("it has no text where one should be")


def _list(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    raise ValueError("it has no list where one should be")


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    return tuple((_words(name), _words(said)) for name, said in map(_list, _list(value)))


def _pictures(value: object) -> tuple[Picture, ...]:
    return tuple(Picture(_words(file), _whole(size), _words(why)) for file, size, why in map(_list, _list(value)))


def _error(value: dict[str, Any]) -> ApiError:
    return ApiError(**{name: _words(said) for name, said in value.items()})


def _usage(value: dict[str, Any]) -> Usage:
    return Usage(**{name: None if tokens is None else _whole(tokens) for name, tokens in value.items()})


_MOST = 2**63 - 1  # what the ledger takes
_LAST = 1e11  # seconds; as a date, in some thousand years
_READ: dict[str, Callable[[Any], Any]] = {
    "attempt": _whole,
    "ending": CallEnd,
    "status": _whole,
    "is_json": _truth,
    "content_type": _words,
    "retry_after": _seconds,
    "spent_for": _seconds,
    "told_rate": _seconds,
    "request_ids": _pairs,
    "pictures": _pictures,
    "urls": lambda value: tuple(map(_words, _list(value))),
    "text": _words,
    "error": _error,
    "usage": _usage,
    "revised_prompt": _words,
    "effective": _pairs,
    "excerpt": _words,
    "unread": _words,
    "spare": _pictures,
    "task": _words,
    "detail": _words,
    "sent_at": _seconds,
    "first_byte": _seconds,
    "total": _seconds,
    "origin": _origin,
}
