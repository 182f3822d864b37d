"""Addresses of pictures. Everything a picture depends on stands in its address, so addresses outlive the process."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass

from batchgen.domain.size import Size
from batchgen.simulator.pictures.drawing import Drawing

ENDINGS = {"png": "png", "jpeg": "jpg", "webp": "webp"}


@dataclass(frozen=True, slots=True)
class Link:
    """A picture that can be fetched until `expires`, seconds since the epoch; `cut` when it is damaged."""

    drawing: Drawing
    expires: int
    cut: bool = False


def to_path(link: Link) -> str:
    """Write the address of a picture below the server's root."""
    drawing = link.drawing
    fields = [
        *(drawing.text, drawing.size.width, drawing.size.height, drawing.seed, drawing.note, drawing.take),
        *(drawing.format, drawing.transparent, drawing.plain, drawing.pad, link.expires, link.cut),
        drawing.colour,
    ]
    packed = zlib.compress(json.dumps(fields, separators=(",", ":")).encode())
    return f"/img/{base64.urlsafe_b64encode(packed).decode().rstrip('=')}.{ENDINGS[drawing.format]}"


def from_name(name: str) -> Link | None:
    """Read the picture behind the last part of an address; None when there is none."""
    token = name.partition(".")[0]
    try:
        packed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        fields = json.loads(zlib.decompressobj().decompress(packed, 10_000))
        text, width, height, seed, note, take, kind, transparent, plain, pad, expires, cut, colour = fields
        drawing = Drawing(
            text=str(text),
            size=Size(int(width), int(height)),
            seed=int(seed),
            note=str(note),
            take=int(take),
            format=str(kind),
            transparent=bool(transparent),
            plain=bool(plain),
            pad=int(pad),
            colour=int(colour),
        )
        if (
            drawing.format not in ENDINGS
            or not 0 < drawing.size.pixels <= 40_000_000
            or not 0 <= drawing.pad <= 64_000_000
            or not -1 <= drawing.colour < 1 << 24
        ):
            return None
        return Link(drawing, int(expires), bool(cut))
    except (ValueError, TypeError, zlib.error):
        return None
