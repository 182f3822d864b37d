"""Images from strangers that are made to take all memory: refused, or decoded, in little of it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.store.checks.decode import DecodePool
from batchgen.store.checks.image import BadImage, inspect
from tests.chaos.promises import promise
from tests.support.pace import no_longer_than
from tests.support.store import chunk, encoded, header, png


def dressed(signature: bytes, width: int, height: int, *chunks: bytes) -> bytes:
    return signature + header(width, height) + b"".join(chunks) + chunk(b"IEND")


def squeezed(size: int) -> bytes:
    """Zeros, compressed again and again, to a thousandth each time."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


def resized(kind: str, width: int, height: int) -> bytes:
    """A small image whose header says that it is a large one, which is what makes a decoder ask for memory."""
    data = bytearray(encoded(kind))
    if kind == "jpeg":
        at = next(at for at in range(len(data)) if data[at : at + 2] in (b"\xff\xc0", b"\xff\xc2"))
        data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    else:
        at = data.index(b"VP8 ")
        data[at + 14 : at + 18] = struct.pack("<HH", width & 0x3FFF, height & 0x3FFF)
    return bytes(data)


SIGNATURE = png()[:8]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
BOMBS = {
    "PNG of 12,000²": lambda: dressed(SIGNATURE, 12_000, 12_000, chunk(b"IDAT", squeezed(432 << 20))),
    "PNG of 20,000²": lambda: dressed(SIGNATURE, 20_000, 20_000, chunk(b"IDAT", squeezed(8 << 20))),
    "PNG of 2³¹": lambda: dressed(SIGNATURE, 2**31 - 1, 2**31 - 1, chunk(b"IDAT", b"")),
    "PNG that holds more than it says": lambda: dressed(SIGNATURE, 16, 16, chunk(b"IDAT", squeezed(512 << 20))),
    "PNG in a PNG": lambda: dressed(SIGNATURE, 16, 16, chunk(b"IDAT", zlib.compress(squeezed(256 << 20)))),
    "PNG in 100,000 pieces": lambda: dressed(SIGNATURE, 16, 16, chunk(b"IDAT") * 100_000),
    "PNG with a chunk of 2 GB": lambda: SIGNATURE + header(16, 16) + struct.pack(">I", 2**31 - 1) + b"IDAT" + b"x" * 99,
    "JPEG of 12,000²": lambda: resized("jpeg", 12_000, 12_000),
    "JPEG of 65,500²": lambda: resized("jpeg", 65_500, 65_500),
    "WebP of 12,000²": lambda: resized("webp", 12_000, 12_000),
    "WebP of 16,383²": lambda: resized("webp", 16_383, 16_383),
    "SVG": lambda: SVG,
    "GIF": lambda: b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + b"\0" * 50,
    "gzip": lambda: b"\x1f\x8b\x08\0" + squeezed(64 << 20),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    made = DecodePool(workers=1, seconds=5.0)
    yield made
    made.close()


def peak() -> int:
    """The most memory this process ever had, in bytes."""
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) << 10  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_image_that_is_a_bomb_is_refused_in_little_memory(tmp_path: Path, pool: DecodePool, name: str) -> None:
    path = tmp_path / "image"
    path.write_bytes(BOMBS[name]())
    assert path.stat().st_size < 3_000_000
    before = peak() if Path("/proc/self/status").exists() else 0
    with no_longer_than(1_500), pytest.raises(BadImage) as caught:
        inspect(path, pool)
    assert str(caught.value).isprintable()
    if before:
        assert peak() - before < 100_000_000
    promise(14, f"{len(BOMBS)} image bombs refused")


def test_image_with_bombs_beside_its_pixels_is_taken_or_refused_in_little_memory(
    tmp_path: Path, pool: DecodePool
) -> None:
    """Compressed texts and profiles that nobody unpacks do no harm; the picture itself is whole."""
    parts = png()[8 + 25 : -12]
    bomb = squeezed(512 << 20)
    notes = chunk(b"zTXt", b"a\0\0" + bomb) + chunk(b"iCCP", b"a\0\0" + bomb) + chunk(b"iTXt", b"a\0\1\0\0\0" + bomb)
    path = tmp_path / "image"
    path.write_bytes(png()[: 8 + 25] + notes + parts + chunk(b"IEND"))
    before = peak() if Path("/proc/self/status").exists() else 0
    assert inspect(path, pool).format == "png"
    assert not before or peak() - before < 100_000_000
