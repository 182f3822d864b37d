"""What goes over the wire for the routes people use, as it was recorded: a change of it is seen before it is paid for.

`BATCHGEN_RECORD=1` writes the recordings anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.contracts.contract import Contract
from batchgen.domain.size import AUTO, Size
from batchgen.domain.wire import FilePiece, Prepared, PreparedInputs
from batchgen.gateway.request import batch_line, build_call
from tests.support.gateway import NO_INPUTS, a_claim, an_address, contract, inputs

FOLDER = Path(__file__).parents[1] / "recorded" / "requests"
ROUTES = (
    "laozhang/gpt-image-2",
    "laozhang/gpt-image-2-vip",
    "laozhang/gpt-image-2@official",
    "apiyi/gpt-image-2-all",
    "apiyi/gpt-image-2-vip",
    "apiyi/gpt-image-2",
    "apiyi/gpt-image-2@image2Enterprise",
    "openai/gpt-image-2",
    "openai/gpt-image-2.5-flare",
    "openai/gpt-image-2.6-sunburst",
    "openai/gpt-image-1.5",
    "openai/gpt-image-1-mini",
)
SIZES = (Size(2048, 2048), Size(1024, 1024), AUTO)


def an_image(name: str, media: str, mark: str) -> Prepared:
    return Prepared(name, media, file=FilePiece(f"/nowhere/{name}", 1_234_567, mark * 32))


CUP, LOGO = an_image("cup.png", "image/png", "a1"), an_image("logo.jpg", "image/jpeg", "b2")
MASK = an_image("mask.png", "image/png", "c3")


def cases() -> Iterator[tuple[str, Contract, PreparedInputs]]:
    """Each recording's name, and what it is of."""
    for route in ROUTES:
        for endpoint in contract(route).endpoints:
            one = replace(contract(route, endpoint), main_model="gpt-5.5")
            name = f"{route.replace('/', '_')}_{endpoint}"
            yield name, one, NO_INPUTS
            if endpoint != "batch" or one.references.json:
                mask = MASK if one.references.mask and endpoint != "chat" else None
                yield f"{name}_edit", one, inputs(CUP, LOGO, mask=mask)
            if endpoint == "images":
                yield f"{name}_edit_single", one, inputs(CUP)
            if one.references.json or endpoint == "chat":
                yield f"{name}_edit_address", one, inputs(CUP, an_address("https://example.com/ref.png?a=1&b=2"))


CASES = {name: (one, given) for name, one, given in cases()}


def recording(one: Contract, given: PreparedInputs) -> str:
    """The request as text: line ends of a form made visible, files by what they are."""
    size = next(size for size in SIZES if one.check_size(size) is None)
    claim = a_claim(size, 'A "white" mug 杯\nin red', quality="high", background="opaque", format="webp")
    call = build_call(1, claim, one, given)
    if one.endpoint.in_batches:
        head, pieces = "a line of a batch", batch_line("task-1", call)
    else:
        head, pieces = f"POST {call.url}\ncontent-type: {call.content_type}", call.body
    return f"{head}\n\n{''.join(map(shown, pieces))}".replace("\r\n", "␍\n").rstrip("\n") + "\n"


def shown(piece: bytes | FilePiece) -> str:
    if isinstance(piece, FilePiece):
        return f"<file sha256={piece.sha256} size={piece.size} base64={piece.base64}>"
    return piece.decode()


@pytest.mark.parametrize("name", CASES)
def test_request_is_what_was_recorded(name: str) -> None:
    path = FOLDER / f"{name}.txt"
    now = recording(*CASES[name])
    if os.environ.get("BATCHGEN_RECORD") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(now, encoding="utf-8", newline="\n")
    assert now == path.read_text(encoding="utf-8"), "renew it with BATCHGEN_RECORD=1 if the change is meant"


def test_no_recording_is_left_of_what_is_no_more() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(CASES)
