"""Bodies with input images: forms, JSON with data URLs or addresses, chats, tools and lines of a batch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError
from batchgen.domain.size import AUTO, Size, parse_size
from batchgen.domain.wire import Call, FilePiece, Prepared, PreparedInputs
from batchgen.gateway.json_body import json_pieces
from batchgen.gateway.request import batch_line, build_call, request_hash
from tests.support.gateway import NO_INPUTS, a_claim, a_file, an_address, contract, inputs, whole

URL = "https://example.com/ref.png?a=1&b=ü"
MakeFile = Callable[..., Prepared]


@pytest.fixture
def image(tmp_path: Path) -> MakeFile:
    """Makes a prepared file with this content."""

    def make(content: bytes = b"\x89PNG one", name: str = "cup.png", media: str = "image/png") -> Prepared:
        return a_file(tmp_path / f"{abs(hash((content, name)))}", content, name, media)

    return make


def fields_of(call: Call) -> list[tuple[str, str | None, str, bytes]]:
    """Name, file name, media type and content of each part of a form, as another parser sees them."""
    head = f"Content-Type: {call.content_type}\r\n\r\n".encode()
    message = message_from_bytes(head + whole(call.body), policy=policy.HTTP)
    assert message.is_multipart()
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type() if part.get_filename() else "",
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


def body_of(call: Call) -> Any:
    assert call.content_type == "application/json"
    return json.loads(whole(call.body))


def test_edit_with_files_is_a_form_with_the_fields_of_a_generation(image: MakeFile) -> None:
    claim = a_claim(text="a cup\nin red", quality="high", background="opaque", format="webp")
    first, second = image(), image(b"\xff\xd8 two", "b.jpg", "image/jpeg")
    call = build_call(3, claim, contract("openai/gpt-image-2"), inputs(first, second, mask=image(b"mask", "m.png")))
    assert (call.operation, call.attempt) == ("edits", 3)
    assert call.url == "https://api.openai.com/v1/images/edits"
    assert fields_of(call) == [
        ("model", None, "", b"gpt-image-2"),
        ("prompt", None, "", b"a cup\nin red"),
        ("size", None, "", b"2048x2048"),
        ("quality", None, "", b"high"),
        ("background", None, "", b"opaque"),
        ("output_format", None, "", b"webp"),
        ("image[]", "cup.png", "image/png", b"\x89PNG one"),
        ("image[]", "b.jpg", "image/jpeg", b"\xff\xd8 two"),
        ("mask", "m.png", "image/png", b"mask"),
    ]


@pytest.mark.parametrize(
    ("route", "count", "names"),
    [
        ("openai/gpt-image-2", 1, ["image"]),
        ("openai/gpt-image-2", 2, ["image[]", "image[]"]),
        ("apiyi/gpt-image-2-vip", 1, ["image"]),
        ("apiyi/gpt-image-2-vip", 3, ["image", "image", "image"]),
    ],
)
def test_single_reference_is_never_a_list(image: MakeFile, route: str, count: int, names: list[str]) -> None:
    call = build_call(1, a_claim(), contract(route), inputs(*[image()] * count))
    parts = fields_of(call)
    assert [name for name, file, *_ in parts if file] == names
    assert "n" not in [name for name, *_ in parts]


def test_form_names_its_own_length_and_never_holds_its_boundary(image: MakeFile) -> None:
    call = build_call(1, a_claim(), contract("apiyi/gpt-image-2-vip"), inputs(image(name='a"b\r\nc.png')))
    boundary = call.content_type.partition("boundary=")[2]
    sent = whole(call.body)
    assert sum(p.length if isinstance(p, FilePiece) else len(p) for p in call.body) == len(sent)
    assert sent.count(boundary.encode()) == len(fields_of(call)) + 1
    assert len(boundary) <= 70  # RFC 2046
    assert b'filename="a%22b%0D%0Ac.png"' in sent
    files = [piece for piece in call.body if isinstance(piece, FilePiece)]
    assert [piece.base64 for piece in files] == [False]


def test_edit_is_json_when_a_reference_is_an_address(image: MakeFile) -> None:
    official = contract("openai/gpt-image-2")
    call = build_call(1, a_claim(quality="low"), official, inputs(an_address(URL), image(), mask=image(b"mask")))
    assert call.operation == "edits"
    assert body_of(call) == {
        "model": "gpt-image-2",
        "prompt": 'a "white" 杯\n',
        "size": "2048x2048",
        "quality": "low",
        "images": [{"image_url": URL}, {"image_url": "data:image/png;base64,iVBORyBvbmU="}],
        "mask": {"image_url": "data:image/png;base64,bWFzaw=="},
    }


@pytest.mark.parametrize(
    ("route", "endpoint", "given", "words"),
    [
        ("apiyi/gpt-image-2-vip", "images", inputs(an_address(URL)), "files only"),
        ("apiyi/gpt-image-2-vip", "images", inputs(an_address(URL), mask=an_address(URL)), "no mask"),
        ("apiyi/gpt-image-2-vip", "chat", inputs(an_address(URL), mask=an_address(URL)), "no mask"),
        ("openai/gpt-image-2", "images", PreparedInputs(mask=an_address(URL)), "needs the reference"),
        ("openai/gpt-image-1.5", "responses", NO_INPUTS, "main_model"),
    ],
)
def test_inputs_that_a_route_cannot_take_are_never_left_out_silently(
    route: str, endpoint: str, given: PreparedInputs, words: str
) -> None:
    with pytest.raises(ContractError, match=words):
        build_call(1, a_claim(), replace(contract(route, endpoint), main_model=""), given)


def chat(route: str = "apiyi/gpt-image-2-vip") -> Contract:
    return contract(route, "chat")


def test_chat_asks_with_a_lead_where_nothing_else_speaks_of_an_image() -> None:
    call = build_call(1, a_claim(text="a cup"), chat(), NO_INPUTS)
    assert (call.operation, call.url) == ("chat", "https://api.apiyi.com/v1/chat/completions")
    assert body_of(call) == {
        "model": "gpt-image-2-vip",
        "messages": [{"role": "user", "content": "Generate an image: a cup"}],
        "stream": False,
        "size": "2048x2048",
    }


def test_chat_puts_the_phrase_of_a_size_first_and_then_needs_no_lead() -> None:
    call = build_call(1, a_claim(parse_size("16:9@1K"), text="a cup"), chat("apiyi/gpt-image-2-all"), NO_INPUTS)
    assert body_of(call)["messages"][0]["content"] == "横版 16:9，a cup"
    assert "size" not in body_of(call)
    call = build_call(1, a_claim(AUTO, text="a cup"), chat("apiyi/gpt-image-2-all"), NO_INPUTS)
    assert body_of(call)["messages"][0]["content"] == "Generate an image: a cup"


def test_chat_carries_references_as_parts(image: MakeFile) -> None:
    call = build_call(1, a_claim(text="in red"), chat(), inputs(image(), an_address(URL)))
    assert body_of(call)["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "in red"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORyBvbmU="}},
                {"type": "image_url", "image_url": {"url": URL}},
            ],
        }
    ]
    assert "response_format" not in body_of(call)


def tool(route: str = "openai/gpt-image-2") -> Contract:
    return replace(contract(route, "responses"), main_model="gpt-5.2")


def test_responses_force_the_tool_and_store_nothing() -> None:
    call = build_call(1, a_claim(text="a cup", quality="high", format="webp"), tool(), NO_INPUTS)
    assert (call.operation, call.url) == ("responses", "https://api.openai.com/v1/responses")
    assert body_of(call) == {
        "model": "gpt-5.2",
        "input": "a cup",
        "tools": [
            {
                "type": "image_generation",
                "model": "gpt-image-2",
                "action": "generate",
                "size": "2048x2048",
                "quality": "high",
                "output_format": "webp",
            }
        ],
        "tool_choice": {"type": "image_generation"},
        "store": False,
    }


def test_responses_carry_references_and_mask(image: MakeFile) -> None:
    body = body_of(build_call(1, a_claim(text="red"), tool(), inputs(image(), an_address(URL), mask=image(b"mask"))))
    assert body["input"] == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "red"},
                {"type": "input_image", "image_url": "data:image/png;base64,iVBORyBvbmU=", "detail": "auto"},
                {"type": "input_image", "image_url": URL, "detail": "auto"},
            ],
        }
    ]
    assert body["tools"][0]["action"] == "edit"
    assert body["tools"][0]["input_image_mask"] == {"image_url": "data:image/png;base64,bWFzaw=="}


def test_line_of_a_batch_holds_what_the_json_endpoint_takes(image: MakeFile) -> None:
    route = contract("openai/gpt-image-2", "batch")
    for these in (NO_INPUTS, inputs(an_address(URL)), inputs(image(), mask=image(b"mask"))):
        call = build_call(0, a_claim(quality="low"), route, these)
        line = whole(batch_line('task "7"', call))
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
        document = json.loads(line)
        assert set(document) == {"custom_id", "method", "url", "body"}
        assert (document["custom_id"], document["method"]) == ('task "7"', "POST")
        assert document["url"] == ("/v1/images/edits" if these.references else "/v1/images/generations")
        assert (call.operation, call.url) == ("batch", document["url"])
        assert json.loads(whole(call.body)) == document["body"]
    line, call = (build_call(1, a_claim(), each, NO_INPUTS) for each in (route, contract("openai/gpt-image-2")))
    assert line.body == call.body


@pytest.mark.parametrize("endpoint", ["images", "chat", "responses"])
def test_hash_counts_files_by_content_and_not_by_place(tmp_path: Path, endpoint: str) -> None:
    route = replace(contract("openai/gpt-image-2", endpoint), main_model="m", chat_lead="")

    def hashed(path: str, content: bytes, text: str = "x") -> str:
        return request_hash(build_call(1, a_claim(text=text), route, inputs(a_file(tmp_path / path, content))))

    one = hashed("a", b"one")
    assert one == hashed("b", b"one")
    assert len({one, hashed("a", b"two"), hashed("a", b"one", "y")}) == 3


def test_hash_of_a_call_without_files_is_that_of_its_bytes() -> None:
    call = build_call(1, a_claim(), contract("apiyi/gpt-image-2-vip"), NO_INPUTS)
    assert request_hash(call) == hashlib.sha256(call.url.encode() + b"\n" + whole(call.body)).hexdigest()


_PLAIN = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=9,
)


@given(_PLAIN)
def test_pieces_of_a_document_without_images_are_compact_json(document: Any) -> None:
    (piece,) = json_pieces(document)
    assert piece == json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("size", [Size(2048, 2048), Size(2048, 1152)])
def test_size_of_a_downgrade_is_what_goes_into_every_body(size: Size) -> None:
    for call in (
        build_call(1, a_claim(size), chat(), NO_INPUTS),
        build_call(1, a_claim(size), tool(), NO_INPUTS),
        build_call(1, a_claim(size), contract("openai/gpt-image-2"), inputs(an_address(URL))),
    ):
        assert f'"size":"{size}"'.encode() in whole(call.body)
