"""Pictures that gateways send by mistake or malice, made once."""

from __future__ import annotations

import struct
import zlib

from tests.support.store import chunk as png_chunk
from tests.support.store import encoded, header, png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIZE = (1280, 1280)  # of 1:1@1K, which every case asks for


def _flat(width: int, height: int) -> bytes:
    return SIGNATURE + header(width, height) + png_chunk(b"IDAT", zlib.compress(bytes(height * (width * 3 + 1)), 1))


GOOD_PICTURE = _flat(*SIZE) + png_chunk(b"IEND")
NOISE = {"png": png(64, 48), "jpeg": encoded("jpeg"), "webp": encoded("webp")}
ANIMATED = png(64, 48, before=png_chunk(b"acTL", struct.pack(">II", 2, 0)))
GIF = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><title>502</title><p>Bad gateway"


def flipped(data: bytes, at: int, bit: int = 1) -> bytes:
    """One bit of a file turned over."""
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def cut(kind: str, share: float) -> bytes:
    """The beginning of a picture."""
    whole = NOISE[kind]
    return whole[: int(len(whole) * share)]


def _repeated(piece: bytes, times: int, wbits: int) -> bytes:
    """Many times the same bytes, compressed, in no time: a fully flushed block may be repeated as it stands."""
    squeeze = zlib.compressobj(9, wbits=wbits)
    first = squeeze.compress(piece) + squeeze.flush(zlib.Z_FULL_FLUSH)
    block = squeeze.compress(piece) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return first + block * (times - 1)


def gzip_bomb(before: bytes, piece: bytes, times: int, *, zlib_head: bool = False) -> bytes:
    """A text that goes on for gigabytes once it is unpacked."""
    wbits = 15 if zlib_head else 31
    squeeze = zlib.compressobj(9, wbits=wbits)
    begun = squeeze.compress(before) + squeeze.flush(zlib.Z_FULL_FLUSH)
    block = squeeze.compress(piece) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return begun + block * times


def pixel_bomb(width: int, height: int) -> bytes:
    """A PNG that says it is huge, with some of the zeros that it would be."""
    pixels = _repeated(bytes(1 << 20), 64, 15)
    return SIGNATURE + header(width, height, depth=8, colour=0) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND")


def overflowing_png() -> bytes:
    """A PNG of a few pixels whose pixel stream unpacks to a gigabyte."""
    return SIGNATURE + header(64, 48) + png_chunk(b"IDAT", _repeated(bytes(1 << 20), 1024, 15)) + png_chunk(b"IEND")


def jpeg_bomb() -> bytes:
    """A JPEG whose header says 60,000 x 60,000."""
    whole = NOISE["jpeg"]
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + struct.pack(">HH", 60_000, 60_000) + whole[at + 4 :]


def webp_bomb() -> bytes:
    """A WebP whose header says 16,383 x 16,383."""
    whole = NOISE["webp"]
    at = whole.index(b"\x9d\x01\x2a") + 3
    return whole[:at] + struct.pack("<HH", 16_383, 16_383) + whole[at + 4 :]
