"""What a user's image file is by its first bytes, and what to do with one that no gateway takes."""

from __future__ import annotations

from batchgen.store.checks.png_check import SIGNATURE
from batchgen.store.checks.stream import BadImage

_EXPORT = "which no gateway takes; export it as JPEG or PNG"
_PHOTO = "which no gateway takes; export it as JPEG"
_BRANDS = {
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), f"is a HEIC photo, {_PHOTO}"
    ),
    **dict.fromkeys((b"avif", b"avis"), f"is an AVIF image, {_EXPORT}"),
    b"crx ": f"is a raw photo, {_PHOTO}",
    b"jxl ": f"is a JPEG XL image, {_EXPORT}",
}
_MARKS = (
    (b"GIF8", f"is a GIF, {_EXPORT}"),
    (b"BM", f"is a BMP, {_EXPORT}"),
    (b"II*\0", f"is a TIFF or a raw photo, {_EXPORT}"),
    (b"MM\0*", f"is a TIFF or a raw photo, {_EXPORT}"),
    (b"8BPS", f"is a Photoshop file, {_EXPORT}"),
    (b"\0\0\1\0", f"is an icon, {_EXPORT}"),
    (b"%PDF", f"is a PDF, {_EXPORT}"),
    (b"\0\0\0\x0cjP  ", f"is a JPEG 2000 image, {_EXPORT}"),
    (b"\xff\x4f\xff\x51", f"is a JPEG 2000 image, {_EXPORT}"),
    (b"\xff\x0a", f"is a JPEG XL image, {_EXPORT}"),
    (b"\0\0\0\x0cJXL ", f"is a JPEG XL image, {_EXPORT}"),
)


def kind_of(data: bytes) -> str:
    """Return what a file is by its first bytes: `png`, `jpeg` or `webp`.

    Raises:
        BadImage: it is something else; its reason follows the file's name.
    """
    if data.startswith(SIGNATURE):
        return "png"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise BadImage(_what(data))


def _what(data: bytes) -> str:
    if not data:
        return "is empty"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "is a film or an unknown kind of photo; export one picture as JPEG")
    for mark, words in _MARKS:
        if data.startswith(mark):
            return words
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"<":
        return f"is an SVG, {_EXPORT}" if b"<svg" in start.lower() else "is a web page or XML, not an image"
    return f"is not a PNG, JPEG or WebP; it begins with {data[:8].hex(' ')}"
