"""What the pictures show: a still life on a table, as shades of one continuous palette.

Every pixel is an index, so that one drawing serves all colours: 0 to 95 run through the background, 96 to 159 through
the object, 192 to 255 from the caption's ground to its ink. Neighbouring indices are neighbouring colours, and so
indices may be blended like grey.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFilter

GROUND = 192  # the caption's ground
INK = 255
FAINT = 236  # ink for the second and third line
_EDGE = 1024  # sprites are drawn on a square of this edge and scaled
_LIGHT, _BODY, _SHADE, _DARK = 104, 122, 140, 156
_TABLE_FROM = 0.70  # share of the scene above the table's edge

Canvas = tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw]


def palette(seed: int) -> bytes:
    """Choose 256 colours for one prompt: a quiet background, an object that stands out and a light caption."""
    return _palette(seed % 120 * 3, seed // 120 % 4)


@lru_cache(maxsize=480)
def _palette(degrees: int, distance: int) -> bytes:
    hue = degrees / 360
    other = (hue + (0.08, 0.42, 0.5, 0.58)[distance]) % 1
    colours = _ramp((hue, 0.95, 0.55), ((hue + 0.03) % 1, 0.72, 0.45), 96)
    colours += _ramp((other, 0.74, 0.62), (other, 0.24, 0.55), 64)
    colours += _ramp((hue, 0.5, 0.1), (hue, 0.5, 0.1), 32)
    colours += _ramp((hue, 0.985, 0.3), (hue, 0.13, 0.35), 64)
    return bytes(colours)


def painted(colours: bytes, colour: int) -> bytes:
    """Return the palette with an object of another colour, 0xRRGGBB; its body has exactly this one."""
    hue, light, strong = colorsys.rgb_to_hls(*((colour >> shift & 255) / 255 for shift in (16, 8, 0)))
    body = _BODY - 96
    own = _ramp((hue, min(1.0, light + 0.2), strong), (hue, light, strong), body + 1)
    own += _ramp((hue, light, strong), (hue, light * 0.4, strong), 64 - body)[3:]
    return colours[:288] + bytes(own) + colours[480:]


def _ramp(start: tuple[float, float, float], end: tuple[float, float, float], steps: int) -> list[int]:
    """List the colours from one hue, lightness and saturation to another."""
    one, two = colorsys.hls_to_rgb(*start), colorsys.hls_to_rgb(*end)
    return [
        round(255 * (low + (high - low) * step / (steps - 1)))
        for step in range(steps)
        for low, high in zip(one, two, strict=True)
    ]


def background(width: int, height: int) -> Image.Image:
    """Draw a wall in a soft diagonal gradient and a table before it."""
    wall = 72 / (width + height)
    # A ramp as long as both edges together; every row is a window on it, one pixel further than the row above.
    ramp = bytes(int(position * wall) for position in range(width + height + 1))
    table = bytes(min(95, 40 + int(position * wall * 0.7)) for position in range(width + height + 1))
    edge = int(height * _TABLE_FROM)
    rows = b"".join((ramp if row < edge else table)[row : row + width] for row in range(height))
    return Image.frombytes("L", (width, height), rows)


def place(scene: Image.Image, name: str) -> None:
    """Stand an object on the table."""
    value, mask, shadow = _sprite(name)
    edge = int(min(scene.width * 0.8, scene.height * 0.92))
    corner = ((scene.width - edge) // 2, int(scene.height * (_TABLE_FROM + 0.14)) - edge)
    scene.paste(92, corner, shadow.resize((edge, edge), Image.Resampling.BILINEAR))
    resized = value.resize((edge, edge), Image.Resampling.BILINEAR)
    scene.paste(resized, corner, mask.resize((edge, edge), Image.Resampling.BILINEAR))


@lru_cache(maxsize=16)
def _sprite(name: str) -> tuple[Image.Image, Image.Image, Image.Image]:
    """Draw the shades, the outline and the shadow of an object."""
    size = (_EDGE, _EDGE)
    value, mask, shadow = (Image.new("L", size, fill) for fill in (_BODY, 0, 0))
    SPRITES[name]((ImageDraw.Draw(value), ImageDraw.Draw(mask)))
    ImageDraw.Draw(shadow).ellipse((150, 905, 930, 1005), fill=150)
    return value, mask, shadow.filter(ImageFilter.GaussianBlur(18))


def _mug(canvas: Canvas) -> None:
    value, mask = canvas
    mask.rounded_rectangle((260, 430, 680, 960), 60, fill=255)
    mask.ellipse((600, 520, 860, 830), fill=255)
    mask.ellipse((660, 585, 800, 765), fill=0)
    mask.rectangle((560, 480, 680, 880), fill=255)
    value.rectangle((560, 0, 1024, 1024), fill=_SHADE)
    value.rectangle((300, 470, 350, 900), fill=_LIGHT)
    value.ellipse((260, 400, 680, 470), fill=_DARK)
    mask.ellipse((260, 395, 680, 475), fill=255)


def _bottle(canvas: Canvas) -> None:
    value, mask = canvas
    mask.rounded_rectangle((370, 400, 660, 960), 70, fill=255)
    mask.rectangle((455, 200, 575, 480), fill=255)
    mask.rounded_rectangle((440, 130, 590, 240), 20, fill=255)
    value.rectangle((440, 130, 590, 240), fill=_DARK)
    value.rectangle((585, 240, 700, 1024), fill=_SHADE)
    value.rectangle((400, 420, 435, 930), fill=_LIGHT)
    value.rectangle((370, 600, 660, 790), fill=_LIGHT)


def _vase(canvas: Canvas) -> None:
    value, mask = canvas
    mask.ellipse((290, 500, 740, 970), fill=255)
    mask.rectangle((440, 330, 590, 600), fill=255)
    mask.ellipse((400, 290, 630, 370), fill=255)
    value.ellipse((400, 290, 630, 370), fill=_DARK)
    value.pieslice((290, 500, 740, 970), 300, 75, fill=_SHADE)
    value.ellipse((345, 590, 420, 760), fill=_LIGHT)


def _lamp(canvas: Canvas) -> None:
    value, mask = canvas
    mask.polygon(((360, 200), (670, 200), (800, 560), (230, 560)), fill=255)
    mask.rectangle((490, 560, 540, 900), fill=255)
    mask.rounded_rectangle((350, 890, 680, 960), 30, fill=255)
    value.polygon(((360, 200), (440, 200), (400, 560), (230, 560)), fill=_LIGHT)
    value.polygon(((590, 200), (670, 200), (800, 560), (680, 560)), fill=_SHADE)
    value.rectangle((340, 565, 690, 1024), fill=_DARK)


def _box(canvas: Canvas) -> None:
    value, mask = canvas
    mask.polygon(((230, 520), (520, 430), (810, 520), (810, 860), (520, 970), (230, 860)), fill=255)
    value.polygon(((230, 520), (520, 430), (810, 520), (520, 620)), fill=_LIGHT)
    value.polygon(((810, 520), (520, 620), (520, 970), (810, 860)), fill=_SHADE)
    value.polygon(((345, 485), (405, 466), (700, 557), (640, 578)), fill=_DARK)
    value.polygon(((640, 578), (700, 557), (700, 660), (640, 685)), fill=_DARK)


def _chair(canvas: Canvas) -> None:
    value, mask = canvas
    mask.rounded_rectangle((300, 250, 730, 640), 90, fill=255)
    mask.rounded_rectangle((250, 600, 780, 740), 60, fill=255)
    for left in (300, 680):
        mask.polygon(((left, 720), (left + 50, 720), (left + 35, 965), (left + 10, 965)), fill=255)
    value.rounded_rectangle((250, 600, 780, 740), 60, fill=_LIGHT)
    value.rectangle((600, 250, 740, 600), fill=_SHADE)
    value.rectangle((200, 742, 800, 1024), fill=_DARK)


SPRITES: dict[str, Callable[[Canvas], None]] = {
    "mug": _mug,
    "bottle": _bottle,
    "vase": _vase,
    "lamp": _lamp,
    "box": _box,
    "chair": _chair,
}
