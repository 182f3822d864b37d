"""An image made to fit its profile: as it is where it can be, else encoded anew, smaller step by step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from PIL import Image

from batchgen.store.checks.stream import BadImage
from batchgen.store.inputs.photo import Photo
from batchgen.store.inputs.send_profile import SendProfile

LARGEST = 2048  # pixels of the longer side; models look at less
_STEPS = ((LARGEST, 90), (1536, 88), (1536, 80), (1024, 80), (1024, 65), (768, 60), (512, 50))  # edge, quality
_EXACT = (90, 80, 70, 60, 50)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Holds the bytes to send, and what they are."""

    data: bytes
    kind: str
    width: int
    height: int


def weight(photo: Photo, profiles: list[SendProfile]) -> int:
    """Return how many pixels are in memory while it is made to fit, or only checked when there is no profile."""
    whole = photo.width * photo.height
    heaviest = photo.decoded(1)
    for profile in profiles:
        if not _passes(photo, profile):
            # Beside the pixels lie those of another mode, before they are made fewer.
            twice = profile.exact or photo.kind != "jpeg"
            heaviest = max(heaviest, 2 * whole if twice else photo.decoded(LARGEST))
    if photo.progressive:
        heaviest += whole * 3 // 2
    return heaviest + len(photo.data) // 4  # four bytes are a pixel


def fit(photo: Photo, profile: SendProfile) -> Fitted:
    """Return the image as its profile wants it.

    Raises:
        BadImage: it is cut or damaged, is no mask though it should be, or stays too large; its reason follows the name.
    """
    if profile.mask:
        return _mask(photo, profile)
    if _passes(photo, profile):
        photo.check()
        return Fitted(photo.data, photo.kind, photo.width, photo.height)
    found = None
    for image, quality in _smaller(photo, exact=profile.exact):
        found = _encode(image, quality)
        if len(found.data) <= profile.limit:
            return found
    most = f"{profile.limit:,} bytes at most"
    if found is not None and profile.exact:
        raise BadImage(f"stays at {len(found.data):,} bytes, and with a mask it may have {most}; export both smaller")
    raise BadImage(f"cannot be brought to {most}; export it smaller")


def check_mask(photo: Photo) -> None:
    """Make sure that it is a mask.

    Raises:
        BadImage: no PNG, without alpha, or with nothing transparent.
    """
    if photo.kind != "png":
        raise BadImage(f"is a {photo.kind.upper()}, but a mask is a PNG whose transparent parts are drawn anew")
    if photo.pixels(0).mode != "RGBA":
        words = "nothing in it is transparent" if photo.data[25] in {4, 6} else "has no alpha channel"
        raise BadImage(f"{words}; a mask is a PNG whose transparent parts are drawn anew")


def _mask(photo: Photo, profile: SendProfile) -> Fitted:
    check_mask(photo)
    if _passes(photo, profile):
        return Fitted(photo.data, photo.kind, photo.width, photo.height)
    alpha = photo.pixels(0).getchannel("A")
    image = Image.new("RGBA", alpha.size)  # only its alpha counts, and without colours it is small
    image.putalpha(alpha)
    written = BytesIO()
    image.save(written, "PNG", optimize=True)
    if written.tell() > profile.limit:
        raise BadImage(f"has {written.tell():,} bytes even without colours; {profile.limit:,} are the most for a mask")
    return Fitted(written.getvalue(), "png", *image.size)


def _passes(photo: Photo, profile: SendProfile) -> bool:
    """Tell whether it goes as it is."""
    return photo.plain and len(photo.data) <= profile.limit


def _smaller(photo: Photo, *, exact: bool) -> Iterator[tuple[Image.Image, int]]:
    """Yield its pixels with a quality to try, from the best on."""
    if exact:
        image = photo.pixels(0)
        for quality in _EXACT:
            yield image, quality
        return
    image = photo.pixels(LARGEST)
    for edge, quality in _STEPS:
        image.thumbnail((edge, edge), Image.Resampling.LANCZOS)
        yield image, quality


def _encode(image: Image.Image, quality: int) -> Fitted:
    written = BytesIO()
    kind, options = ("webp", {"quality": quality - 2}) if image.mode == "RGBA" else ("jpeg", {"quality": quality})
    image.save(written, kind, icc_profile=image.info.get("icc_profile"), **options)
    return Fitted(written.getvalue(), kind, *image.size)
