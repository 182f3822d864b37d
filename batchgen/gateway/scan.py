"""Pictures inside a JSON text that comes in pieces.

A reply of 14 MB is one string of base64 and a few hundred bytes around it. The scanner takes the string out as it
passes, decodes it, and keeps only what is around it, so memory stays flat. In the kept text a picture's string is
replaced by its mark (`#0`, `#1`…), so that a parser can tell which object held which picture. A data URL within a
longer text becomes `data:#0`, which no prose says by chance.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from batchgen.gateway.base64text import Base64Text
from batchgen.gateway.picture_start import LONGEST, OPEN_ESCAPE, OWN, RUN, WITHIN, key_pattern

MAX_PICTURE = 48 << 20  # decoded bytes
MAX_BODY = 65 << 20  # 48 MiB as base64 are 64 MiB
MAX_REST = 1 << 20
MAX_PICTURES = 32  # ten is the most any endpoint makes in one call; up to 17 inputs may come back with them
MARK = "#"
WITHIN_MARK = f"data:{MARK}"

_USUAL = key_pattern(("b64_json",))
_TAIL = 1 << 14
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
class ScannedPicture:
    """One picture of the text.

    Attributes:
        size: bytes decoded so far.
        damage: why it is not whole, "" when it is.
        own: whether it stands under a key that only answers have, so that it is no echo of the request.
    """

    size: int = 0
    damage: str = ""
    own: bool = False


class Scanner:
    """Reads one text piece by piece. Nothing in it waits, so it can be tried with any cut.

    Attributes:
        pictures: what was found so far, in order.
        too_large: which limit was passed, "" for none; from then on nothing is taken in.
    """

    __slots__ = ("_current", "_odd", "_pattern", "_prefix", "_rest", "_tail", "_total", "pictures", "too_large")

    def __init__(self, pattern: re.Pattern[bytes] = _USUAL) -> None:
        self.pictures: list[ScannedPicture] = []
        self.too_large = ""
        self._pattern = pattern
        self._rest = bytearray()
        self._tail = b""  # not yet searched to its end: a key may begin in it, or an escape
        self._current: Base64Text | None = None  # of the picture we are in
        self._prefix = b""  # how its data URL begins, when it stands within a longer text
        self._odd = False  # whether that string so far ends in an odd run of backslashes
        self._total = 0

    @property
    def text(self) -> str:
        """The text without its pictures, as far as it came."""
        return (self._rest + self._tail).decode("utf-8", "replace")

    @property
    def tail(self) -> str:
        """The last of the text, some thousand characters."""
        return (self._rest[-_TAIL:] + self._tail).decode("utf-8", "replace")

    @property
    def inside(self) -> bool:
        """Whether the text so far ends inside a picture."""
        return self._current is not None

    def may_be_whole(self) -> bool:
        """Tell whether the text so far could be a whole document: cheap, and wrong only on the hopeful side."""
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
        if self._tail:
            data, self._tail = self._tail + data, b""
        at = 0
        while at < len(data) and not self.too_large:
            at = self._outside(data, at) if self._current is None else self._inside(self._current, data, at, out)
        return out

    def finish(self, *, cut: bool = False) -> None:  # noqa: ARG002 - a text shows itself whether it was cut
        """End the text: a picture that is still open is damaged."""
        if self._current is not None and not self.pictures[-1].damage:
            self.pictures[-1].damage = "the answer ended inside the picture"

    def _outside(self, data: bytes, at: int) -> int:
        """Search for the next picture; gives the place from which to go on."""
        match = self._pattern.search(data, at)
        if match is not None and match.start() == 0 and self._rest.endswith(b"\\"):
            match = self._pattern.search(data, 1)
        if match is None:
            keep = max(at, len(data) - LONGEST)
            self._rest += data[at:keep]
            self._tail = data[keep:]
            at = len(data)
        else:
            within = match.lastgroup == WITHIN
            self._rest += data[at : match.start() if within else match.end()]
            self._prefix = match[0] if within else b""
            at = match.end()
            self._open(own=match.lastgroup == OWN)
        if len(self._rest) > MAX_REST:
            self.too_large = f"the text around the pictures passed {MAX_REST >> 20} MiB"
        return at

    def _open(self, *, own: bool) -> None:
        if len(self.pictures) >= MAX_PICTURES:
            self.too_large = f"the answer holds more than {MAX_PICTURES} pictures"
            return
        self.pictures.append(ScannedPicture(own=own))
        self._current = Base64Text()
        self._odd = False

    def _inside(self, current: Base64Text, data: bytes, at: int, out: list[tuple[int, bytes]]) -> int:
        """Decode up to the picture's end or the data's; gives the place from which to go on."""
        stop, closed = self._end_of_run(data, at) if self._prefix else self._end_of_string(data, at)
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
        self._tail = data[stop:]
        return len(data)

    def _close(self, found: ScannedPicture) -> None:
        self._current = None
        if found.size or found.damage:
            mark = WITHIN_MARK if self._prefix else MARK
            self._rest += f"{mark}{len(self.pictures) - 1}".encode()
        else:
            self.pictures.pop()  # an empty string is no picture
            self._rest += self._prefix

    def _end_of_run(self, data: bytes, at: int) -> tuple[int, bool]:
        """Find where the base64 stops, and whether it ends there: at the first character that is none."""
        match = RUN.match(data, at)
        stop = match.end() if match is not None else at
        return stop, stop < len(data) and OPEN_ESCAPE.match(data, stop) is None

    def _end_of_string(self, data: bytes, at: int) -> tuple[int, bool]:
        """Find where the string stops, and whether it ends there: at its closing quote."""
        quote = self._closing_quote(data, at)
        return (quote, True) if quote >= 0 else (len(data), False)

    def _closing_quote(self, data: bytes, at: int) -> int:
        """Find where the string ends, -1 when not here. A quote after an odd run of backslashes is part of it."""
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
