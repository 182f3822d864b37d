"""Images of a user, made when a test needs them: photos, graphics, and everything that gateways refuse."""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image, ImageDraw


def picture(width: int = 640, height: int = 480, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Something with edges and a marked corner: the upper left one is red."""
    chance = random.Random(seed)
    image = Image.new("RGB", (width, height), (30, 90 + seed % 100, 160))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = chance.randrange(width), chance.randrange(height)
        draw.ellipse((x, y, x + width // 8, y + height // 8), fill=tuple(chance.randrange(256) for _ in range(3)))
    draw.rectangle((0, 0, width // 4, height // 4), fill=(255, 0, 0))
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize((width, height)))
        return image
    return image.convert(mode)


def encoded(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    """What no encoder can make small."""
    data = random.Random(seed).randbytes(width * height * len(mode))
    return Image.frombytes(mode, (width, height), data)


def mask(width: int = 640, height: int = 480) -> Image.Image:
    """A mask with a hole in the middle."""
    image = Image.new("RGBA", (width, height), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (width // 4, height // 4, width // 2, height // 2))
    return image


def save(path: Path, data: bytes) -> Path:
    """Bytes in a file, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def opened(data: bytes) -> Image.Image:
    """The image that bytes are."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
