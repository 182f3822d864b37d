from __future__ import annotations

import io
import itertools
import struct
import tracemalloc
import zlib
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from batchgen.store.checks.image import BadImage, ImageFacts, inspect
from tests.support.store import ADAM7, CHANNELS, NoDecoder, chunk, header, png, raw_rows

KINDS = [
    (colour, depth)
    for colour, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items()
    for depth in depths
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("png") / "picture.part"


def check(file: Path, data: bytes) -> ImageFacts:
    file.write_bytes(data)
    return inspect(file, NoDecoder())


def refused(file: Path, data: bytes) -> str:
    with pytest.raises(BadImage) as bad:
        check(file, data)
    return bad.value.reason


@pytest.mark.parametrize("interlace", [0, 1])
@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_png_of_every_kind_is_whole_when_pillow_reads_it_too(
    file: Path, colour: int, depth: int, interlace: int
) -> None:
    for width, height in itertools.product((1, 2, 3, 5, 8, 9), (1, 2, 4, 5, 9)):
        data = png(width, height, depth, colour, interlace)
        facts = check(file, data)
        assert (facts.format, facts.width, facts.height, facts.trailing) == ("png", width, height, 0)
        with Pillow.open(io.BytesIO(data)) as image:
            image.load()
            assert image.size == (width, height)


def test_png_is_refused_when_any_single_bit_is_flipped(file: Path) -> None:
    data = png(3, 3, before=chunk(b"tEXt", b"req\x0042"))
    for at, bit in itertools.product(range(len(data)), range(8)):
        broken = bytearray(data)
        broken[at] ^= 1 << bit
        assert refused(file, bytes(broken)), f"bit {bit} of byte {at}"


def test_png_is_refused_when_cut_anywhere(file: Path) -> None:
    data = png(3, 3)
    for length in range(len(data)):
        assert refused(file, data[:length]), f"the first {length} bytes"


@given(st.binary(max_size=300))
def test_png_check_says_bad_image_and_nothing_else_when_the_body_is_noise(file: Path, noise: bytes) -> None:
    assert refused(file, b"\x89PNG\r\n\x1a\n" + header(4, 4) + noise)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png(raw=raw_rows(18, 12)[:-1]), "rows of pixels are missing"),
        (png(raw=raw_rows(18, 12) + b"\0"), "more pixel data"),
        (png(5, 5, interlace=1, raw=raw_rows(5, 5)), "pixel"),
        (png(raw=raw_rows(18, 11) + b"\x05" + bytes(54)), "unknown filter"),
        (png(packed=zlib.compress(raw_rows(18, 12))[:-4]), "the end of its pixel data is missing"),
        (png(packed=zlib.compress(raw_rows(18, 12))[:-1] + b"!"), "cannot be unpacked"),
        (png(packed=b"\x78\x9c" + b"\xff" * 40), "cannot be unpacked"),
        (png(packed=b""), "rows of pixels are missing"),
        (png(0, 4), "impossible"),
        (png(4, 0), "impossible"),
        (png(20_000, 20_000, packed=b""), "over the limit of 40 megapixels"),
        (png(depth=3, raw=b""), "no PNG has"),
        (png(3, 3, 16, 0)[:25] + b"\x03", "cut off"),
        (png(before=header(18, 12)), "second or unknown critical chunk IHDR"),
        (png(before=chunk(b"CgBI", b"1234")), "second or unknown critical chunk CgBI"),
        (png(before=chunk(b"a\xffcd")), "without a name"),
        (png(before=chunk(b"PLTE", b"1234")), "palette"),
        (png(before=chunk(b"PLTE", b"123") * 2), "palette"),
        (png(after=chunk(b"PLTE", b"123")), "palette"),
        (png(after=chunk(b"tEXt", b"x") + chunk(b"IDAT", b"x")), "wrong place"),
        (b"\x89PNG\r\n\x1a\n" + header(2, 2, 8, 3) + chunk(b"IDAT", b"x") + chunk(b"IEND"), "wrong place"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"x") + chunk(b"IEND"), "not IHDR"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", b"1234"), "wrong length"),
        (png()[:-12] + chunk(b"IEND", b"x"), "not empty"),
        (png()[:-12], "cut off"),
        (png(before=struct.pack(">I", 0xFFFFFFFF) + b"tEXt"), "cut off"),
    ],
)
def test_png_is_refused_with_its_reason_when_one_rule_is_broken(file: Path, data: bytes, reason: str) -> None:
    assert reason in refused(file, data)


@pytest.mark.parametrize(
    "data",
    [
        png(piece=1),
        png(piece=7),
        png(before=chunk(b"acTL", b"12345678"), after=chunk(b"fdAT", b"1234xyz")),
        png(before=chunk(b"PLTE", b"123") + chunk(b"iTXt", bytes(300_000))),
        png(packed=zlib.compress(raw_rows(18, 12)) + b"padding inside"),
        png(before=chunk(b"IDAT")),
    ],
    ids=["one byte a chunk", "seven", "animated", "long text", "padded stream", "empty chunk first"],
)
def test_png_is_whole_when_it_is_only_unusual(file: Path, data: bytes) -> None:
    facts = check(file, data)
    assert (facts.width, facts.height, facts.trailing) == (18, 12, 0)


def test_png_counts_bytes_behind_the_end_mark_and_hashes_them(file: Path) -> None:
    data = png() + b"x" * 700_000
    facts = check(file, data)
    assert facts.trailing == 700_000
    assert facts.bytes == len(data)
    assert facts.sha256 == sha256(data).hexdigest()


@pytest.mark.parametrize("row", [0, 1, 400, 777, 998, 999])
@pytest.mark.parametrize("interlace", [0, 1])
def test_png_filter_of_every_row_is_seen_when_the_image_is_larger_than_a_piece(
    file: Path, row: int, interlace: int
) -> None:
    width, height = 700, 1000
    raw = bytearray(raw_rows(width, height, interlace=interlace))
    assert check(file, png(width, height, interlace=interlace, raw=bytes(raw))).height == height
    if interlace:  # rows of the last pass hold every column
        raw[len(raw) - (500 - row // 2) * (1 + 3 * width)] = 5
    else:
        raw[row * (1 + 3 * width)] = 200
    assert "unknown filter" in refused(file, png(width, height, interlace=interlace, raw=bytes(raw)))


def test_png_of_one_column_is_checked_when_it_is_a_million_rows_high(file: Path) -> None:
    raw = b"\0\1" * 1_000_000
    assert check(file, png(1, 1_000_000, colour=0, raw=raw)).height == 1_000_000
    assert "unknown filter" in refused(file, png(1, 1_000_000, colour=0, raw=raw[:-2] + b"\x09\1"))


def test_png_check_keeps_its_memory_small_when_a_bomb_is_inside(file: Path) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(300)) + packer.flush()
    file.write_bytes(png(10, 10, packed=bomb))
    large = file.with_name("large.part")
    large.write_bytes(png(6000, 6000, 1, 0, packed=zlib.compress(bytes(751 * 6000))) + bytes(30 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(BadImage, match="more pixel data"):
            inspect(file, NoDecoder())
        assert inspect(large, NoDecoder()).width == 6000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 << 20


def test_png_is_refused_when_it_has_a_hundred_thousand_chunks(file: Path) -> None:
    assert "chunks" in refused(file, png(before=chunk(b"tEXt") * 100_000))


def filtered(rows: list[bytes], across: int, filters: list[int]) -> bytes:
    """Rows as each of them is written with its filter, by the words of the PNG specification."""
    out, above = b"", bytes(len(rows[0]))
    for row, kind in zip(rows, filters, strict=True):
        packed = bytearray([kind])
        for at, byte in enumerate(row):
            left, up, corner = (row[at - across], above[at], above[at - across]) if at >= across else (0, above[at], 0)
            nearest = min(
                (abs(up - corner), 0, left), (abs(left - corner), 1, up), (abs(left + up - 2 * corner), 2, corner)
            )
            packed.append((byte - (0, left, up, (left + up) // 2, nearest[2])[kind]) % 256)
        out, above = out + bytes(packed), row
    return out


@given(st.data(), st.sampled_from(KINDS), st.integers(1, 40), st.integers(1, 7))
def test_png_of_one_colour_is_told_whatever_its_filters(
    file: Path, data: st.DataObject, kind: tuple[int, int], width: int, height: int
) -> None:
    colour, depth = kind
    bits = depth * CHANNELS[colour]
    pixel = data.draw(st.integers(0, (1 << bits) - 1))
    row = int(f"{pixel:0{bits}b}" * width + "0" * (-width * bits % 8), 2).to_bytes((width * bits + 7) // 8, "big")
    across = max(1, bits // 8)
    filters = data.draw(st.lists(st.integers(0, 4), min_size=height, max_size=height))
    raw = filtered([row] * height, across, filters)
    padded = bits < 8 and width * bits % 8
    if not padded:
        assert check(file, png(width, height, depth, colour, raw=raw)).blank
    other = bytes([row[0] ^ 0x80]) + row[1:]
    if len(row) > across and not padded:
        rows = [row] * (height - 1) + [other]
        assert not check(file, png(width, height, depth, colour, raw=filtered(rows, across, filters))).blank


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (1280, 900)])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_png_of_one_colour_is_told_as_others_write_it(file: Path, mode: str, size: tuple[int, int], level: int) -> None:
    out = io.BytesIO()
    Pillow.new(mode, size, 0).save(out, "png", compress_level=level)
    assert check(file, out.getvalue()).blank


def test_png_of_one_colour_but_for_its_last_pixel_is_not_blank(file: Path) -> None:
    image, out = Pillow.new("RGB", (1280, 900)), io.BytesIO()
    image.putpixel((1279, 899), (0, 0, 1))
    image.save(out, "png")
    assert not check(file, out.getvalue()).blank


def test_interlaced_png_is_told_by_all_its_passes(file: Path) -> None:
    raw = b"".join(
        (b"\0" + b"\7\7\7" * len(range(left, 18, across))) * len(range(top, 12, down))
        for left, top, across, down in ADAM7
    )
    assert check(file, png(interlace=1, raw=raw)).blank
    assert not check(file, png(interlace=1, raw=raw[:-1] + b"\6")).blank
