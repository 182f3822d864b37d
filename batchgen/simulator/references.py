"""The pictures that come with a request, as far as a gateway looks at them: kind, pixels, and what is wrong."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from io import BytesIO
from typing import IO

import pybase64
from PIL import Image

from batchgen.contracts.tokens import input_image_tokens

LONGEST_URL = 20_971_520  # characters of a data URL (OpenAI's edits schema, 2026-02)
_ASSUMED = (1024, 1024)  # of a picture behind an https address, which is not fetched
_GLANCE = 32  # pixels of the edge to which a picture is shrunk to see its colour
_KINDS = frozenset({"PNG", "JPEG", "WEBP"})

FileOf = Callable[[str], "IO[bytes] | None"]
"""Opens an uploaded file by its id; None when there is none."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One picture that came with a request.

    Attributes:
        bytes: of the file; 0 for one that is not fetched.
        kind: `PNG`, `JPEG`, `WEBP`, or "" for what is none of them.
        alpha: whether it has an alpha channel.
        colour: the one that stands out, as 0xRRGGBB; -1 when nobody looked.
        problem: what is wrong with it, "" for nothing: `file`, `long`, `address`, `missing` (a file id nobody knows).
        name: the file id or address, for the message about it.
    """

    width: int = 0
    height: int = 0
    bytes: int = 0
    kind: str = ""
    alpha: bool = False
    colour: int = -1
    problem: str = ""
    name: str = ""

    @property
    def tokens(self) -> int:
        """The input tokens it counts for."""
        return input_image_tokens(self.width, self.height) if self.width else 0


def from_file(file: IO[bytes], size: int, *, colour: bool) -> Reference:
    """Look at a file of `size` bytes, at its pixels only where their `colour` matters.

    Refused is what APIYI measured OpenAI to refuse in 2026-07: HEIC, CMYK, and phones' JPEGs of several frames.
    """
    file.seek(0)
    try:
        image = Image.open(file)
        refused = image.format not in _KINDS or image.mode == "CMYK" or getattr(image, "n_frames", 1) > 1
        reference = Reference(
            width=image.width,
            height=image.height,
            bytes=size,
            kind="" if refused else str(image.format),
            alpha="A" in image.getbands() or "transparency" in image.info,
            problem="file" if refused else "",
        )
        return replace(reference, colour=_colour(image)) if colour and not refused else reference
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return Reference(bytes=size, problem="file")


def from_address(address: object, *, colour: bool) -> Reference:
    """Look at a picture given as a data URL, or as an https address, which is not fetched."""
    if not isinstance(address, str):
        return Reference(problem="address")
    if len(address) > LONGEST_URL:
        return Reference(problem="long", name=address[:40])
    if address[:8].lower() == "https://":
        stands_for = int.from_bytes(sha256(address.encode("utf-8", "surrogatepass")).digest()[:3])
        return Reference(*_ASSUMED, kind="PNG", colour=stands_for, name=address[:200])
    head, comma, text = address.partition(",")
    if not comma or not head.lower().startswith("data:image/") or not head.lower().endswith(";base64"):
        return Reference(problem="address", name=address[:40])
    try:
        file = pybase64.b64decode(text, validate=True)
    except ValueError:
        return Reference(problem="file")
    return from_file(BytesIO(file), len(file), colour=colour)


def from_part(part: object, files: FileOf, *, colour: bool) -> Reference:
    """Look at a picture given as `{image_url}`, whose address may stand in an object as in chat, or as `{file_id}`."""
    if not isinstance(part, dict):
        return Reference(problem="address")
    address, file_id = part.get("image_url"), part.get("file_id")
    if isinstance(address, dict):
        address = address.get("url")
    if address is not None or not isinstance(file_id, str):
        return from_address(address, colour=colour)
    file = files(file_id)
    if file is None:
        return Reference(problem="missing", name=file_id[:100])
    with file:
        return from_file(file, file.seek(0, 2), colour=colour)


def _colour(image: Image.Image) -> int:
    """Find the colour that stands out, as 0xRRGGBB: a strong one before the most frequent one."""
    image.draft("RGB", (_GLANCE * 4, _GLANCE * 4))  # a JPEG need not be decoded whole for this
    small = image.convert("RGBA" if "A" in image.getbands() else "RGB").resize((_GLANCE, _GLANCE), Image.Resampling.BOX)
    reduced = small.convert("RGB").quantize(8)
    palette = reduced.getpalette() or []

    def weight(counted: tuple[int, int]) -> float:
        count, index = counted
        red, green, blue = (value / 255 for value in palette[3 * index : 3 * index + 3])
        return count * (0.05 + colorsys.rgb_to_hsv(red, green, blue)[1])

    counts = [(count, index) for count, index in reduced.getcolors() or [] if isinstance(index, int)]
    index = max(counts, key=weight)[1]
    red, green, blue = palette[3 * index : 3 * index + 3]
    return red << 16 | green << 8 | blue
