"""The pictures: real files of exactly the size asked, with the prompt, the size and the take written on them.

The same drawing is always the same bytes. A scene is drawn once per size and object and kept compressed; only colours
and caption are new in each picture, so that drawing costs a rehearsal next to nothing.
"""

from __future__ import annotations

import io
import math
import random
import struct
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from PIL import Image

from batchgen.domain.size import Size
from batchgen.simulator.pictures import lettering, png_writer, scene

LABEL = 120  # characters of a prompt that fit on a picture
_SOFTWARE = png_writer.chunk(b"tEXt", b"Software\0batchgen simulator")
_SMALLEST = 48  # pixels of an edge below which there is nothing to see
_COMMENT = 65_533  # the most one JPEG comment holds


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything a picture depends on.

    Attributes:
        text: the start of the prompt.
        seed: 32 bits that choose colours and object; from the prompt.
        note: what else is written on it: quality, route.
        take: 1 for the first picture of a request; later ones say so.
        format: `png`, `jpeg` or `webp`.
        transparent: whether the background is left out; not for JPEG.
        plain: two colours and no caption, for when pictures should cost nothing.
        pad: bytes of noise added to the file.
        colour: of the object, as 0xRRGGBB: a reference's, so that it can be seen that it was used; -1 for the seed's.
    """

    text: str
    size: Size
    seed: int
    note: str = ""
    take: int = 1
    format: str = "png"
    transparent: bool = False
    plain: bool = False
    pad: int = 0
    colour: int = -1


def seed_of(prompt: str, seed: int = 0) -> int:
    """Work out the number that chooses colours and object for a prompt."""
    return int.from_bytes(sha256(f"{seed}:{prompt}".encode("utf-8", "surrogatepass")).digest()[:4])


def label_of(prompt: str) -> str:
    """Return what of a prompt can be written with the font at hand."""
    kept = "".join(letter if letter.isprintable() and ord(letter) < 0x180 else " " for letter in prompt[: 4 * LABEL])
    return " ".join(kept.split())[:LABEL]


def draw(drawing: Drawing) -> bytes:
    """Draw a picture, and return its file."""
    bands: tuple[png_writer.Band, ...] = (_plain(drawing.size),)
    plain = drawing.plain or min(drawing.size.width, drawing.size.height) < _SMALLEST
    if not plain:
        bands = (_upper(drawing.size, _object(drawing)), *_caption(drawing))
    colours = scene.palette(drawing.seed)
    if drawing.colour >= 0:
        colours = scene.painted(colours, drawing.colour)
    if drawing.format != "png":
        return _convert(drawing, None if plain else bands, colours)
    extra = [_SOFTWARE, png_writer.chunk(b"tEXt", b"Seed\0%d.%d" % (drawing.seed, drawing.take))]
    if drawing.pad:
        extra.append(_noise_chunk(drawing.pad))
    width, height = drawing.size.width, drawing.size.height
    if plain:
        return png_writer.assemble(width, height, colours[300:306], bands, depth=1, extra=extra)
    alpha = bytes(96) if drawing.transparent else b""
    return png_writer.assemble(width, height, colours, bands, alpha=alpha, extra=extra)


def _object(drawing: Drawing) -> str:
    """Choose what the picture shows: what the prompt names, else what its seed picks."""
    words = drawing.text.lower()
    names = tuple(scene.SPRITES)
    return next((name for name in names if name in words), names[drawing.seed % len(names)])


def _bar(size: Size) -> int:
    """Count the rows of the caption."""
    return max(1, min(size.height // 3, round(math.sqrt(size.pixels) * 0.23)))


@lru_cache(maxsize=256)
def _upper(size: Size, name: str) -> png_writer.Band:
    """Draw the scene above the caption, compressed."""
    height = size.height - _bar(size)
    image = scene.background(size.width, height)
    scene.place(image, name)
    rows = Image.new("L", (size.width + 1, height), 0)  # the column on the left is the filter byte: none
    rows.paste(image, (1, 0))
    return png_writer.band(rows.tobytes())


def _caption(drawing: Drawing) -> tuple[png_writer.Band, png_writer.Band]:
    """Draw the caption: two lines of prompt, and a line about the picture that many pictures share."""
    width, height = drawing.size.width, _bar(drawing.size)
    upper = round(height * 0.7)
    rows = Image.new("L", (width + 1, upper), scene.GROUND)
    rows.paste(150, (0, 0, width + 1, max(1, height // 40)))
    margin = 1 + round(height * 0.16)
    room = width - 2 * margin
    large, small = max(6, round(height * 0.27)), max(6, round(height * 0.17))
    head, tail = lettering.split(drawing.text or f"prompt {drawing.seed:08x}", large, room)
    lettering.write(rows, margin, round(height * 0.13), head, large, scene.INK)
    lettering.write(rows, margin, round(height * 0.48), lettering.split(tail, small, room)[0], small, scene.FAINT)
    rows.paste(0, (0, 0, 1, upper))  # the filter byte again: none
    named = drawing.size.name if "@" in drawing.size.name else ""
    facts = [
        f"take {drawing.take}" if drawing.take > 1 else "",
        str(drawing.size).replace("x", " x "),
        named,
        drawing.note,
    ]
    return png_writer.band(rows.tobytes()), _footer(drawing.size, " \u00b7 ".join(fact for fact in facts if fact))


@lru_cache(maxsize=256)
def _footer(size: Size, text: str) -> png_writer.Band:
    """Draw the rest of the caption, below its upper part."""
    height = _bar(size)
    rows = Image.new("L", (size.width + 1, height - round(height * 0.7)), scene.GROUND)
    margin, small = 1 + round(height * 0.16), max(6, round(height * 0.17))
    line = lettering.split(text, small, size.width - 2 * margin)[0].rstrip(" \u00b7")
    lettering.write(rows, margin, round(height * 0.03), line, small, scene.INK)
    rows.paste(0, (0, 0, 1, rows.height))
    return png_writer.band(rows.tobytes())


@lru_cache(maxsize=64)
def _plain(size: Size) -> png_writer.Band:
    """Draw one colour above another, a bit per pixel."""
    across, above = (size.width + 7) // 8, size.height // 2
    return png_writer.band(bytes((1 + across) * above) + (b"\0" + b"\xff" * across) * (size.height - above))


def _convert(drawing: Drawing, bands: tuple[png_writer.Band, ...] | None, colours: bytes) -> bytes:
    """Write the same picture as JPEG or WebP; one colour above another where there are no bands."""
    width, height = drawing.size.width, drawing.size.height
    if bands is None:
        image = Image.new("RGB", (width, height), tuple(colours[300:303]))
        image.paste(tuple(colours[303:306]), (0, height // 2, width, height))
    else:
        indexed = Image.frombytes("L", (width + 1, height), png_writer.unpack(bands)).crop((1, 0, width + 1, height))
        indexed.putpalette(colours)
        if drawing.transparent and drawing.format == "webp":
            indexed.info["transparency"] = bytes(96) + b"\xff" * 160
            image = indexed.convert("RGBA")
        else:
            image = indexed.convert("RGB")
    file = io.BytesIO()
    if drawing.format == "jpeg":
        image.save(file, "JPEG", quality=80)
        return _padded_jpeg(file.getvalue(), drawing.pad)
    image.save(file, "WEBP", quality=70, method=0)
    return _padded_webp(file.getvalue(), drawing.pad)


@lru_cache(maxsize=4)
def _noise(length: int) -> bytes:
    """Make bytes that do not compress, always the same."""
    return random.Random(length).randbytes(length)


@lru_cache(maxsize=2)
def _noise_chunk(length: int) -> bytes:
    return png_writer.chunk(b"noIz", _noise(length))


def _padded_jpeg(file: bytes, length: int) -> bytes:
    """Add noise as comments after the file's start mark."""
    noise = _noise(length) if length else b""
    pieces = [noise[at : at + _COMMENT] for at in range(0, length, _COMMENT)]
    comments = [b"\xff\xfe" + struct.pack(">H", len(piece) + 2) + piece for piece in pieces]
    return b"".join((file[:2], *comments, file[2:]))


def _padded_webp(file: bytes, length: int) -> bytes:
    """Add noise as a chunk of its own at the end of the container."""
    if not length:
        return file
    noise = _noise(length + length % 2)
    body = file[8:] + b"noIz" + struct.pack("<I", len(noise)) + noise
    return b"RIFF" + struct.pack("<I", len(body)) + body
