"""Prices as data, and the public figures that turn a picture into tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, floor, sqrt

from batchgen.contracts.sizes import SizeRule
from batchgen.domain.size import AUTO, Size

_PATCH = 32  # pixels
_MOST_PATCHES = 1536


@dataclass(frozen=True, slots=True)
class PerCall:
    """One price for every call, in micro-dollars before the multiplier; `dated` says whose figure it is."""

    micros: int
    dated: str


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """A token price, in micro-dollars per million tokens before the multiplier.

    Attributes:
        family: the model family whose table this is.
        bases: quality to the calculator's base; empty when the family's grid is unknown or fixed.
        table: quality to size to output tokens, for families with fixed figures.
        guess: size and quality that stand in for `auto` in an estimate.
    """

    family: str
    dated: str
    text_in: int
    image_in: int
    image_out: int
    bases: Mapping[str, int] = field(default_factory=dict)
    table: Mapping[str, Mapping[Size, int]] = field(default_factory=dict)
    guess: tuple[Size, str] = (AUTO, "")

    @property
    def qualities(self) -> tuple[str, ...]:
        """The qualities whose tokens are known."""
        return tuple(self.bases or self.table)


@dataclass(frozen=True, slots=True)
class MainPrice:
    """What the mainline model's own tokens cost, in micro-dollars per million; `dated` says whose figure it is."""

    text_in: int
    text_out: int
    dated: str


@dataclass(frozen=True, slots=True)
class NoPrice:
    """Nobody says what a call costs."""


def output_tokens(price: TokenPrice, size: Size, quality: str | None) -> int | None:
    """Work out the output tokens of one image; None where size or quality is `auto` or the family has no figure.

    Source: the calculator on OpenAI's image generation page (2026), and the fixed table of its image guide for older
    families. The base is divided by the ratio of the edges in exactly this order, because u is rounded from a float.
    """
    if size.is_auto or quality is None:
        return None
    if price.table:
        return price.table.get(quality, {}).get(size)
    base = price.bases.get(quality)
    if base is None:
        return None
    u = round(base / (max(size.width, size.height) / min(size.width, size.height)))
    return _calculated(base, u, size.pixels)


def output_range(
    price: TokenPrice, sizes: SizeRule, size: Size, qualities: Iterable[str]
) -> tuple[int | None, int | None]:
    """Bound the output tokens of one image whose size or quality is left to the gateway: least, most; None is no bound.

    The least is of the usual square, which no `auto` was seen to go below.
    """
    wanted = tuple(quality for quality in qualities if quality != "auto") or price.qualities
    if not set(wanted) <= set(price.qualities):
        return None, None  # one of them has no figure, and it may be the dearest
    if not size.is_auto:
        figures = [output_tokens(price, size, quality) for quality in wanted]
    elif price.table:
        figures = [figure for quality in wanted for figure in price.table[quality].values()]
    elif sizes.kind == "listed":
        figures = [output_tokens(price, each, quality) for each in sizes.listed for quality in wanted]
    elif sizes.max_pixels:  # the dearest shape is the square: there u is the base itself
        figures = [_calculated(price.bases[quality], price.bases[quality], sizes.max_pixels) for quality in wanted]
    else:
        figures = []
    known = [figure for figure in figures if figure is not None]
    if size.is_auto:
        smallest = [output_tokens(price, price.guess[0], quality) for quality in wanted]
        known += [figure for figure in smallest if figure is not None and known]
    return min(known, default=None), max(known, default=None)


def input_image_tokens(width: int, height: int) -> int:
    """Work out the input tokens of one reference image, gpt-image-2 and later. Unofficial, exact where measured.

    A long edge below 1024 counts as scaled up to it; then 32-pixel patches, at most 1536 of them.

    >>> input_image_tokens(512, 512), input_image_tokens(1024, 1536), input_image_tokens(2048, 2048)
    (1024, 1536, 1521)
    """
    across, down = width / _PATCH, height / _PATCH
    long = max(width, height)
    if long < 1024:
        across, down = across * 1024 / long, down * 1024 / long
    if _patches(across, down) <= _MOST_PATCHES:
        return _patches(across, down)
    shrink = sqrt(_MOST_PATCHES / (across * down))
    # Both edges have to end on a whole patch, so the one that would lose the larger share decides for both.
    shrink *= min(floor(across * shrink) / (across * shrink), floor(down * shrink) / (down * shrink))
    return _patches(across * shrink, down * shrink)


MOST_IMAGE_TOKENS = _MOST_PATCHES
"""What one input image can cost at most, in tokens."""


def _calculated(base: int, u: int, pixels: int) -> int:
    return -(-base * u * (2_000_000 + pixels) // 4_000_000)


def _patches(across: float, down: float) -> int:
    return ceil(across - 1e-9) * ceil(down - 1e-9)
