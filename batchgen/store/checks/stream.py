"""A file read once, in bounded pieces, and hashed on the way."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

PIECE = 256 * 1024


class BadImage(ValueError):
    """The bytes are not a whole image of a kind we take.

    Attributes:
        reason: one clause, to follow "the image is damaged: ".
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class NotJudged(Exception):
    """Nobody can tell whether the bytes are a whole image: they are more than a decoder of ours takes, every time.

    Attributes:
        reason: as that of `BadImage`.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class Decoded(NamedTuple):
    """Says what a decoder has seen of an image.

    Attributes:
        blank: whether every pixel is the same.
    """

    width: int
    height: int
    blank: bool


class Stream:
    """Reads an open file from the start and hashes it; `size` is what the file system says it holds."""

    __slots__ = ("_at", "_block", "_fd", "_hash", "size")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size
        self._hash = sha256()
        self._block = b""
        self._at = 0
        self._next()

    @property
    def sha256(self) -> str:
        """Return the hex digest of what was read so far; of the whole file once `rest` has returned."""
        return self._hash.hexdigest()

    def peek(self, count: int) -> bytes:
        """Return the next bytes, at most what the current block holds, without moving on."""
        return self._block[self._at : self._at + count]

    def take(self, count: int) -> bytes:
        """Return exactly so many bytes.

        Raises:
            BadImage: the file ends before.
        """
        end = self._at + count
        if end <= len(self._block):
            taken = self._block[self._at : end]
            self._at = end
            return taken
        return b"".join(self.pieces(count))

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Yield so many bytes, in pieces as they lie in memory.

        Raises:
            BadImage: the file ends before.
        """
        while count:
            if self._at == len(self._block) and not self._next():
                raise BadImage(f"it is cut off after {self.size:,} bytes")
            piece = memoryview(self._block)[self._at : self._at + count]
            self._at += len(piece)
            count -= len(piece)
            yield piece

    def rest(self, keep: int = 0) -> tuple[int, bytes]:
        """Read to the end; return how many bytes that were, and the last `keep` bytes of all that was read since."""
        count, tail = 0, b""
        while True:
            block = self._block[self._at :] if self._at else self._block
            count += len(block)
            if keep and block:
                tail = (tail + block)[-keep:]
            if not self._next():
                return count, tail

    def _next(self) -> bool:
        """Read the next block; False when there is none."""
        self._block = os.read(self._fd, PIECE)
        self._at = 0
        self._hash.update(self._block)
        return bool(self._block)
