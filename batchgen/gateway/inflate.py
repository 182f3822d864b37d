"""Bodies that come compressed although they were asked for plain: inflated in bounded steps.

A megabyte of gzip can hold a gigabyte, so the limits of a body count what comes out, step by step.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

STEP = 1 << 16
_EITHER = 32 + zlib.MAX_WBITS  # gzip or zlib, told apart by the header
_MOST_MEMBERS = 64  # a stream may be several; thousands of empty ones only burn time
# How JSON, a PNG and a JPEG begin, and nothing that inflates to one of them does.
_PLAIN = frozenset(b"{[\x89\xff")


class Inflater:
    """One gzip or deflate stream, or a body that is only said to be one: a proxy that unpacked it kept the header."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_EITHER)
        self._begun = False
        self._plain = False
        self._members = 1

    @property
    def whole(self) -> bool:
        """Whether what came ends where the stream says that it ends."""
        return self._plain or self._stream.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; yield plain pieces of at most `STEP` bytes.

        Raises:
            zlib.error: the stream is damaged.
        """
        if not self._begun and data:
            self._begun = True
            self._plain = data[0] in _PLAIN
            if data[0] != 0x1F and data[0] & 0x0F != 8:  # deflate without its header, as some servers send it
                self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        if self._plain:
            yield from (data[at : at + STEP] for at in range(0, len(data), STEP))
            return
        while data:
            piece = self._stream.decompress(data, STEP)
            data = self._stream.unconsumed_tail
            if self._stream.eof:
                data = self._next_member()
            if piece:
                yield piece

    def _next_member(self) -> bytes:
        rest: bytes = self._stream.unused_data
        if not rest:
            return b""
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise zlib.error("too many members")
        self._stream = zlib.decompressobj(_EITHER)
        return rest


def inflater_for(encoding: str) -> Inflater | None:
    """Return what undoes a Content-Encoding, None when there is nothing to undo or it is one we cannot."""
    return Inflater() if encoding.strip().lower() in {"gzip", "x-gzip", "deflate"} else None
