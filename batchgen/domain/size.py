"""Image sizes: exact pixels, `ratio@tier` names from the 30-size table, or `auto`."""

from __future__ import annotations

import re
from dataclasses import dataclass

# The 30 sizes of the -vip routes: ratio -> pixels at 1K, 2K, 4K (gateway pages of APIYI and LaoZhang, identical).
TABLE: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "1:1": ((1280, 1280), (2048, 2048), (2880, 2880)),
    "2:3": ((848, 1280), (1360, 2048), (2336, 3520)),
    "3:2": ((1280, 848), (2048, 1360), (3520, 2336)),
    "3:4": ((960, 1280), (1536, 2048), (2480, 3312)),
    "4:3": ((1280, 960), (2048, 1536), (3312, 2480)),
    "4:5": ((1024, 1280), (1632, 2048), (2560, 3216)),
    "5:4": ((1280, 1024), (2048, 1632), (3216, 2560)),
    "9:16": ((720, 1280), (1152, 2048), (2160, 3840)),
    "16:9": ((1280, 720), (2048, 1152), (3840, 2160)),
    "21:9": ((1280, 544), (2048, 864), (3840, 1632)),
}
TIERS = ("1K", "2K", "4K")

_PIXELS = re.compile(r"([1-9]\d{1,4})[xX×]([1-9]\d{1,4})\Z")
_NAMED = re.compile(r"(\d{1,2}:\d{1,2})@([124])[kK]\Z")


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """Pixels asked for; `Size(0, 0)` is `auto`, the gateway's own choice."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}" if self.width else "auto"

    @property
    def is_auto(self) -> bool:
        """Whether the gateway chooses."""
        return self.width == 0

    @property
    def pixels(self) -> int:
        """How many pixels; 0 for `auto`."""
        return self.width * self.height

    @property
    def tier(self) -> str:
        """The resolution class, `1K`, `2K` or `4K`; `auto` counts as `1K`.

        Sizes outside the table are classed by their longer edge, with the table's own edges as limits.
        """
        edge = max(self.width, self.height)
        return "1K" if edge <= 1536 else "2K" if edge <= 2560 else "4K"

    @property
    def name(self) -> str:
        """`ratio@tier` for one of the 30 sizes, else the pixels."""
        found = _NAMES.get(self)
        return found if found is not None else str(self)


AUTO = Size(0, 0)
_NAMES = {Size(*px): f"{ratio}@{tier}" for ratio, row in TABLE.items() for tier, px in zip(TIERS, row, strict=True)}
THIRTY: tuple[Size, ...] = tuple(_NAMES)


def parse_size(text: str) -> Size:
    """Read a size as a manifest writes it.

    Raises:
        ValueError: neither pixels, nor one of the table's names, nor `auto`.

    >>> str(parse_size("1:1@2K")), str(parse_size("2048x1152")), str(parse_size("auto"))
    ('2048x2048', '2048x1152', 'auto')
    """
    text = text.strip()
    if text == "auto":
        return AUTO
    if pixels := _PIXELS.match(text):
        return Size(int(pixels[1]), int(pixels[2]))
    if named := _NAMED.match(text):
        row = TABLE.get(named[1])
        if row is None:
            raise ValueError(f"{named[1]} is not one of the ratios {', '.join(TABLE)}")
        return Size(*row[TIERS.index(named[2] + "K")])
    raise ValueError(
        f"{text!r} is not a size; write ratio@tier like 1:1@2K (tiers 1K, 2K, 4K), pixels like 2048x1152, or auto"
    )


def downgraded(size: Size) -> Size | None:
    """Return the 2K size of the same ratio for one of the table's 4K sizes, else None.

    >>> str(downgraded(Size(3840, 2160)))
    '2048x1152'
    """
    ratio, _, tier = _NAMES.get(size, "").partition("@")
    return Size(*TABLE[ratio][1]) if tier == "4K" else None


def nearest(size: Size, allowed: tuple[Size, ...]) -> Size:
    """Choose the allowed size that is closest in shape, then in pixels."""

    def distance(other: Size) -> tuple[float, float]:
        shape = abs(size.width * other.height - other.width * size.height) / (size.height * other.height)
        return round(shape, 2), abs(size.pixels - other.pixels)

    return min(allowed, key=distance)
