"""Writing on pictures, letter by letter from a cache: setting a whole line costs more than the rest of a picture."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=4096)
def _glyph(letter: str, size: int) -> tuple[Image.Image, float]:
    """Draw a letter, with room for what hangs over on either side, and say how far it moves the pen."""
    font = _font(size)
    room = size // 4
    advance = font.getlength(letter)
    shape = Image.new("L", (int(advance) + 2 * room + 1, size + size // 3), 0)
    ImageDraw.Draw(shape).text((room, 0), letter, 255, font)
    return shape, advance


def width(text: str, size: int) -> float:
    """Measure the pixels a line takes, without kerning."""
    return sum(_glyph(letter, size)[1] for letter in text)


def write(image: Image.Image, left: float, top: int, text: str, size: int, ink: int) -> None:
    """Write a line; `ink` is the value of a fully covered pixel, edges blend with what is there."""
    room = size // 4
    for letter in text:
        shape, advance = _glyph(letter, size)
        if letter != " ":
            image.paste(ink, (round(left) - room, top), shape)
        left += advance


def split(text: str, size: int, room: float) -> tuple[str, str]:
    """Split a text into the words that fit into so many pixels, and the rest. A first word that is too long is cut."""
    taken, used = 0, 0.0
    for position, letter in enumerate(text):
        used += _glyph(letter, size)[1]
        if used > room:
            break
        if position + 1 == len(text) or text[position + 1] == " ":
            taken = position + 1
    else:
        return text, ""
    if taken == 0:
        taken = max(position, 1)
    return text[:taken], text[taken:].lstrip()
