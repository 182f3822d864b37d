"""Our requests to official routes, held against the official SDK's own parameter types: no key it does not know."""

from __future__ import annotations

import json
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, Union, get_args, get_type_hints

import pytest
from openai.types import image_edit_params, image_generate_params
from openai.types.batch_create_params import BatchCreateParams
from openai.types.responses import response_create_params
from openai.types.responses.response_input_image_param import ResponseInputImageParam
from openai.types.responses.response_input_text_param import ResponseInputTextParam
from openai.types.responses.tool_choice_types_param import ToolChoiceTypesParam
from openai.types.responses.tool_param import ImageGeneration
from pydantic import ConfigDict, TypeAdapter, ValidationError

from batchgen.domain.wire import PreparedInputs
from batchgen.gateway.request import batch_line, build_call
from tests.support.gateway import NO_INPUTS, a_claim, a_file, an_address, contract, inputs, whole

IMAGE_ROUTES = (
    "apiyi/gpt-image-2",
    "openai/gpt-image-2",
    "openai/gpt-image-2.5-flare",
    "laozhang/gpt-image-2@official",
)
ASKED = {"quality": "high", "background": "opaque", "format": "webp"}
URL = "https://example.com/ref.png"
# JSON edits are newer than the SDK, which knows the form alone; their images are in OpenAI's specification.
JSON_EDIT_ONLY = {"images"}


def strict(kind: Any) -> TypeAdapter[Any]:
    """A check of a TypedDict that refuses what it does not name. A union, because only so pydantic takes a config."""
    return TypeAdapter(Union[kind, None], config=ConfigDict(extra="forbid", arbitrary_types_allowed=True))  # noqa: UP007 - made at run time


def sent(endpoint: str, route: str, given: PreparedInputs) -> dict[str, Any]:
    one = replace(contract(route, endpoint), main_model="gpt-5.5")
    return json.loads(whole(build_call(1, a_claim(**ASKED), one, given).body))  # type: ignore[no-any-return]


def test_check_refuses_a_key_that_the_sdk_does_not_know() -> None:
    check = strict(image_generate_params.ImageGenerateParamsNonStreaming)
    check.validate_python({"prompt": "x", "model": "gpt-image-2"})
    for wrong in ({"prompt": "x", "nonsense": 1}, {"model": "gpt-image-2"}, {"prompt": "x", "quality": "best"}):
        with pytest.raises(ValidationError):
            check.validate_python(wrong)


@pytest.mark.parametrize("route", IMAGE_ROUTES)
def test_generation_is_one_of_the_sdk(route: str) -> None:
    body = sent("images", route, NO_INPUTS)
    assert set(body) == {"model", "prompt", "size", "quality", "background", "output_format"}
    strict(image_generate_params.ImageGenerateParamsNonStreaming).validate_python(body)


@pytest.mark.parametrize("route", IMAGE_ROUTES)
def test_fields_of_an_edit_form_are_those_of_the_sdk(route: str, tmp_path: Path) -> None:
    files = [a_file(tmp_path / name, name.encode()) for name in "abm"]
    given = inputs(files[0], files[1], mask=files[2])
    call = build_call(1, a_claim(**ASKED), contract(route), given)
    head = f"Content-Type: {call.content_type}\r\n\r\n".encode()
    message = message_from_bytes(head + whole(call.body), policy=policy.HTTP)
    names = [str(part.get_param("name", header="content-disposition")) for part in message.iter_parts()]
    known = set(get_type_hints(image_edit_params.ImageEditParamsNonStreaming))
    assert {name.removesuffix("[]") for name in names} <= known
    fields = {name: part.get_content().strip() for name, part in zip(names, message.iter_parts(), strict=True)
              if not part.get_filename()}  # fmt: skip
    body = {**fields, "image": [b"a", b"b"], "mask": b"m"}
    strict(image_edit_params.ImageEditParamsNonStreaming).validate_python(body)


def check_json_edit(body: dict[str, Any]) -> None:
    """Beside its images a JSON edit is what the form is."""
    known = strict(image_edit_params.ImageEditParamsNonStreaming)
    known.validate_python(
        {key: each for key, each in body.items() if key not in {*JSON_EDIT_ONLY, "mask"}} | {"image": b"x"}
    )
    for image in [*body["images"], *([body["mask"]] if "mask" in body else [])]:
        assert list(image) == ["image_url"]
        assert image["image_url"].startswith(("https://", "data:image/png;base64,"))


def test_edit_in_json_is_what_the_form_is_beside_its_images(tmp_path: Path) -> None:
    file = a_file(tmp_path / "a", b"a")
    check_json_edit(sent("images", "openai/gpt-image-2", inputs(file, an_address(URL), mask=file)))


@pytest.mark.parametrize("with_inputs", [False, True])
def test_response_is_one_of_the_sdk(tmp_path: Path, with_inputs: bool) -> None:
    file = a_file(tmp_path / "a", b"a")
    given = inputs(file, an_address(URL), mask=file) if with_inputs else NO_INPUTS
    body = sent("responses", "openai/gpt-image-2", given)
    strict(response_create_params.ResponseCreateParamsNonStreaming).validate_python(body)
    # What pydantic leaves to be validated while it is iterated is looked at by itself.
    strict(ImageGeneration).validate_python(body["tools"][0])
    strict(ToolChoiceTypesParam).validate_python(body["tool_choice"])
    assert ("input_image_mask" in body["tools"][0]) == with_inputs
    assert isinstance(body["input"], str) != with_inputs
    if with_inputs:
        text, *images = body["input"][0]["content"]
        assert len(images) == 2
        strict(ResponseInputTextParam).validate_python(text)
        for image in images:
            strict(ResponseInputImageParam).validate_python(image)


@pytest.mark.parametrize("with_inputs", [False, True])
def test_line_of_a_batch_goes_to_an_endpoint_of_the_sdk(tmp_path: Path, with_inputs: bool) -> None:
    given = inputs(a_file(tmp_path / "a", b"a")) if with_inputs else NO_INPUTS
    line = json.loads(
        whole(batch_line("1", build_call(0, a_claim(**ASKED), contract("openai/gpt-image-2", "batch"), given)))
    )
    assert line["url"] in get_args(get_type_hints(BatchCreateParams)["endpoint"])
    if with_inputs:
        check_json_edit(line["body"])
    else:
        strict(image_generate_params.ImageGenerateParamsNonStreaming).validate_python(line["body"])
