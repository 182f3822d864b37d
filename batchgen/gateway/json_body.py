"""JSON on its way out, in which images stand as addresses or data URLs, and on its way in, perhaps cut off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

from batchgen.domain.wire import FilePiece, Prepared

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
JSON = "application/json"

_DECODER = json.JSONDecoder()
_WHITE = re.compile(r"[ \t\r\n\ufeff]*")
_LONGEST_LITERAL = 5  # a number or `false` cut in two is refused where it begins

Pieces = tuple[bytes | FilePiece, ...]
"""A body in order; files stay on disk until they are sent."""


def json_pieces(document: object) -> Pieces:
    """Write a document as compact JSON in UTF-8, in which images stand as addresses or data URLs."""
    pieces: list[bytes | FilePiece] = []
    text: list[str] = []
    for piece in _encoded(document):
        if isinstance(piece, FilePiece):
            pieces += ("".join(text).encode(), piece)
            text.clear()
        else:
            text.append(piece)
    return (*pieces, "".join(text).encode())


class Shape(Enum):
    """What kind of text a body is."""

    WHOLE = "whole"  # one JSON document
    SHORT = "short"  # the beginning of one
    OTHER = "other"  # something else, or nothing


def parse(text: str) -> tuple[Shape, Any]:
    """Read a body as JSON. White space before the document is taken, and whatever follows it is ignored."""
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


def _encoded(value: object) -> Iterator[str | FilePiece]:
    if isinstance(value, Prepared):
        yield from _as_address(value)
    elif isinstance(value, dict):
        for number, (key, each) in enumerate(value.items()):
            yield f"{',' if number else '{'}{encode(key)}:"
            yield from _encoded(each)
        yield "}" if value else "{}"
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield "," if number else "["
            yield from _encoded(each)
        yield "]" if value else "[]"
    else:
        yield encode(value)


def _as_address(image: Prepared) -> Iterator[str | FilePiece]:
    if image.file is None:
        yield encode(image.url)
    else:
        yield f'"data:{image.media};base64,'
        yield FilePiece(image.file.path, image.file.size, image.file.sha256, base64=True)
        yield '"'
