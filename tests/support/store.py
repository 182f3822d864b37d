"""Pictures for the tests of the store, made byte by byte so that they can be made wrong."""

from __future__ import annotations

import io
import random
import struct
import zlib
from pathlib import Path

from PIL import Image as Pillow

from batchgen.domain.origin import Origin
from batchgen.store.checks.stream import BadImage, Decoded

ORIGIN = Origin(
    job="spring",
    key="MUG/01",
    path="Größe/{size}-{sample}",
    size="2048x1152",
    sample=1,
    revision=2,
    own=2**63 - 1,
    shared=2**53 + 1,
    provider="apiyi",
    route="apiyi/gpt-image-2-vip",
    model="gpt-image-2",
    endpoint="generations",
    base_url="https://api.example.com/v1",
    size_sent="2048x1152",
    request_hash="c" * 64,
    billing_unit="call",
    key_fingerprint="0badcafe",
    reserved=30_000,
    reserved_at=1_799_999_990.25,
)
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def header(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def raw_rows(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0, seed: int = 0) -> bytes:
    """Pixel rows with their filter bytes, as they are before packing."""
    rand = random.Random(seed)
    raw = b""
    for left, top, across, down in ADAM7 if interlace else ((0, 0, 1, 1),):
        columns, rows = len(range(left, width, across)), len(range(top, height, down))
        for row in range(rows if columns else 0):
            raw += bytes([row % 5]) + rand.randbytes((columns * depth * CHANNELS[colour] + 7) // 8)
    return raw


def png(
    width: int = 18,
    height: int = 12,
    depth: int = 8,
    colour: int = 2,
    interlace: int = 0,
    *,
    seed: int = 0,
    raw: bytes | None = None,
    packed: bytes | None = None,
    piece: int = 1 << 30,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A PNG of noise; each part can be replaced by a wrong one."""
    if packed is None:
        packed = zlib.compress(raw_rows(width, height, depth, colour, interlace, seed) if raw is None else raw, 1)
    palette = chunk(b"PLTE", bytes(range(3)) * (1 << depth)) if colour == 3 else b""
    pieces = b"".join(chunk(b"IDAT", packed[at : at + piece]) for at in range(0, len(packed), piece))
    start = b"\x89PNG\r\n\x1a\n" + header(width, height, depth, colour, interlace)
    return start + palette + before + pieces + after + chunk(b"IEND")


def encoded(kind: str, width: int = 64, height: int = 48) -> bytes:
    """A JPEG or WebP by Pillow."""
    noise = Pillow.frombytes("RGB", (width, height), random.Random(5).randbytes(width * height * 3))
    file = io.BytesIO()
    noise.save(file, kind)
    return file.getvalue()


class NoDecoder:
    """Stands where JPEG and WebP are not expected."""

    def decode(self, path: str, kind: str) -> Decoded:
        raise BadImage(f"{path} is {kind}, which no test of PNG should meet")


class PillowHere:
    """Decodes in this process, for tests that are not about the worker processes."""

    def decode(self, path: str, kind: str) -> Decoded:
        with Pillow.open(Path(path), formats=[kind]) as image:
            image.load()
            return Decoded(*image.size, blank=False)
