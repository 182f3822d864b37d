"""Edits at the simulated gateway: forms and JSON, what is refused, what is drawn, and what references cost."""

from __future__ import annotations

import asyncio
import base64
import io

import pytest
from PIL import Image

from batchgen.contracts.tokens import input_image_tokens
from tests.integration import test_simulator
from tests.integration.test_simulator import ALL, KEY, LAO_VIP, LAO_WEB, OFFICIAL, RELAY, VIP

bench = test_simulator.bench
LAO_OFFICIAL = "laozhang/gpt-image-2@official"
RED = (208, 16, 16)


def picture(size=(64, 64), colour=RED, kind="PNG", mode="RGB", **more) -> bytes:
    file = io.BytesIO()
    fill = colour if mode == "RGB" else (*colour, 0) if mode == "RGBA" else (0, 200, 200, 20)
    Image.new(mode, size, fill).save(file, kind, **more)
    return file.getvalue()


def two_frames() -> bytes:
    """A JPEG as phones make them: MPO."""
    file = io.BytesIO()
    frame = Image.new("RGB", (64, 64), RED)
    frame.save(file, "MPO", save_all=True, append_images=[frame.copy()])
    return file.getvalue()


def data_url(file: bytes, kind="png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(file).decode()}"


def form(gateway, *images, prompt="A red mug", field=None, **more):
    fields = [("model", gateway.contract.model), ("prompt", prompt)]
    fields += list(more.items())
    return [*fields, *((field or gateway.contract.references.field, image) for image in images)]


async def edit(gateway, *images, **more):
    return await gateway.call("POST", "images/edits", form=form(gateway, *images, **more))


# --- forms ---


@pytest.mark.parametrize("route", [OFFICIAL, RELAY, LAO_OFFICIAL])
async def test_official_edit_takes_one_image_and_lists_and_counts_their_tokens(bench, route):
    gateway = await bench(route)
    sizes = [(1024, 1024), (640, 480), (3000, 2000)]
    for field, images in (("image", sizes[:1]), ("image[]", sizes[:1]), ("image[]", sizes)):
        files = [picture(size) for size in images]
        answer = await edit(gateway, *files, field=field, size="1024x1024", quality="low", output_format="webp")
        assert answer.pixels() == (1024, 1024)
        seen = sum(input_image_tokens(*size) for size in images)
        usage = answer.json["usage"]
        assert usage["input_tokens_details"] == {"text_tokens": 3, "image_tokens": seen}
        assert usage["total_tokens"] == 3 + seen + 196
        assert gateway.last.charged == -(-(3 * 5 + seen * 8 + 196 * 30) * gateway.contract.multiplier // 1)
        assert (gateway.last.endpoint, gateway.last.references) == ("edits", len(images))
        assert answer.json["output_format"] == "webp"


@pytest.mark.parametrize("route", [VIP, ALL, LAO_VIP, LAO_WEB])
async def test_reverse_edit_takes_repeated_image_and_costs_one_call(bench, route):
    gateway = await bench(route)
    size = {"size": "1280x1280"} if "vip" in route else {}
    for count in (1, 3):
        answer = await edit(gateway, *[picture()] * count, **size)
        assert answer.file().startswith(b"\x89PNG")
        assert gateway.last.charged == 30_000
    answer = await edit(gateway, picture(), response_format="url", **size)
    assert list(answer.json["data"][0]) == ["url"]
    assert (await gateway.get(answer.json["data"][0]["url"])).status == 200


async def test_wrong_field_name_is_field_required(bench):
    gateway = await bench(VIP, others=(OFFICIAL,))
    answer = await edit(gateway, picture(), picture(), field="image[]", size="1280x1280")
    assert (answer.status, "field required" in answer.error["message"]) == (422, True)
    assert (gateway.last.kind, gateway.last.charged) == ("rejected", 0)
    gateway.route = OFFICIAL
    answer = await edit(gateway, picture(), field="images")
    assert (answer.status, answer.error["code"]) == (400, "missing_required_parameter")
    answer = await edit(gateway, picture(), picture(), field="image")
    assert (answer.status, answer.error["code"]) == (400, "duplicate_parameter")


@pytest.mark.parametrize("route", [OFFICIAL, VIP])
async def test_edit_without_an_image_is_refused(bench, route):
    gateway = await bench(route)
    answer = await edit(gateway, size="1280x1280")
    assert answer.status in {400, 422}
    assert gateway.last.charged == 0


async def test_form_that_breaks_off_is_a_400(bench):
    gateway = await bench(OFFICIAL)
    headers = {**KEY, "Content-Type": "multipart/form-data; boundary=x"}
    answer = await gateway.call(
        "POST", "images/edits", headers, data=b'--x\r\nContent-Disposition: form-data; name="a"'
    )
    assert answer.status == 400
    answer = await gateway.call("POST", "images/edits", {**KEY, "Content-Type": "multipart/form-data"}, data=b"x")
    assert answer.status == 400


async def test_request_hash_does_not_depend_on_the_boundary_but_on_the_content(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    for file, prompt in ((picture(), "a"), (picture(), "a"), (picture(colour=(0, 0, 200)), "a"), (picture(), "b")):
        await edit(gateway, file, prompt=prompt, quality="low")
    requests = [line.request for line in gateway.lines]
    assert requests[0] == requests[1]
    assert len(set(requests)) == 3
    assert [line.occurrence for line in gateway.lines] == [1, 2, 1, 1]


async def test_fields_of_a_form_are_judged_as_in_json(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    answer = await edit(gateway, picture(), n="2", quality="low", size="1024x1024", user="me", stream="false")
    assert len(answer.json["data"]) == 2
    for fields, param in (
        ({"n": "eleven"}, "n"),
        ({"stream": "true"}, "stream"),
        ({"size": "100x100"}, "size"),
        ({"response_format": "b64_json"}, "response_format"),
        ({"moderation": "low"}, "moderation"),
        ({"style": "vivid"}, "style"),
    ):
        answer = await edit(gateway, picture(), **fields)
        assert (answer.status, answer.error["param"]) == (400, param)


@pytest.mark.parametrize("route", [OFFICIAL, RELAY, "openai/gpt-image-1.5", "openai/gpt-image-1-mini"])
async def test_input_fidelity_is_for_the_older_models(bench, route):
    gateway = await bench(route, "pictures=plain")
    codes = []
    for value in ("high", "low"):
        answer = await edit(gateway, picture(), input_fidelity=value, quality="low")
        codes.append(answer.status if answer.status == 200 else answer.error["code"])
    no = "invalid_input_fidelity_model"
    assert codes == {"openai/gpt-image-1.5": [200, 200], "openai/gpt-image-1-mini": [no, 200]}.get(route, [no, no])


# --- what is wrong with pictures ---


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


@pytest.mark.parametrize(
    "file",
    [picture(kind="JPEG", mode="CMYK"), two_frames(), HEIC, b"", b"no image", picture(kind="GIF"), picture()[:60]],
    ids=["cmyk", "mpo", "heic", "empty", "text", "gif", "cut"],
)
@pytest.mark.parametrize("route", [OFFICIAL, VIP])
async def test_file_that_is_no_good_image_is_named_by_its_number_and_free(bench, route, file):
    gateway = await bench(route)
    size = "1280x1280" if route == VIP else "1024x1024"
    answer = await edit(gateway, picture(kind="WEBP"), file, size=size)
    assert (answer.status, answer.error["code"]) == (400, "invalid_image_file")
    assert "image 2," in answer.error["message"]
    assert (gateway.last.kind, gateway.last.charged) == ("rejected", 0)


async def test_too_many_images_are_refused(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    assert (await edit(gateway, *[picture()] * 16, quality="low")).status == 200
    answer = await edit(gateway, *[picture()] * 17)
    assert (answer.status, answer.error["code"]) == (400, "array_above_max_length")


async def test_file_over_the_limit_and_files_over_it_together_are_refused(bench):
    gateway = await bench(VIP, "pictures=plain")
    large, medium = picture() + bytes(10_000_001), picture() + bytes(4_000_000)
    answer = await edit(gateway, large, size="1280x1280")
    assert (answer.status, answer.error["type"]) == (413, "shell_api_error")
    assert (await edit(gateway, medium, medium, size="1280x1280")).status == 200
    answer = await edit(gateway, medium, medium, medium, size="1280x1280")
    assert (answer.status, answer.error["type"]) == (500, "shell_api_error")
    assert "Unknown error" in answer.error["message"]
    assert (gateway.last.kind, gateway.last.charged) == ("server_error", 0)


@pytest.mark.parametrize(
    "mask",
    [picture(), picture(kind="JPEG"), picture((32, 64), mode="RGBA"), picture(mode="RGBA") + bytes(4_000_000), b"x"],
    ids=["no-alpha", "jpeg", "size", "large", "text"],
)
async def test_mask_that_does_not_fit_is_refused(bench, mask):
    gateway = await bench(OFFICIAL)
    answer = await edit(gateway, picture(), mask=mask)
    assert (answer.status, answer.error["param"]) == (400, "mask")
    assert gateway.last.charged == 0


async def test_mask_is_taken_where_the_route_takes_one_and_counts_no_tokens(bench):
    gateway = await bench(RELAY, others=(VIP,))
    answer = await edit(gateway, picture(), mask=picture(mode="RGBA"), quality="low")
    assert answer.json["usage"]["input_tokens_details"]["image_tokens"] == 1024
    gateway.route = VIP
    answer = await edit(gateway, picture(), mask=picture(mode="RGBA"), size="1280x1280")
    assert (answer.status, answer.error["param"]) == (400, "mask")


# --- what is drawn ---


async def test_picture_shows_the_colour_of_the_first_reference(bench):
    gateway = await bench(VIP, "b64=raw")
    shown = []
    for colour in (RED, (16, 16, 208)):
        canvas = Image.new("RGB", (300, 200), "white")
        canvas.paste(colour, (100, 60, 200, 140))
        file = io.BytesIO()
        canvas.save(file, "JPEG", quality=95)
        answer = await edit(gateway, file.getvalue(), picture(colour=(0, 200, 0)), size="1280x1280")
        image = Image.open(io.BytesIO(answer.file())).convert("RGB")
        counts = {pixel: count for count, pixel in image.getcolors(1 << 20)}
        shown.append(
            max(
                count
                for pixel, count in counts.items()
                if max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 12
            )
        )
    assert min(shown) > 20_000


async def test_address_draws_the_colour_too_and_a_plain_picture_looks_at_nothing(bench):
    gateway = await bench(VIP)
    answer = await edit(gateway, picture(), size="1280x1280", response_format="url")
    file = (await gateway.get(answer.json["data"][0]["url"])).body
    pixels = Image.open(io.BytesIO(file)).convert("RGB").getcolors(1 << 20)
    assert any(max(abs(a - b) for a, b in zip(pixel, RED, strict=True)) < 12 for _, pixel in pixels)


# --- JSON ---


async def test_json_edit_takes_addresses_and_data_urls(bench):
    gateway = await bench(OFFICIAL)
    images = [{"image_url": "https://example.com/a.png"}, {"image_url": data_url(picture((2048, 2048)))}]
    answer = await gateway.ask(path="images/edits", images=images, quality="low", size="1024x1024", moderation="low")
    assert answer.pixels() == (1024, 1024)
    assert answer.json["usage"]["input_tokens_details"]["image_tokens"] == 1024 + 1521
    mask = {"image_url": data_url(picture(mode="RGBA"))}
    answer = await gateway.ask(
        path="images/edits", images=[{"image_url": data_url(picture())}], mask=mask, quality="low"
    )
    assert answer.status == 200


async def test_json_edit_takes_an_uploaded_file(bench):
    gateway = await bench(OFFICIAL)
    kept = await gateway.call("POST", "files", form=[("purpose", "vision"), ("file", picture((2048, 2048)))])
    images = [{"file_id": kept.json["id"]}]
    answer = await gateway.ask(path="images/edits", images=images, quality="low")
    assert answer.json["usage"]["input_tokens_details"]["image_tokens"] == 1521
    answer = await gateway.ask(path="images/edits", images=[{"file_id": "file-000000000000"}])
    assert (answer.status, "No such File" in answer.error["message"]) == (404, True)


@pytest.mark.parametrize(
    ("images", "code"),
    [
        (..., "missing_required_parameter"),
        ([], "missing_required_parameter"),
        ([{"image_url": "http://example.com/a.png"}], "invalid_value"),
        ([{"image_url": "data:text/plain;base64,AAAA"}], "invalid_value"),
        ([{"image_url": "data:image/png;base64,????"}], "invalid_image_file"),
        ([{"image_url": data_url(b"no image")}], "invalid_image_file"),
        ([{"image_url": "data:image/png;base64," + "A" * 20_971_520}], "string_above_max_length"),
        ([{}], "invalid_value"),
        (["https://example.com/a.png"], "invalid_value"),
        ([{"image_url": "https://example.com/a.png"}] * 17, "array_above_max_length"),
    ],
    ids=range(10),
)
async def test_json_edit_refuses_what_is_no_image(bench, images, code):
    gateway = await bench(OFFICIAL)
    answer = await gateway.ask(path="images/edits", images=images)
    assert (answer.status, answer.error["code"]) == (400, code)
    assert gateway.last.charged == 0


@pytest.mark.parametrize("route", [RELAY, VIP])
async def test_relay_takes_no_json_edits(bench, route):
    gateway = await bench(route)
    answer = await gateway.ask(path="images/edits", images=[{"image_url": "https://example.com/a.png"}])
    assert answer.status == 400
    assert "multipart/form-data" in answer.error["message"]


async def test_faults_and_refusals_hold_for_edits(bench):
    gateway = await bench(VIP, "pictures=plain")
    kinds = []
    for prompt in ("[[sim:500]]", "a forbidden thing", "[[sim:url]]"):
        await edit(gateway, picture(), prompt=prompt, size="1280x1280")
        kinds.append((gateway.last.kind, gateway.last.charged))
    assert kinds == [("server_error", 0), ("refused_text", 30_000), ("delivered", 30_000)]


async def test_edit_without_a_key_is_unauthorized_before_its_files_are_looked_at(bench):
    gateway = await bench(OFFICIAL)
    answer = await gateway.call("POST", "images/edits", {}, form=form(gateway, b"no image"))
    assert answer.status == 401


async def test_many_large_forms_at_once_leave_no_files_behind(bench):
    gateway = await bench(VIP, "pictures=plain")
    file = picture() + bytes(3_000_000)
    answers = await asyncio.gather(*(edit(gateway, file, prompt=str(n), size="1280x1280") for n in range(8)))
    assert {answer.status for answer in answers} == {200}
