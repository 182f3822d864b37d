"""What users hand in: opened, judged, made upright and plain, and made to fit."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, ImageChops, ImageFile, ImageStat

from batchgen.contracts.contract import References
from batchgen.domain.inputs import InputUse
from batchgen.store.checks.stream import BadImage
from batchgen.store.inputs.photo import Photo, open_photo
from batchgen.store.inputs.send_profile import MASK, SendProfile, masked, profiles, shared
from batchgen.store.inputs.shrink import LARGEST, check_mask, fit, weight
from tests.support.photos import encoded, mask, noise, opened, picture

USUAL = SendProfile(1_500_000)
EXACT = SendProfile(15_000_000, exact=True)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
_RED = (255, 0, 0)


def fitted(data: bytes, profile: SendProfile = USUAL) -> tuple[bytes, Image.Image]:
    found = fit(open_photo(data), profile)
    image = opened(found.data)
    assert (found.width, found.height) == image.size
    assert {"JPEG": "jpeg", "PNG": "png", "WEBP": "webp"}[image.format or ""] == found.kind
    return found.data, image


def reason(data: bytes, profile: SendProfile = USUAL) -> str:
    with pytest.raises(BadImage) as caught:
        fit(open_photo(data), profile)
    return caught.value.reason


def near(image: Image.Image, at: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    pixel = image.convert("RGB").getpixel(at)
    assert isinstance(pixel, tuple)
    return all(abs(one - other) < 40 for one, other in zip(pixel, colour, strict=True))


# --- as it is


@pytest.mark.parametrize(
    "data",
    [
        encoded(picture()),
        encoded(picture(), progressive=True),
        encoded(picture(), exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"),
        encoded(picture(), "PNG"),
        encoded(picture(mode="RGBA"), "PNG"),
        encoded(picture(), "WEBP"),
        encoded(picture(mode="RGBA"), "WEBP", lossless=True),
    ],
)
def test_fine_image_goes_byte_for_byte(data: bytes) -> None:
    assert open_photo(data).plain
    assert fitted(data)[0] == data


# --- what no gateway takes


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (HEIC, "is a HEIC photo, which no gateway takes; export it as JPEG"),
        (HEIC.replace(b"heic", b"mif1"), "is a HEIC photo"),
        (HEIC.replace(b"heic", b"avif"), "is an AVIF image"),
        (HEIC.replace(b"heic", b"isom"), "is a film or an unknown kind of photo"),
        (encoded(picture(), "GIF"), "is a GIF"),
        (encoded(picture(), "BMP"), "is a BMP"),
        (encoded(picture(), "TIFF"), "is a TIFF"),
        (b"8BPS\0\1" + bytes(30), "is a Photoshop file"),
        (b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG"),
        (b"\xef\xbb\xbf <svg/>", "is an SVG"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"", "is empty"),
        (b"hello, I am no image", "is not a PNG, JPEG or WebP; it begins with 68 65"),
        (b"\xff\xd8\xff", "is cut off or damaged"),
        (b"\x89PNG\r\n\x1a\n", "is cut off or damaged"),
    ],
)
def test_other_kinds_are_refused_with_what_to_do(data: bytes, why: str) -> None:
    assert why in reason(data)


def test_name_does_not_count_but_content_does() -> None:
    assert "is a GIF" in reason(encoded(picture(), "GIF"))
    assert open_photo(encoded(picture(), "WEBP")).kind == "webp"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_moving_pictures_are_refused(kind: str) -> None:
    data = encoded(picture(), kind, save_all=True, append_images=[picture(seed=3)], duration=100)
    assert reason(data) == "is animated; save one frame of it"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("left", [0.2, 0.5, 0.95, 0.999])
def test_cut_file_is_refused_in_every_form(kind: str, left: float) -> None:
    for image in (picture(), noise(64, 64)):
        whole = encoded(image, kind)
        cut = whole[: int(len(whole) * left)]
        assert "is cut off" in reason(cut)
        assert "is cut off" in reason(cut, EXACT)


@pytest.mark.parametrize("missing", [1, 4, 12])
def test_png_without_its_last_bytes_is_refused(missing: int) -> None:
    assert "is cut off" in reason(encoded(picture(), "PNG")[:-missing])


def test_damaged_png_is_refused() -> None:
    data = bytearray(encoded(noise(100, 100), "PNG"))
    for at in range(200, 2000):
        data[at] ^= 0x55
    assert "is cut off or damaged (PNG:" in reason(bytes(data))


def test_too_many_pixels_are_refused_before_they_are_decoded() -> None:
    head = bytearray(encoded(picture(16, 16), "PNG"))
    head[16:24] = struct.pack(">II", 12_000, 12_000)
    head[29:33] = struct.pack(">I", zlib.crc32(bytes(head[12:29])))
    assert reason(bytes(head)) == "has 12000x12000 pixels; 40 megapixels are the most, so export it smaller"
    jpeg = bytearray(encoded(picture(16, 16)))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 60_000, 60_000)
    assert "100 megapixels are the most" in reason(bytes(jpeg))


# --- plain and upright


@pytest.mark.parametrize("turned", range(2, 9))
def test_photo_is_turned_upright(turned: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[turned]
    exif = Image.Exif()
    exif[0x0112] = turned
    for kind in ("JPEG", "PNG", "WEBP"):
        data = encoded(picture().transpose(undo), kind, exif=exif)
        photo = open_photo(data)
        assert (photo.width, photo.height, photo.plain) == (640, 480, False)
        for profile in (USUAL, EXACT):
            _, image = fitted(data, profile)
            assert image.size == (640, 480)
            assert near(image, (20, 20), _RED)
            assert image.getexif().get(0x0112, 1) == 1


def test_head_is_read_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    for kind in ("JPEG", "PNG"):
        photo = open_photo(encoded(Image.new("RGB", (64, 48)), kind))
        assert (photo.width, photo.height) == (64, 48)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x09\0\0" + bytes(4)]
)
def test_picture_with_broken_notes_is_still_a_picture(exif: bytes) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        assert open_photo(encoded(picture(), kind, exif=exif)).turned not in range(2, 9)


def test_orientation_of_one_is_upright_already() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    data = encoded(picture(), exif=exif)
    assert fitted(data)[0] == data


def _sixteen_bit() -> bytes:
    grey = Image.linear_gradient("L")
    return encoded(Image.frombytes("I;16", grey.size, b"".join(bytes((0, v)) for v in grey.tobytes())), "PNG")


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (encoded(picture().convert("CMYK")), "RGB"),
        (encoded(picture().convert("L")), "RGB"),
        (encoded(picture().convert("L"), "PNG"), "RGB"),
        (encoded(picture().convert("1"), "PNG"), "RGB"),
        (encoded(picture().quantize(64), "PNG"), "RGB"),
        (encoded(picture(mode="RGBA").convert("LA"), "PNG"), "RGBA"),
        (encoded(picture().quantize(64), "PNG", transparency=0), "RGBA"),
        (encoded(picture(), "MPO", save_all=True, append_images=[picture(320, 240, seed=5)]), "RGB"),
        (_sixteen_bit(), "RGB"),
    ],
    ids=["cmyk", "grey jpeg", "grey", "one bit", "palette", "grey alpha", "palette alpha", "mpo", "16 bit"],
)
def test_everything_else_becomes_plain(data: bytes, mode: str) -> None:
    assert not open_photo(data).plain
    for profile in (USUAL, EXACT):
        sent, image = fitted(data, profile)
        assert image.mode == mode
        assert image.format == ("WEBP" if mode == "RGBA" else "JPEG")
        assert open_photo(sent).plain


def test_colours_survive_being_made_plain() -> None:
    for data in (
        encoded(picture().convert("CMYK"), quality=95),
        encoded(picture().quantize(256), "PNG"),
        encoded(picture(), "MPO", save_all=True, append_images=[picture(seed=9)], quality=95),
    ):
        _, image = fitted(data)
        assert max(ImageStat.Stat(ImageChops.difference(image, picture())).mean) < 6


def test_sixteen_bit_grey_is_not_burnt_out() -> None:
    _, image = fitted(_sixteen_bit())
    assert image.getpixel((5, 5))[0] < 30  # type: ignore[index]
    assert 100 < image.getpixel((5, 128))[0] < 156  # type: ignore[index]


def test_sixteen_bit_colour_is_made_eight_bit() -> None:
    rows = b"".join(b"\0" + bytes((200, 7, 0, 9, 0, 1)) * 8 for _ in range(8))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    framed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    data = b"\x89PNG\r\n\x1a\n" + b"".join(framed)
    assert not open_photo(data).plain
    assert near(fitted(data)[1], (4, 4), (200, 0, 0))


def test_phone_photo_with_something_behind_its_end_is_written_anew() -> None:
    data = encoded(picture()) + b"\0\0\0\x18ftypmp42" + bytes(500)
    assert not open_photo(data).plain
    sent, _ = fitted(data)
    assert b"ftypmp42" not in sent


def test_alpha_is_kept_where_something_is_transparent_and_dropped_where_not() -> None:
    large, small = noise(400, 400, "RGBA"), SendProfile(300_000)
    assert len(encoded(large, "PNG")) > small.limit
    _, image = fitted(encoded(large, "PNG"), small)
    assert (image.format, image.mode) == ("WEBP", "RGBA")
    large.putalpha(255)
    _, image = fitted(encoded(large, "PNG"), small)
    assert (image.format, image.mode) == ("JPEG", "RGB")


def test_colour_profile_stays_with_the_colours_it_is_of() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    _, image = fitted(encoded(picture(), exif=exif, icc_profile=b"p" * 500))
    assert image.info["icc_profile"] == b"p" * 500
    _, image = fitted(encoded(picture().convert("CMYK"), icc_profile=b"p" * 500))
    assert "icc_profile" not in image.info


# --- small enough


def test_large_photo_is_brought_below_the_limit() -> None:
    data = encoded(picture(4000, 3000), quality=98)
    sent, image = fitted(data, SendProfile(400_000))
    assert len(sent) <= 400_000
    assert max(image.size) <= LARGEST
    assert abs(image.width / image.height - 4 / 3) < 0.01


@pytest.mark.parametrize("limit", [1_500_000, 600_000, 150_000, 40_000])
def test_even_noise_is_brought_below_the_limit(limit: int) -> None:
    sent, _ = fitted(encoded(noise(2500, 1900), quality=95), SendProfile(limit))
    assert len(sent) <= limit


def test_what_cannot_be_made_small_enough_is_said() -> None:
    assert "cannot be brought to 3,000 bytes at most" in reason(encoded(noise(900, 900)), SendProfile(3_000))


def test_small_image_is_not_made_larger() -> None:
    _, image = fitted(encoded(noise(700, 500, "RGB"), "PNG"), SendProfile(200_000))
    assert max(image.size) <= 700


def test_under_a_mask_the_dimensions_stay() -> None:
    data = encoded(noise(2600, 1000), quality=95)
    assert fitted(data, EXACT)[0] == data
    sent, image = fitted(data, SendProfile(2_000_000, exact=True))
    assert len(sent) <= 2_000_000
    assert image.size == (2600, 1000)
    assert "with a mask it may have 300,000 bytes at most" in reason(data, SendProfile(300_000, exact=True))


# --- masks


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (encoded(picture().convert("L"), "PNG"), "has no alpha channel"),
        (encoded(picture().convert("1"), "PNG"), "has no alpha channel"),
        (encoded(picture(), "PNG"), "has no alpha channel"),
        (encoded(picture()), "is a JPEG, but a mask is a PNG"),
        (encoded(picture(mode="RGBA"), "WEBP"), "is a WEBP, but a mask is a PNG"),
        (encoded(Image.new("RGBA", (9, 9), (0, 0, 0, 255)), "PNG"), "nothing in it is transparent"),
        (encoded(mask(), "PNG")[:-100], "is cut off"),
    ],
)
def test_what_is_no_mask_is_refused(data: bytes, why: str) -> None:
    assert why in reason(data, MASK)
    with pytest.raises(BadImage, match=why):
        check_mask(open_photo(data))


def test_mask_goes_as_it_is_and_a_large_one_without_its_colours() -> None:
    data = encoded(mask(), "PNG")
    assert fitted(data, MASK)[0] == data
    large = noise(1200, 1000, "RGBA")
    large.putalpha(mask(1200, 1000).getchannel("A"))
    heavy = encoded(large, "PNG")
    sent, image = fitted(heavy, SendProfile(3_000_000, exact=True, mask=True))
    assert len(sent) < 50_000
    assert (image.mode, image.size, image.format) == ("RGBA", (1200, 1000), "PNG")
    assert not ImageChops.difference(image.getchannel("A"), large.getchannel("A")).getbbox()


def test_grey_mask_with_alpha_is_made_plain() -> None:
    sent, image = fitted(encoded(mask().convert("LA"), "PNG"), MASK)
    assert (image.mode, image.format) == ("RGBA", "PNG")
    assert open_photo(sent).plain


# --- profiles and weights


def test_profiles_follow_the_limits_of_the_route() -> None:
    assert shared(References(), 1) == SendProfile(1_500_000)
    assert shared(References(max_bytes=500_000), 1) == SendProfile(500_000)
    assert shared(References(advised_bytes=900_000, max_bytes=10_000_000), 3) == SendProfile(900_000)
    relay = References(advised_bytes=1_500_000, max_bytes=10_000_000, total_bytes=6_000_000)
    assert [shared(relay, count).limit for count in (1, 4, 5, 16)] == [1_500_000, 1_500_000, 1_200_000, 375_000]
    assert masked(References()) == SendProfile(15_000_000, exact=True)
    assert masked(References(max_bytes=10_000_000)) == SendProfile(10_000_000, exact=True)
    use = InputUse("a", frozenset({1, 4, 8}), exact=True, mask=True)
    assert [each.name for each in profiles(use, relay)] == ["1500000", "750000", "exact-10000000", "mask"]


def test_weight_is_what_is_in_memory() -> None:
    def heavy(photo: Photo, *profiles: SendProfile) -> int:
        return weight(photo, list(profiles)) - len(photo.data) // 4

    photo = open_photo(encoded(Image.new("RGB", (6000, 4000))))
    assert heavy(photo) == 24_000_000 // 64  # only looked at
    assert heavy(photo, SendProfile(10)) == 6_000_000  # decoded at half its size
    assert heavy(photo, SendProfile(10, exact=True)) == 48_000_000
    progressive = open_photo(encoded(Image.new("RGB", (6000, 4000)), progressive=True))
    assert heavy(progressive) >= 36_000_000
    png = open_photo(encoded(Image.new("RGB", (3000, 2000)), "PNG"))
    assert (heavy(png), heavy(png, SendProfile(10))) == (6_000_000, 12_000_000)


def test_jpeg_is_decoded_at_a_fraction_where_that_is_enough() -> None:
    data = encoded(picture(6000, 4000), quality=95)
    assert max(open_photo(data).pixels(2048).size) == 2048
    with Image.open(io.BytesIO(data)) as image:
        image.draft(None, (2048, 1365))
        assert image.size == (3000, 2000)
    assert open_photo(data).decoded(2048) == 3000 * 2000
    phone = open_photo(encoded(picture(4032, 3024)))
    assert phone.pixels(2048).size == (2016, 1512)
    assert phone.decoded(2048) == 2016 * 1512
