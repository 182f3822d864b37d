"""The whole check of a PNG, in constant memory: signature, every CRC, the pixel stream to its last row, the end.

Pillow passes a PNG without its last bytes, and its own check needs the decoded picture in memory; this one does not.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from zlib_ng import zlib_ng as zlib  # many times faster than the standard library on flat images and checksums

from batchgen.store.checks.blank import OneColour
from batchgen.store.checks.stream import BadImage, Decoded, Stream

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 40_000_000
_MAX_CHUNKS = 100_000  # 48 MB in chunks of 480 bytes; more is an attack on our time
_OUT = 512 * 1024
_HEAD = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIBBBBB")
_CRC = struct.Struct(">I")
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_FILTERS = b"\0\1\2\3\4"


def check_png(stream: Stream) -> Decoded:
    """Return what a whole PNG is; the stream stands behind its end mark then.

    Raises:
        BadImage: it is not whole, not valid, or over 40 megapixels.
    """
    if stream.take(8) != SIGNATURE:
        raise BadImage("it does not begin like a PNG")
    kind, body = _chunk(stream)
    if kind != b"IHDR":
        raise BadImage(f"its first chunk is {_name(kind)}, not IHDR")
    width, height, colour, bits, rows = _header(body)
    pixels, order = _Pixels(rows, bits), _ChunkOrder(colour)
    for _ in range(_MAX_CHUNKS):
        kind, body = _chunk(stream, pixels)
        order.take(kind, body)
        if kind == b"IEND":
            pixels.end()
            return Decoded(width, height, pixels.colour.holds)
    raise BadImage(f"it has more than {_MAX_CHUNKS:,} chunks")


def _chunk(stream: Stream, pixels: _Pixels | None = None) -> tuple[bytes, bytes]:
    """Return the next chunk's kind and, for the small ones that matter, its body; pixel data go to `pixels`."""
    length, kind = _HEAD.unpack(stream.take(8))
    if not kind.isalpha():
        raise BadImage("it has a chunk without a name")
    crc, body = zlib.crc32(kind), b""
    for piece in stream.pieces(length):
        crc = zlib.crc32(piece, crc)
        if pixels is not None and kind == b"IDAT":
            pixels.feed(piece)
        elif length <= 768:  # a palette is the longest we look into
            body += piece
    if _CRC.unpack(stream.take(4))[0] != crc:
        raise BadImage(f"the checksum of its {_name(kind)} chunk is wrong")
    if kind == b"IEND" and length:
        raise BadImage("its end mark is not empty")
    return kind, body


def _header(body: bytes) -> tuple[int, int, int, int, Iterator[tuple[int, int]]]:
    """Return width, height, colour type, bits of a pixel and the passes of pixel rows.

    Each pass is (rows, bytes of a row with its filter byte).
    """
    if len(body) != _IHDR.size:
        raise BadImage("its IHDR chunk has the wrong length")
    width, height, depth, colour, packing, filtering, interlace = _IHDR.unpack(body)
    if not 0 < width < 2**31 or not 0 < height < 2**31:
        raise BadImage(f"its size {width}x{height} is impossible")
    if width * height > MAX_PIXELS:
        raise BadImage(f"its size {width}x{height} is over the limit of {MAX_PIXELS // 1_000_000} megapixels")
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering or interlace > 1:
        raise BadImage("its IHDR chunk asks for what no PNG has")
    bits = depth * _CHANNELS[colour]
    grids = _ADAM7 if interlace else ((0, 0, 1, 1),)
    return width, height, colour, bits, _passes(width, height, bits, grids)


def _passes(width: int, height: int, bits: int, grids: tuple[tuple[int, ...], ...]) -> Iterator[tuple[int, int]]:
    for left, top, across, down in grids:
        columns = -((left - width) // across) if width > left else 0
        rows = -((top - height) // down) if height > top else 0
        if columns and rows:
            yield rows, 1 + (columns * bits + 7) // 8


def _name(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


class _ChunkOrder:
    """Knows which chunk may follow which: a palette before the pixels, these unbroken, no other critical one."""

    def __init__(self, colour: int) -> None:
        self._palette_due = colour == 3
        self._palette_seen = False
        self._pixels = "before"

    def take(self, kind: bytes, body: bytes) -> None:
        """Take the next chunk behind the header."""
        if kind == b"IDAT":
            if self._pixels == "after" or self._palette_due:
                raise BadImage("its pixel chunks are in the wrong place")
            self._pixels = "in"
            return
        if self._pixels == "in":
            self._pixels = "after"
        if kind == b"PLTE":
            self._palette(body)
        elif kind != b"IEND" and kind[:1].isupper():
            raise BadImage(f"it holds a second or unknown critical chunk {_name(kind)}")

    def _palette(self, body: bytes) -> None:
        colours, odd = divmod(len(body), 3)
        if odd or not 1 <= colours <= 256 or self._palette_seen or self._pixels != "before":
            raise BadImage("its palette is broken or in the wrong place")
        self._palette_seen, self._palette_due = True, False


class _Pixels:
    """Unpacks the pixel stream in bounded pieces, counts it to the byte, looks at the filter of every row."""

    def __init__(self, passes: Iterator[tuple[int, int]], bits: int) -> None:
        self.colour = OneColour(bits)
        self._passes = passes
        self._stride = 1
        self._left = 0  # bytes of the current pass still to come
        self._filter_in = 0  # bytes until the next filter byte
        self._done = False
        self._zlib = zlib.decompressobj()
        self._next_pass()

    def feed(self, piece: bytes | memoryview) -> None:
        """Take compressed bytes. What follows the end of the packed stream is padding and passed over."""
        data: bytes | memoryview = piece
        while len(data) and not self._zlib.eof:
            self._rows(self._unpack(data))
            data = self._zlib.unconsumed_tail

    def end(self) -> None:
        """Make sure that the pixels are complete, now that nothing more comes.

        Raises:
            BadImage: rows are missing.
        """
        while not self._zlib.eof and (more := self._unpack(b"")):
            self._rows(more)
        if not self._done:
            raise BadImage("rows of pixels are missing")
        if not self._zlib.eof:
            raise BadImage("the end of its pixel data is missing")

    def _unpack(self, data: bytes | memoryview) -> bytes:
        try:
            return self._zlib.decompress(data, _OUT)
        except zlib.error as error:  # type: ignore[misc]  # its stub calls the class an instance
            raise BadImage(f"its pixel data cannot be unpacked ({error})") from error

    def _rows(self, raw: bytes) -> None:
        at = 0
        while at < len(raw):
            if self._done:
                raise BadImage("it has more pixel data than its size allows")
            end = min(len(raw), at + self._left)
            if raw[at + self._filter_in : end : self._stride].translate(None, _FILTERS):
                raise BadImage("a row of its pixels has an unknown filter")
            if self.colour.holds:
                self.colour.feed(raw[at:end])
            taken = end - at
            self._filter_in = (self._filter_in - taken) % self._stride
            self._left -= taken
            at = end
            if not self._left:
                self._next_pass()

    def _next_pass(self) -> None:
        rows, self._stride = next(self._passes, (0, 1))
        self._left = rows * self._stride
        self._filter_in = 0
        self._done = not rows
        self.colour.begin_pass(self._stride)
