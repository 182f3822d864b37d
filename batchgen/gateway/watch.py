"""Looks for the key of a call in the picture that it brought, while that passes.

A gateway that puts what it was sent into a picture's metadata puts the key into a file that people pass on.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from batchgen.domain.text import written_forms

HOLDS_KEY = "the picture holds the key of the call, so it is kept out of the output folder"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = 8  # bytes of the signature, and of what begins a chunk: its length and its name
_CRC = 4
_COMPRESSED = frozenset({b"zTXt", b"iTXt", b"iCCP"})
_MOST_IN = 1 << 20  # bytes of such a chunk
_MOST_OUT = 4 << 20  # of what is in it
_MOST_STARTS = 6  # places in a chunk where its compressed text may begin


class KeyWatch:
    """Watches one picture, in pieces of any size.

    It finds the key plain, in hex, in base64, escaped as in an address or in JSON, and in UTF-16, anywhere in the file;
    and in a PNG's compressed texts of up to 1 MiB as far as 4 MiB. Nothing is found in pixels, which are compressed.

    Args:
        secrets: the key, and a proxy's password; what is too short to be told from chance is not looked for.
    """

    __slots__ = ("_chunks", "_forms", "_longest", "_tail", "found")

    def __init__(self, *secrets: str) -> None:
        self.found = False
        self._forms = tuple(form for secret in secrets for form in written_forms(secret))
        self._longest = max(map(len, self._forms), default=1)
        self._tail = b""
        self._chunks = _Chunks()

    @property
    def damage(self) -> str:
        """Why the picture is not to be delivered, "" when nothing was found."""
        return HOLDS_KEY if self.found else ""

    def take(self, piece: bytes) -> None:
        """Look at the next bytes."""
        if not self._forms or self.found:
            return
        text = self._tail + piece
        self._tail = text[-self._longest :]
        self.found = self._in(text) or any(self._in(each) for each in self._chunks.feed(piece))

    def _in(self, text: bytes) -> bool:
        return any(form in text for form in self._forms)


class _Chunks:
    """The compressed texts of a PNG that comes in pieces; of anything else nothing."""

    __slots__ = ("_begun", "_head", "_kept", "_left", "_over")

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._head = b""
        self._left = 0  # bytes of the current chunk that are still to come
        self._kept: bytearray | None = None  # of a chunk that is looked into

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next bytes; gives what the texts that end in them say."""
        at = 0
        while at < len(data) and not self._over:
            if not self._left:
                at = self._begin(data, at)
                continue
            end = min(len(data), at + self._left)
            if self._kept is not None:
                self._kept += data[at:end]
            self._left -= end - at
            at = end
            if not self._left and self._kept is not None:
                yield from _inflated(bytes(self._kept[:-_CRC]))

    def _begin(self, data: bytes, at: int) -> int:
        """Read the signature, or the head of the next chunk; gives the place from which to go on."""
        end = at + _HEAD - len(self._head)
        self._head += data[at:end]
        if len(self._head) < _HEAD:
            return len(data)
        head, self._head = self._head, b""
        if not self._begun:
            self._begun, self._over = True, head != _SIGNATURE
            return end
        size = int.from_bytes(head[:4], "big")
        self._left = size + _CRC
        self._kept = bytearray() if head[4:] in _COMPRESSED and size <= _MOST_IN else None
        return end


def _inflated(body: bytes) -> Iterator[bytes]:
    """Yield what is compressed in a chunk, behind one of its first zero bytes and perhaps a byte for the method."""
    at = -1
    for _ in range(_MOST_STARTS):
        at = body.find(b"\0", at + 1)
        if at < 0:
            return
        for start in (at + 1, at + 2):
            try:
                yield zlib.decompressobj().decompress(body[start:], _MOST_OUT)
            except zlib.error:
                continue
