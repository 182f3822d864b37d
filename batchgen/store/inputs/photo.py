"""A user's image, opened by Pillow: what it is, whether it can be sent as it is, and its pixels upright and plain.

Cameras and editors write what gateways refuse or misread: several frames, CMYK, palettes, 16 bits, turned sideways.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image

from batchgen.store.checks.png_check import MAX_PIXELS
from batchgen.store.checks.stream import BadImage
from batchgen.store.inputs.image_formats import kind_of

MAX_JPEG_PIXELS = 100_000_000  # read at a fraction of their size; cameras with so many exist

Image.MAX_IMAGE_PIXELS = None  # the limits here are lower, and an error names the file

_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_IEND = b"\0\0\0\0IEND\xaeB`\x82"
_PROFILE = 64 * 1024  # bytes of a colour profile worth keeping


@dataclass(frozen=True, slots=True)
class Photo:
    """Holds an image of which only the head was read.

    Attributes:
        data: the whole file.
        kind: `png`, `jpeg` or `webp`.
        width, height: upright.
        turned: EXIF orientation, 1 for none.
        plain: whether a gateway takes it as it is: 8 bits, RGB or RGBA, one frame, upright, nothing behind its end.
        progressive: whether all of a JPEG is held in memory beside its pixels while it is decoded.
    """

    data: bytes
    kind: str
    width: int
    height: int
    turned: int
    plain: bool
    progressive: bool

    def decoded(self, edge: int) -> int:
        """Return how many pixels it takes in memory once decoded for such a longer side; 0 stands for its own size."""
        scale, enough = 1, _enough(edge)
        while self.kind == "jpeg" and edge and scale < 8 and max(self.width, self.height) // (scale * 2) >= enough:
            scale *= 2
        return self.width * self.height // scale**2

    def pixels(self, edge: int) -> Image.Image:
        """Decode it to the last pixel: upright, 8 bits, RGB, or RGBA where something is transparent.

        Args:
            edge: the longer side at most; 0 for its own size.

        Raises:
            BadImage: it is cut or damaged.
        """
        with _sound(self.kind):
            image = _load(self, edge)
            profile = image.info.get("icc_profile") if image.mode in {"RGB", "RGBA"} else None
            image = _eight_bit(image)
            if edge:
                image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
            if self.turned in _TURN:
                image = image.transpose(_TURN[self.turned])
            image = _rgb(image)
            image.info = {"icc_profile": profile} if profile and len(profile) <= _PROFILE else {}
            return image

    def check(self) -> None:
        """Decode it as cheaply as can be, to its end.

        Raises:
            BadImage: it is cut or damaged.
        """
        with _sound(self.kind):
            _load(self, 1)


def open_photo(data: bytes) -> Photo:
    """Open the image that a file's bytes are.

    Raises:
        BadImage: it is no PNG, JPEG or WebP, moves, or has too many pixels; its reason follows the file's name.
    """
    kind = kind_of(data)
    with _sound(kind):
        image = Image.open(BytesIO(data), formats=_FORMATS[kind])
        width, height = image.size
        progressive = bool(image.info.get("progressive"))
        most = MAX_JPEG_PIXELS if kind == "jpeg" and not progressive else MAX_PIXELS
        if width * height > most:
            words = f"has {width}x{height} pixels; {most // 1_000_000} megapixels are the most"
            raise BadImage(f"{words}, so export it smaller")
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise BadImage("is animated; save one frame of it")
        turned = _orientation(kind, data, image)
        plain = turned not in _TURN and _is_plain(kind, data, image)
    if turned in {5, 6, 7, 8}:
        width, height = height, width
    return Photo(data, kind, width, height, turned, plain, progressive)


def is_whole(data: bytes, kind: str) -> bool:
    """Tell whether the end of the file is there, without decoding it."""
    if kind == "png":
        return _IEND in data
    if kind == "webp":
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    return data.endswith(b"\xff\xd9")


_FORMATS = {"png": ["PNG"], "jpeg": ["JPEG", "MPO"], "webp": ["WEBP"]}


def _orientation(kind: str, data: bytes, image: Image.Image) -> int:
    """Return the orientation as EXIF says it; 1 for upright."""
    try:
        exif = image.getexif() if kind != "png" else Image.Exif()
        if kind == "png":  # Pillow would decode all of it, because the chunk may stand behind the pixels
            exif.load(_chunk(data, b"eXIf"))
        found = exif.get(ExifTags.Base.Orientation, 1)
    except (
        SyntaxError,
        ValueError,
        LookupError,
        TypeError,
        struct.error,
    ):  # broken notes about a picture that may be whole
        return 1
    return found if isinstance(found, int) else 1


def _chunk(data: bytes, wanted: bytes) -> bytes:
    """Return the body of a chunk of a PNG, empty when there is none."""
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == wanted:
            return data[at + 8 : at + 8 + length]
        at += 12 + length
    return b""


def _is_plain(kind: str, data: bytes, image: Image.Image) -> bool:
    """Tell whether it has the form that every gateway takes, upright or not."""
    if kind == "png":
        return data[24] == 8 and data[25] in {2, 6}  # bits; colour type RGB or RGBA
    if kind == "jpeg":
        return image.mode == "RGB" and "mp" not in image.info and is_whole(data, "jpeg")  # one frame, nothing behind
    return image.mode in {"RGB", "RGBA"}


def _load(photo: Photo, edge: int) -> Image.Image:
    image = Image.open(BytesIO(photo.data), formats=_FORMATS[photo.kind])
    if photo.kind == "jpeg" and edge:
        factor = _enough(edge) / max(image.size)
        image.draft(None, (max(1, int(image.width * factor)), max(1, int(image.height * factor))))
    image.load()
    if photo.kind != "jpeg" and not is_whole(photo.data, photo.kind):  # Pillow passes a PNG without its last bytes
        raise BadImage("is cut off; copy it again")
    return image


def _enough(edge: int) -> int:
    """Return what is long enough: half of a photo of 4000 pixels is decoded in a quarter of the time and memory."""
    return max(1, edge * 7 // 8)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Return an image that can be made smaller: no palette, no single bits, no 16-bit grey."""
    if image.mode.startswith("I"):
        return image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in {"1", "P", "PA"} or "transparency" in image.info:
        alpha = image.mode == "PA" or "transparency" in image.info
        return image.convert("RGBA" if alpha else "RGB")
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"RGBA", "LA"}:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        lowest = image.getchannel("A").getextrema()[0]
        if isinstance(lowest, int | float) and lowest < 255:
            return image
    return image if image.mode == "RGB" else image.convert("RGB")


@contextmanager
def _sound(kind: str) -> Iterator[None]:
    """Turn whatever Pillow makes of bytes that it cannot read into one sentence."""
    try:
        yield
    except BadImage:
        raise
    except MemoryError:
        raise BadImage("takes too much memory to decode; export it smaller") from None
    except Exception as error:  # noqa: BLE001 - decoders raise whatever they like on damaged bytes
        words = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise BadImage(f"is cut off or damaged ({kind.upper()}: {words}); export it again") from None
