"""The receipt beside a spooled answer: all that came back, but the bytes of images, as JSON."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any

from batchgen.domain.wire import Answer, ApiError, Ending, Picture, Usage

_VERSION = 1
_DEFAULTS = [(field.name, None if field.default is MISSING else field.default) for field in fields(Answer)]
_encode = json.JSONEncoder(separators=(",", ":")).encode


def write_receipt(answer: Answer) -> bytes:
    """The answer as JSON; what holds its default is left out."""
    record: dict[str, Any] = {"version": _VERSION}
    for name, default in _DEFAULTS:
        value = getattr(answer, name)
        if value != default:
            record[name] = value
    if answer.pictures:
        record["pictures"] = [(picture.file, picture.size, picture.damage) for picture in answer.pictures]
    if answer.error is not None:
        record["error"] = _plain(answer.error)
    if answer.usage is not None:
        record["usage"] = _plain(answer.usage)
    return _encode(record).encode("ascii")


def read_receipt(data: bytes) -> Answer:
    """The answer again. Fields of a later version that this one does not know are passed over.

    Raises:
        ValueError: not a receipt.
    """
    try:
        record = json.loads(data)
        known = {name: record[name] for name, _ in _DEFAULTS if name in record}
        known["ending"] = Ending(record["ending"])
        if type(record["attempt"]) is not int:
            raise TypeError("the attempt is not a number")
        if "pictures" in record:
            known["pictures"] = tuple(Picture(str(file), int(size), str(why)) for file, size, why in record["pictures"])
        if "error" in record:
            known["error"] = ApiError(**record["error"])
        if "usage" in record:
            known["usage"] = Usage(**record["usage"])
        known["urls"] = tuple(record.get("urls", ()))
        for name in ("request_ids", "effective"):
            known[name] = tuple((str(key), str(value)) for key, value in record.get(name, ()))
        return Answer(**known)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"not a receipt: {error}") from error


def _plain(value: ApiError | Usage) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
