"""The simulator's pictures: real files of exactly the size asked."""

from __future__ import annotations

import io
import struct
import time
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batchgen.domain.size import THIRTY, Size
from batchgen.simulator.pictures import lettering, png_writer
from batchgen.simulator.pictures.drawing import LABEL, Drawing, draw, label_of, seed_of

MUG = "A clean product render of a white ceramic mug, soft natural light"
WIDE = Size(1280, 720)


def drawing(prompt: str = MUG, size: Size = WIDE, **more: object) -> Drawing:
    return Drawing(label_of(prompt), size, seed_of(prompt), **more)  # type: ignore[arg-type]


def opened(file: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(file))
    image.load()
    return image


def chunks(file: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG, each with its CRC checked."""
    found, at = {}, 8
    while at < len(file):
        length, kind = struct.unpack_from(">I4s", file, at)
        data = file[at + 8 : at + 8 + length]
        assert struct.unpack_from(">I", file, at + 8 + length)[0] == zlib.crc32(kind + data)
        found[kind] = data
        at += 12 + length
    return found


@pytest.mark.parametrize("size", THIRTY, ids=str)
def test_png_has_exactly_the_pixels_asked_for_each_of_the_thirty_sizes(size):
    file = draw(drawing(size=size))
    raw = zlib.decompress(chunks(file)[b"IDAT"])  # checks the Adler-32 that was put together from the bands
    assert len(raw) == (size.width + 1) * size.height
    assert set(raw[:: size.width + 1]) == {0}, "every row starts with a filter byte"
    assert opened(file).size == (size.width, size.height)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
@pytest.mark.parametrize("size", [Size(1254, 1254), Size(941, 1672), Size(40, 7)], ids=str)
def test_other_formats_are_what_they_say_and_have_the_pixels_asked(kind, size):
    image = opened(draw(drawing(size=size, format=kind)))
    assert (image.format or "").lower() == kind
    assert image.size == (size.width, size.height)


@pytest.mark.parametrize("size", [Size(1, 1), Size(17, 3), Size(47, 900), Size(48, 48), Size(3000, 50)], ids=str)
def test_png_is_valid_when_the_size_is_odd(size):
    assert opened(draw(drawing(size=size))).size == (size.width, size.height)


def test_same_drawing_is_the_same_bytes():
    assert draw(drawing()) == draw(drawing())


@pytest.mark.parametrize(
    "change",
    [{"text": "Another prompt"}, {"seed": 99}, {"take": 2}, {"note": "high"}, {"size": Size(1280, 848)}],
    ids=lambda change: next(iter(change)),
)
def test_picture_changes_with_everything_it_depends_on(change):
    assert draw(replace(drawing(), **change)) != draw(drawing())


def test_prompts_look_different_in_colour():
    averages = set()
    for prompt in (f"SKU-{number:04d} on a table" for number in range(12)):
        averages.add(opened(draw(drawing(prompt))).convert("RGB").resize((1, 1)).getpixel((0, 0)))
    assert len(averages) >= 10


def test_prompt_is_written_on_the_picture():
    with_words = opened(draw(drawing("mug " * 8))).convert("L")
    without = opened(draw(replace(drawing("mug " * 8), text="m"))).convert("L")
    top, bottom = (0, 0, 1280, 480), (0, 520, 1280, 640)
    assert with_words.crop(top).getextrema() == without.crop(top).getextrema()
    ink = [sum(1 for value in image.crop(bottom).tobytes() if value < 110) for image in (with_words, without)]
    assert ink[0] > 5 * ink[1] > 0


def test_object_is_the_one_the_prompt_names():
    words = [drawing(f"{name} in blue") for name in ("mug", "lamp")]
    same_colours = [replace(each, seed=3, text=each.text[:4]) for each in words]
    assert len({bytes(chunks(draw(each))[b"PLTE"]) for each in same_colours}) == 1
    assert draw(same_colours[0]) != draw(same_colours[1])


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_transparent_background_has_alpha(kind):
    image = opened(draw(drawing(format=kind, transparent=True))).convert("RGBA")
    assert image.getpixel((3, 3))[3] == 0
    assert image.getpixel((640, 360))[3] == 255


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("pad", [1, 70_001, 1_000_000])
def test_padding_adds_its_bytes_and_leaves_the_picture(kind, pad):
    plain, padded = draw(drawing(format=kind)), draw(drawing(format=kind, pad=pad))
    assert pad <= len(padded) - len(plain) <= pad + 100
    assert opened(padded).convert("RGB").tobytes() == opened(plain).convert("RGB").tobytes()


def test_padding_does_not_compress():
    file = draw(drawing(pad=200_000))
    assert len(zlib.compress(file)) > 190_000


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_plain_picture_has_two_colours_and_is_small(kind):
    file = draw(drawing(format=kind, plain=True, size=Size(1280, 1280)))
    assert len(file) < 30_000
    assert 2 <= len(opened(file).convert("RGB").getcolors() or []) <= 8  # at the seam a little of both


def test_label_keeps_what_can_be_written():
    assert label_of("  Brass\tlamp\n陶瓷 №5 \x1b[31m Größe ") == "Brass lamp 5 [31m Größe"
    assert label_of("陶瓷杯") == ""
    assert len(label_of("word " * 100)) <= LABEL


def test_picture_is_drawn_when_nothing_of_the_prompt_can_be_written():
    assert opened(draw(drawing("陶瓷杯"))).size == (1280, 720)


def test_seed_changes_the_colours_of_the_same_prompt():
    assert seed_of(MUG, 1) != seed_of(MUG, 2)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_adler_of_a_joined_text_follows_from_its_parts(one, two):
    assert png_writer.joined(zlib.adler32(one), zlib.adler32(two), len(two)) == zlib.adler32(one + two)


@given(st.text(max_size=60), st.integers(6, 60), st.floats(1, 900))
@settings(max_examples=60, deadline=None)
def test_split_line_fits_and_loses_no_word(text, size, room):
    text = label_of(text)
    head, tail = lettering.split(text, size, room)
    assert (head + tail).replace(" ", "") == text.replace(" ", "")
    assert lettering.width(head, size) <= room or len(head) <= 1


@pytest.mark.parametrize(("size", "most"), [(Size(1280, 1280), 0.015), (Size(2880, 2880), 0.045)], ids=str)
def test_drawing_is_cheap_once_its_scene_is_known(size, most):
    prompts = [f"mug number {number}" for number in range(6)]
    draw(drawing(prompts[0], size))
    taken = []
    for prompt in prompts[1:]:
        started = time.thread_time()
        draw(drawing(prompt, size))
        taken.append(time.thread_time() - started)
    assert min(taken) < most  # measured 0.001 and 0.004 s; the allowance is for crowded machines
