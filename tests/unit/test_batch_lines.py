"""The output files of a batch, line by line, with the bytes cut anywhere."""

from __future__ import annotations

import asyncio
import base64
import json
import random
from typing import Any

import pytest

from batchgen.domain.wire import CallEnd
from batchgen.gateway.batch.lines import BatchAnswer, BatchLines
from tests.support.sockets import MemorySink

PICTURE = bytes(range(256)) * 40


class Kept(MemorySink):
    """A sink with a name of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(0)
        self.name = name


def answered(custom_id: str, body: dict[str, Any], status: int = 200) -> dict[str, Any]:
    response = {"status_code": status, "request_id": f"req-{custom_id}", "body": body}
    return {"id": f"batch_req_{custom_id}", "custom_id": custom_id, "response": response, "error": None}


def picture() -> dict[str, Any]:
    usage = {"input_tokens": 5, "output_tokens": 196, "total_tokens": 201}
    return {"created": 1, "data": [{"b64_json": base64.b64encode(PICTURE).decode()}], "usage": usage}


def read(text: str, cuts: int = 0, unwanted: str = "") -> tuple[list[BatchAnswer], dict[str, Kept]]:
    """The lines of a file that comes in pieces."""
    kept: dict[str, Kept] = {}
    chance = random.Random(cuts)
    data = text.encode()
    places = sorted(chance.sample(range(1, max(2, len(data))), min(cuts, max(0, len(data) - 1))))

    def sink(custom_id: str, index: int) -> Kept | None:
        return None if custom_id == unwanted else kept.setdefault(f"{custom_id}-{index}", Kept(f"{custom_id}-{index}"))

    async def feed() -> list[BatchAnswer]:
        lines, found = BatchLines(sink), []
        for start, end in zip([0, *places], [*places, len(data)], strict=True):
            found += await lines.feed(data[start:end])
        last = await lines.finish()
        return found if last is None else [*found, last]

    return asyncio.run(feed()), kept


@pytest.mark.parametrize("cuts", [0, 1, 7, 200])
def test_each_line_is_an_answer_with_its_picture_wherever_the_bytes_are_cut(cuts: int) -> None:
    refused = answered("b", {"error": {"message": "rejected by the safety system", "code": "moderation_blocked"}}, 400)
    lines = [answered("a", picture()), refused, answered("c", picture())]
    found, kept = read("\n".join(map(json.dumps, lines)) + "\n", cuts)
    assert [line.custom_id for line in found] == ["a", "b", "c"]
    assert [line.answer.status for line in found] == [200, 400, 200]
    assert {name: bytes(each.data) for name, each in kept.items()} == {"a-0": PICTURE, "c-0": PICTURE}
    assert [line.answer.pictures[0].size if line.answer.pictures else 0 for line in found] == [
        len(PICTURE),
        0,
        len(PICTURE),
    ]
    assert found[1].answer.error is not None
    assert found[1].answer.error.code == "moderation_blocked"
    usage = found[0].answer.usage
    assert usage is not None
    assert usage.output_tokens == 196
    assert found[0].answer.request_ids == (("batch-request", "batch_req_a"), ("x-request-id", "req-a"))


def test_last_line_needs_no_line_feed() -> None:
    found, _ = read(json.dumps(answered("a", picture())))
    assert [line.custom_id for line in found] == ["a"]


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
def test_line_that_was_never_worked_on_was_not_sent(code: str) -> None:
    line = {"id": "x", "custom_id": "a", "response": None, "error": {"code": code, "message": "too late"}}
    found, _ = read(json.dumps(line) + "\n")
    assert found[0].answer.ending is CallEnd.NOT_SENT
    assert code in found[0].answer.detail


def test_line_without_a_response_is_an_error_of_the_gateway() -> None:
    line = {"id": "x", "custom_id": "a", "response": None, "error": {"code": "server_error", "message": "sorry"}}
    found, _ = read(json.dumps(line) + "\n")
    assert (found[0].answer.status, found[0].answer.ending) == (500, CallEnd.COMPLETE)


def test_cut_line_is_a_cut_answer_and_the_next_is_read() -> None:
    text = json.dumps(answered("a", picture()))
    found, _ = read(f"{text[: len(text) // 2]}\n{json.dumps(answered('b', picture()))}\n", 5)
    assert [(line.custom_id, line.answer.ending) for line in found] == [("a", CallEnd.CUT), ("b", CallEnd.COMPLETE)]


def test_line_nobody_wants_is_read_over() -> None:
    lines = [answered("a", picture()), answered("b", picture())]
    found, kept = read("\n".join(map(json.dumps, lines)), 3, unwanted="a")
    assert [line.answer.pictures != () for line in found] == [False, True]
    assert set(kept) == {"b-0"}


@pytest.mark.parametrize("text", ["", "\n\n", "nonsense\n", "[1]\n", '{"id": 3}\n', '{"custom_id": 3}\n'])
def test_what_is_no_line_is_passed_over(text: str) -> None:
    assert read(text)[0] == []


@pytest.mark.parametrize("cuts", [0, 3, 50])
def test_picture_that_comes_before_its_name_is_kept_all_the_same(cuts: int) -> None:
    line = answered("a", picture())
    turned = {"response": line["response"], "custom_id": "a", "id": "x", "error": None}
    found, kept = read(json.dumps(turned) + "\n", cuts)
    assert bytes(kept["a-0"].data) == PICTURE
    assert [each.size for each in found[0].answer.pictures] == [len(PICTURE)]
