"""The full check of an image: what it is by content, its real dimensions, and that it is whole to the last byte."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from batchgen.store.checks.png_check import SIGNATURE, check_png
from batchgen.store.checks.stream import BadImage, Decoded, NotJudged, Stream
from batchgen.store.folder import trouble

__all__ = ["BadImage", "Decoded", "Decoder", "ImageFacts", "NotJudged", "examine", "inspect"]

_END_WITHIN = 64 * 1024  # some encoders append data behind the end mark of a JPEG
_KNOWN = ((b"GIF8", "a GIF"), (b"BM", "a BMP"), (b"II*\0", "a TIFF"), (b"MM\0*", "a TIFF"), (b"\0\0\1\0", "an icon"))


class Decoder(Protocol):
    """Decodes JPEG and WebP wholly, out of this process."""

    def decode(self, path: str, kind: str) -> Decoded:
        """What the image at `path` is, which is of the kind `jpeg` or `webp`.

        Raises:
            BadImage: it cannot be decoded.
            NotJudged: not within the limits.
            StoreError: there is no decoder to be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """Says what a whole image turned out to be.

    Attributes:
        format: `png`, `jpeg` or `webp`, by content.
        blank: whether every pixel is the same.
        trailing: bytes behind the image's own end; harmless, but not part of it.
        sha256: of the file, hex.
        bytes: of the file.
    """

    format: str
    width: int
    height: int
    blank: bool
    trailing: int
    sha256: str
    bytes: int


def inspect(path: Path, decoder: Decoder) -> ImageFacts:
    """Read an image file once and check it wholly.

    Raises:
        BadImage: it is not a whole PNG, JPEG or WebP of at most 40 megapixels.
        NotJudged: nobody can tell.
        StoreError: it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise trouble(error, "read", path) from error
    try:
        return examine(fd, os.fspath(path), decoder)
    finally:
        os.close(fd)


def examine(fd: int, path: str, decoder: Decoder) -> ImageFacts:
    """Check an image that is open already, as `inspect` does; `path` is where a decoder finds it.

    Raises:
        BadImage: see `inspect`.
        StoreError: it cannot be read.
    """
    try:
        stream = Stream(fd)
        start = stream.peek(12)
        if start.startswith(SIGNATURE):
            found = check_png(stream)
            trailing, _ = stream.rest()
            return ImageFacts("png", *found, trailing, stream.sha256, stream.size)
        if start.startswith(b"\xff\xd8\xff"):
            kind, trailing = "jpeg", _behind_jpeg(stream)
        elif start[:4] == b"RIFF" and start[8:] == b"WEBP":
            kind, trailing = "webp", _behind_webp(stream, start)
        else:
            raise BadImage(_what(stream.peek(32)))
    except OSError as error:
        raise trouble(error, "read", path) from error
    return ImageFacts(kind, *decoder.decode(path, kind), trailing, stream.sha256, stream.size)


def _behind_jpeg(stream: Stream) -> int:
    _, tail = stream.rest(_END_WITHIN)
    end = tail.rfind(b"\xff\xd9")
    if end < 0:
        raise BadImage("it is cut off: the end mark of the JPEG is missing")
    return len(tail) - end - 2


def _behind_webp(stream: Stream, start: bytes) -> int:
    whole = 8 + int.from_bytes(start[4:8], "little")
    stream.rest()
    if whole > stream.size:
        raise BadImage(f"it is cut off: the WebP says {whole} bytes and has {stream.size}")
    return stream.size - whole


def _what(start: bytes) -> str:
    if not start:
        return "there is not a single byte"
    for mark, name in _KNOWN:
        if start.startswith(mark):
            return f"it is {name}, not a PNG, JPEG or WebP"
    if start.lstrip()[:1] in {b"<", b"{"}:
        return f"it is text, not an image: {start.decode('latin-1')!a}"
    return f"it is not a PNG, JPEG or WebP; it begins with {start[:8].hex(' ')}"
