"""Which sizes a route takes, and how it is told: by a parameter, by words in the prompt, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

from batchgen.domain.size import TABLE, TIERS, Size, nearest

_CLOSE = 0.02  # the table's own pixels miss their ratio by up to 0.9 %; its nearest ratios lie 6 % apart


@dataclass(frozen=True, slots=True)
class SizeRule:
    """The sizes of one route. A limit of 0 is no limit.

    Attributes:
        kind: `none` takes no size at all, `listed` only those in `listed`, `free` whatever keeps the limits.
        by: `parameter` puts the size into the request, `wording` puts a phrase in front of the prompt.
        takes_auto: whether a manifest may leave the size to the gateway.
        wording: ratio to phrase, for `wording`; only these ratios can be asked for.
        answers: ratio to the pixels that were measured for its phrase.
        joiner: what stands between the phrase and the prompt.
        min_edge, max_edge: of the longer edge, in pixels.
        max_ratio: longer by shorter edge at most.
    """

    kind: Literal["none", "listed", "free"] = "none"
    by: Literal["parameter", "wording"] = "parameter"
    takes_auto: bool = True
    listed: tuple[Size, ...] = ()
    wording: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Size] = field(default_factory=dict)
    joiner: str = ""
    multiple_of: int = 0
    min_edge: int = 0
    max_edge: int = 0
    max_ratio: int = 0
    min_pixels: int = 0
    max_pixels: int = 0

    def objection(self, size: Size) -> str | None:
        """Say what the route has against a size, as the end of a sentence; None when it takes it."""
        if size.is_auto:
            return None if self.takes_auto else "leaves no size to the gateway"
        if self.kind == "none":
            return "takes no size"
        if self.kind == "listed":
            return None if size in self.listed else f"takes {len(self.listed)} sizes, not this one"
        if self.by == "wording":
            return self._wording_objection(size)
        return self._limit_objection(size)

    def nearest(self, size: Size) -> Size | None:
        """Find the size it takes that is closest in shape, then in pixels; None when it takes none."""
        if self.kind == "none":
            return None
        if self.kind == "listed":
            return nearest(size, self.listed) if self.listed else None
        candidates = self._worded() if self.by == "wording" else self._rounded(size)
        taken = tuple(each for each in candidates if self.objection(each) is None)
        return nearest(size, taken) if taken else None

    def ratio(self, size: Size) -> str | None:
        """Find the ratio whose phrase stands for a size, within two per cent; None when there is none."""
        if size.is_auto or not self.wording:
            return None
        off, found = min((_off(size, ratio), ratio) for ratio in self.wording)
        return found if off <= _CLOSE else None

    def phrase(self, size: Size) -> str:
        """Return what goes in front of the prompt for a size, the joiner included; "" when nothing does."""
        found = self.ratio(size) if self.by == "wording" else None
        return self.wording[found] + self.joiner if found is not None else ""

    def answer(self, size: Size) -> Size | None:
        """Return the pixels to expect back; None when the gateway chooses."""
        if self.by == "wording":
            found = self.ratio(size)
            return self.answers.get(found) if found is not None else None
        return None if size.is_auto or self.kind == "none" else size

    def _wording_objection(self, size: Size) -> str | None:
        if size in self.answers.values():
            return None
        if self.ratio(size) is None:
            return f"takes the ratios {', '.join(self.wording)} only"
        long = max(size.width, size.height)
        if self.max_edge and long > self.max_edge:
            return f"draws about 1.5K, so the longer edge is at most {self.max_edge}"
        return f"wants a longer edge of at least {self.min_edge}" if long < self.min_edge else None

    def _limit_objection(self, size: Size) -> str | None:
        long, short = max(size.width, size.height), min(size.width, size.height)
        limits = (
            (self.multiple_of and (long % self.multiple_of or short % self.multiple_of), "wants multiples of {0}"),
            (self.max_edge and long > self.max_edge, "wants edges of at most {1}"),
            (long < self.min_edge, "wants a longer edge of at least {2}"),
            (self.max_ratio and long > short * self.max_ratio, "wants edges of at most {3}:1"),
            (size.pixels < self.min_pixels, "wants at least {4} pixels"),
            (self.max_pixels and size.pixels > self.max_pixels, "wants at most {5} pixels"),
        )
        figures = (
            *(self.multiple_of, self.max_edge, self.min_edge, self.max_ratio),
            *(f"{self.min_pixels:,}", f"{self.max_pixels:,}"),
        )
        return next((text.format(*figures) for broken, text in limits if broken), None)

    def _worded(self) -> tuple[Size, ...]:
        """Return the 1K size of each ratio with a phrase, or what was measured where the table has no such ratio."""
        named = (TABLE[ratio][TIERS.index("1K")] if ratio in TABLE else None for ratio in self.wording)
        sizes = (Size(*px) if px else self.answers.get(ratio) for px, ratio in zip(named, self.wording, strict=True))
        return tuple(size for size in sizes if size is not None)

    def _rounded(self, size: Size) -> tuple[Size, ...]:
        """Return sizes of about the same shape that were pulled inside the limits, on the grid around the exact one."""
        width, height = float(size.width), float(size.height)
        if self.max_ratio:
            width, height = min(width, height * self.max_ratio), min(height, width * self.max_ratio)
        if self.min_pixels and width * height < self.min_pixels:
            grow = sqrt(self.min_pixels / (width * height))
            width, height = width * grow, height * grow
        shrink = min(
            1.0,
            self.max_edge / max(width, height) if self.max_edge else 1.0,
            sqrt(self.max_pixels / (width * height)) if self.max_pixels else 1.0,
        )
        step = self.multiple_of or 1
        columns, rows = int(width * shrink) // step, int(height * shrink) // step
        around = (-1, 0, 1, 2)
        return tuple(Size((columns + x) * step, (rows + y) * step) for x in around for y in around)


def _off(size: Size, ratio: str) -> float:
    """Say how far a size is from a ratio like `16:9`, as a share of it."""
    across, down = (int(part) for part in ratio.split(":"))
    return abs(size.width * down / (size.height * across) - 1)
