"""A PNG writer for pictures that are put together from bands of rows.

A band is compressed once, on its own, and may then stand in any number of pictures: deflate blocks behind a full flush
do not refer to what came before them, and two Adler-32 sums join by arithmetic. So a 4K picture of which only the
caption is new costs as much as its caption.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_BASE = 65521  # the modulus of Adler-32
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EMPTY_FINAL_BLOCK = b"\x03\x00"


class Band(NamedTuple):
    """Some whole rows, compressed: raw deflate that ends on a byte and is not final."""

    deflate: bytes
    adler: int
    length: int


def band(rows: bytes) -> Band:
    """Compress rows, each of which starts with its filter byte; the first one must not look at the row above."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    deflate = packer.compress(rows) + packer.flush(zlib.Z_FULL_FLUSH)
    return Band(deflate, zlib.adler32(rows), len(rows))


def unpack(bands: Iterable[Band]) -> bytes:
    """Decompress bands into their rows."""
    return b"".join(zlib.decompressobj(-15).decompress(piece.deflate) for piece in bands)


def joined(first: int, second: int, length: int) -> int:
    """Compute the Adler-32 of two byte strings in a row from both sums and the length of the second."""
    rest = length % _BASE
    low = (first & 0xFFFF) + (second & 0xFFFF) + _BASE - 1
    high = rest * (first & 0xFFFF) + (first >> 16) + (second >> 16) + _BASE - rest
    return (high % _BASE) << 16 | low % _BASE


def chunk(kind: bytes, data: bytes) -> bytes:
    """Write one chunk with its length and CRC."""
    return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))))


def assemble(
    width: int,
    height: int,
    palette: bytes,
    bands: Sequence[Band],
    *,
    alpha: bytes = b"",
    depth: int = 8,
    extra: Sequence[bytes] = (),
) -> bytes:
    """Write a whole file with a palette of three bytes per colour.

    `alpha` has one byte per colour from the first on, the rest is opaque; `depth` is bits per pixel; `extra` are whole
    chunks that stand before the pixels.
    """
    adler = 1
    for piece in bands:
        adler = joined(adler, piece.adler, piece.length)
    pixels = b"".join([b"\x78\x01", *(piece.deflate for piece in bands), _EMPTY_FINAL_BLOCK, struct.pack(">I", adler)])
    parts = [_SIGNATURE, chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 3, 0, 0, 0)), *extra]
    parts.append(chunk(b"PLTE", palette))
    if alpha:
        parts.append(chunk(b"tRNS", alpha))
    parts += [chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"".join(parts)
