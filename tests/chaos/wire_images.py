"""Faults within the picture: its base64, and what it is when it is decoded."""

from __future__ import annotations

import base64
from functools import partial

from tests.chaos import pictures
from tests.chaos import wire_case as of
from tests.chaos.pictures import GOOD_PICTURE, NOISE, cut, flipped
from tests.chaos.raw_gateway import Script
from tests.chaos.wire_case import Case, answer, inline

_B64 = base64.b64encode(GOOD_PICTURE).decode()
_NOISE = base64.b64encode(NOISE["png"]).decode()
_UNPADDED = base64.b64encode(NOISE["png"] + b"\0" * ((1 - len(NOISE["png"])) % 3)).decode()  # ends in ==
_LINE = 76


def _text(text: str) -> Script:
    """A reply with this as the JSON text of its picture's string."""
    return answer(b'{"created":1,"data":[{"b64_json":"%b"}]}' % text.encode())


def _lines(text: str, between: str) -> str:
    return between.join(text[at : at + _LINE] for at in range(0, len(text), _LINE))


assert _UNPADDED.endswith("==")
assert "/" in _NOISE
assert "+" in _NOISE

_no_base64 = partial(of.damaged, says="base64")

_BASE64 = [
    of.whole("a data URL's prefix", _text("data:image/png;base64," + _B64)),
    of.whole("a prefix with parameters", _text("data:image/png;name=a.png;base64," + _B64)),
    of.whole("a prefix of another kind", _text("data:image/jpeg;base64," + _B64)),
    of.whole("no padding", _text(_UNPADDED.rstrip("="))),
    of.whole("half of the padding", _text(_UNPADDED[:-1])),
    of.whole("line breaks", _text(_lines(_B64, "\\n"))),
    of.whole("line breaks of Windows", _text(_lines(_B64, "\\r\\n"))),
    of.whole("bare blanks and tabs", _text(_lines(_B64, " \t"))),
    of.whole("slashes with a backslash", _text(_NOISE.replace("/", "\\/")), flags="size_mismatch"),
    of.whole("letters by their number", _text(_NOISE.replace("+", "\\u002b").replace("=", "\\u003D"))),
    _no_base64("a character of no alphabet", _text(_B64[:400] + "*" + _B64[401:])),
    _no_base64("a character of no alphabet too many", _text(_B64[:400] + "!" + _B64[400:])),
    _no_base64("stray words in the middle", _text(_B64[:400] + "<br>" + _B64[400:])),
    _no_base64("padding in the middle", _text(_B64[:400] + "==" + _B64[400:])),
    _no_base64("text behind the padding", _text(_UNPADDED + "QUJD")),
    _no_base64("the alphabet of addresses", _text(_NOISE.replace("+", "-").replace("/", "_"))),
    _no_base64("letters of full width", _text(_B64[:400] + "Ａ" + _B64[401:])),
    _no_base64("a NUL by its number", _text(_B64[:400] + "\\u0000" + _B64[400:])),
    _no_base64("one letter too many", _text(_B64.rstrip("=")[: len(_B64) // 4 * 4 - 3])),
    of.damaged("cut at a group of four", _text(_B64[: len(_B64) // 8 * 4])),
    of.damaged("cut within a group of four", _text(_B64[: len(_B64) // 8 * 4 + 2])),
    of.damaged("a page as base64", answer(inline(pictures.HTML))),
    _no_base64("a page instead of base64", _text("<html>")),
    _no_base64("a prefix that is not base64", _text("data:image/png,%89PNG")),
    of.damaged("base64 of base64", answer(inline(_B64.encode()))),
]

_CUT = [
    of.damaged(f"{kind} cut at {share:.1%}", answer(inline(cut(kind, share))))
    for kind in ("png", "jpeg", "webp")
    for share in (0.5, 0.95, 0.999)
]

_PICTURES = [
    of.whole("other dimensions", answer(inline(NOISE["png"])), flags="size_mismatch"),
    of.whole("a JPEG", answer(inline(NOISE["jpeg"])), ending=".jpg"),
    of.whole("a WebP", answer(inline(NOISE["webp"])), ending=".webp"),
    of.whole("an animated PNG", answer(inline(pictures.ANIMATED))),
    of.whole("data behind a PNG", answer(inline(GOOD_PICTURE + b"<script>" * 99))),
    of.whole("data behind a JPEG", answer(inline(NOISE["jpeg"] + bytes(999))), ending=".jpg"),
    of.damaged("a bit of a PNG's pixels turned over", answer(inline(flipped(GOOD_PICTURE, 900)))),
    of.damaged("a bit of a PNG's header turned over", answer(inline(flipped(GOOD_PICTURE, 18)))),
    of.damaged("a bit of a PNG's checksum turned over", answer(inline(flipped(GOOD_PICTURE, -14 % len(GOOD_PICTURE))))),
    of.damaged(
        "a bit of a JPEG's mark turned over",
        answer(inline(flipped(NOISE["jpeg"], NOISE["jpeg"].index(b"\xff\xda") + 1))),
    ),
    of.damaged(
        "a bit of a WebP's frame turned over",
        answer(inline(flipped(NOISE["webp"], NOISE["webp"].index(b"\x9d\x01\x2a")))),
    ),
    of.damaged("a GIF", answer(inline(pictures.GIF)), says="a GIF"),
    of.damaged("an SVG", answer(inline(pictures.SVG)), says="text"),
    of.damaged("nothing but the signature", answer(inline(pictures.SIGNATURE))),
    of.damaged("a PNG of 12,000 by 12,000", answer(inline(pictures.pixel_bomb(12_000, 12_000))), says="megapixels"),
    of.damaged("a PNG of 20,000 by 20,000", answer(inline(pictures.pixel_bomb(20_000, 20_000))), says="megapixels"),
    of.damaged("a PNG of 2,147,483,647 by 1", answer(inline(pictures.pixel_bomb(2**31 - 1, 1))), says="megapixels"),
    of.damaged("a PNG whose pixels never end", answer(inline(pictures.overflowing_png()))),
    of.damaged("a JPEG of 60,000 by 60,000", answer(inline(pictures.jpeg_bomb()))),
    of.damaged("a WebP of 16,383 by 16,383", answer(inline(pictures.webp_bomb()))),
]

_SEVERAL = [
    of.whole("several pictures, of which the first counts", answer(of.several(GOOD_PICTURE, NOISE["png"]))),
    of.whole("a picture and an address", answer(of.beside(GOOD_PICTURE, "https://example.com/a.png"))),
    of.whole("a picture and an error", answer(of.beside(GOOD_PICTURE, None, error={"message": "late"}))),
    of.damaged("forty pictures", answer(of.several(*[b"not a picture"] * 40))),
]

CASES: list[Case] = [*_BASE64, *_CUT, *_PICTURES, *_SEVERAL]
