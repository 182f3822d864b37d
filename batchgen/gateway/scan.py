"""Pictures inside a JSON text that comes in pieces.

A reply of 14 MB is one string of base64 and a few hundred bytes around it. The scanner takes the string out as it
passes, decodes it, and keeps only what is around it, so memory stays flat. In the kept text a picture's string is
replaced by its mark (`#0`, `#1`…), so that a parser can tell which object held which picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from batchgen.gateway.base64text import Base64Text

MAX_PICTURE = 48 << 20  # decoded bytes
MAX_BODY = 65 << 20  # 48 MiB as base64 are 64 MiB
MAX_REST = 1 << 20
MAX_PICTURES = 16  # ten is the most any endpoint makes in one call
MARK = "#"

_TAIL = 128  # more than any `"key" : "data:` that the pattern can match
_QUOTE = b'"'
_BACKSLASH = 0x5C


class Sink(Protocol):
    """Where the decoded bytes of one picture go; the store gives it."""

    @property
    def name(self) -> str:
        """File name below the spool folder."""
        ...

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        ...

    async def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        ...


SinkFactory = Callable[[int], Sink]
"""Makes the sink of the picture with that index within the answer; called once each, when its first bytes are there."""


@dataclass(slots=True)
class Found:
    """One picture of the text.

    Attributes:
        size: bytes decoded so far.
        damage: why it is not whole, "" when it is.
    """

    size: int = 0
    damage: str = ""


def key_pattern(inline: tuple[str, ...], data_urls: tuple[str, ...]) -> re.Pattern[bytes]:
    """What begins a picture: a key whose string is base64, or a key whose string is a data URL.

    A key cannot be faked inside another string, because its quotes would be escaped there.
    """
    colon = r'"[ \t\r\n]{0,32}:[ \t\r\n]{0,32}"'
    kinds = ["(?:" + "|".join(map(re.escape, inline)) + ")" + colon]
    if data_urls:
        kinds.append("(?:" + "|".join(map(re.escape, data_urls)) + ")" + colon + "(?=data:)")
    return re.compile((r'(?<!\\)"(?:' + "|".join(kinds) + ")").encode())


IMAGES = key_pattern(("b64_json",), ("url",))


class Scanner:
    """Reads one text piece by piece. Nothing in it waits, so it can be tried with any cut.

    Attributes:
        pictures: what was found so far, in order.
        too_large: which limit was passed, "" for none; from then on nothing is taken in.
    """

    __slots__ = ("_current", "_odd", "_pattern", "_rest", "_tail", "_total", "pictures", "too_large")

    def __init__(self, pattern: re.Pattern[bytes] = IMAGES) -> None:
        self.pictures: list[Found] = []
        self.too_large = ""
        self._pattern = pattern
        self._rest = bytearray()
        self._tail = b""  # not yet searched to its end: a key may begin in it
        self._current: Base64Text | None = None  # of the string we are in
        self._odd = False  # whether that string so far ends in an odd run of backslashes
        self._total = 0

    @property
    def text(self) -> str:
        """The text without its pictures, as far as it came."""
        return (self._rest + self._tail).decode("utf-8", "replace")

    @property
    def inside(self) -> bool:
        """Whether the text so far ends inside a picture."""
        return self._current is not None

    def may_be_whole(self) -> bool:
        """Whether the text so far could be a whole document: cheap, and wrong only on the hopeful side."""
        if self._current is not None:
            return False
        end = self._tail.rstrip() or self._rest.rstrip()
        return end.endswith((b"}", b"]"))

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take the next piece of the text; gives decoded bytes, each with its picture's index."""
        out: list[tuple[int, bytes]] = []
        self._total += len(data)
        if self._total > MAX_BODY:
            self.too_large = f"the body passed {MAX_BODY >> 20} MiB"
        at = 0
        while at < len(data) and not self.too_large:
            if self._current is not None:
                at = self._inside(self._current, data, at, out)
            else:
                data, at = self._outside(data, at)
        return out

    def finish(self) -> None:
        """The text ends here: a picture that is still open is damaged."""
        if self._current is not None and not self.pictures[-1].damage:
            self.pictures[-1].damage = "the answer ended inside the picture"

    def _outside(self, data: bytes, at: int) -> tuple[bytes, int]:
        """Search for the next picture; gives the text and the place in it from which to go on."""
        if self._tail:
            data, at = self._tail + data[at:], 0
            self._tail = b""
        match = self._pattern.search(data, at)
        if match is not None and match.start() == 0 and self._rest.endswith(b"\\"):
            match = self._pattern.search(data, 1)
        if match is None:
            keep = max(at, len(data) - _TAIL)
            self._rest += data[at:keep]
            self._tail = data[keep:]
            at = len(data)
        else:
            self._rest += data[at : match.end()]
            at = match.end()
            self._open()
        if len(self._rest) > MAX_REST:
            self.too_large = f"the text around the pictures passed {MAX_REST >> 20} MiB"
        return data, at

    def _open(self) -> None:
        if len(self.pictures) >= MAX_PICTURES:
            self.too_large = f"the answer holds more than {MAX_PICTURES} pictures"
            return
        self.pictures.append(Found())
        self._current = Base64Text()
        self._odd = False

    def _inside(self, current: Base64Text, data: bytes, at: int, out: list[tuple[int, bytes]]) -> int:
        """Decode up to the end of the string or of the data; gives the place from which to go on."""
        end = self._closing_quote(data, at)
        closed = end >= 0
        stop = end if closed else len(data)
        found = self.pictures[-1]
        if not found.damage:
            piece = current.decode(data[at:stop], closed=closed)
            found.damage = current.damage
            if piece:
                found.size += len(piece)
                out.append((len(self.pictures) - 1, piece))
            if found.size > MAX_PICTURE:
                self.too_large = f"a picture passed {MAX_PICTURE >> 20} MiB"
        if closed:
            self._close(found)
        return stop

    def _close(self, found: Found) -> None:
        self._current = None
        if found.size or found.damage:
            self._rest += f"{MARK}{len(self.pictures) - 1}".encode()
        else:
            self.pictures.pop()  # an empty string is no picture

    def _closing_quote(self, data: bytes, at: int) -> int:
        """Where the string ends, -1 when not in this piece. A quote after an odd run of backslashes is part of it."""
        start = at
        while (quote := data.find(_QUOTE, at)) >= 0:
            if not self._odd_before(data, start, quote):
                return quote
            at = quote + 1
        self._odd = self._odd_before(data, start, len(data))
        return -1

    def _odd_before(self, data: bytes, start: int, end: int) -> bool:
        first = end
        while first > start and data[first - 1] == _BACKSLASH:
            first -= 1
        run = end - first + (self._odd if first == start else 0)
        return run % 2 == 1
