"""A gateway's own figures, taken for what they can be: no usage makes the books say what nobody can have charged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import Contract
from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.job import Limits
from batchgen.domain.size import parse_size
from batchgen.ledger.ledger import Ledger
from tests.support.batch import PICTURE, Api, batch_rig, good
from tests.support.rig import Rig, rig, small_plan
from tests.support.sockets import served

SIZE = "1024x1024"
BUDGET = 10_000_000
IMAGE = json.dumps({"b64_json": PICTURE})
TRUE = {"input_tokens": 10, "output_tokens": 1756, "total_tokens": 1766}
_PRICES = replace(load_catalog().find("openai/gpt-image-2"), keys=("K",))
_COST = expected(_PRICES, Demand.of(parse_size(SIZE), None, "a mug"))
assert _COST.upper is not None
UPPER: int = _COST.upper
PER_TOKEN = 30  # micro-dollars, of output


def tokens(output: object, taken: object = 10) -> dict[str, object]:
    return {"input_tokens": taken, "output_tokens": output}


LIES = {
    "a fortune": tokens(900_000_000),
    "more than twice the most": tokens(2 * UPPER // PER_TOKEN + 100),
    "a fortune in input": tokens(1756, 900_000_000),
    "no number of this world": tokens(10**18),
    "the same as a float": tokens(1e18),
    "below zero": tokens(-5),
    "far below zero": tokens(-(10**18)),
    "input below zero": tokens(1756, -2),
    "below zero in all": tokens(-1756, -10),
    "details below zero": {**TRUE, "input_tokens_details": {"text_tokens": -10, "image_tokens": 20}},
    "next to nothing": tokens(1),
}
NONE = {
    "nothing": None,
    "text": tokens("900000000"),
    "a fraction": tokens(1756.5),
    "not a number": tokens(float("nan")),
    "without end": tokens(float("inf")),
    "null": tokens(None),
    "a boolean": tokens(output=True),
    "a list": tokens([900_000_000]),
    "an object": tokens({"count": 900_000_000}),
    "no object": 900_000_000,
}


@asynccontextmanager
async def run_of(folder: Path, usage: object, tasks: int, content: str = f'"data": [{IMAGE}]') -> AsyncIterator[Rig]:
    """A run over a gateway whose answers have such a usage."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=f'{{{content}, "usage": {json.dumps(usage)}}}', content_type="application/json")

    plan = small_plan(folder, [f"a mug {n}"[:5] for n in range(tasks)], [SIZE], Limits(concurrency=4, budget=BUDGET))
    async with served(answer) as base, rig(folder, a_contract(base), plan) as run:
        await run.runner.run()
        yield run


def a_contract(base: str) -> Contract:
    return replace(_PRICES, base_url=base)


@pytest.mark.parametrize("lie", LIES)
async def test_bill_that_nobody_can_believe_is_unknown_at_what_was_reserved_and_stops_the_route(
    tmp_path: Path, lie: str
) -> None:
    async with run_of(tmp_path, LIES[lie], 12) as run:
        calls = run.job_run.tally.calls
        assert 1 <= calls <= 8  # those in flight when the first answer came, and in its booking
        assert run.charges() | {"void": 0} == {"unknown": calls, "void": 0}  # void: taken back before they were sent
        assert run.query("SELECT billed, unknown, reserved FROM job") == [(0, calls * UPPER, 0)]
        assert run.states() == {"completed": calls, "available": 12 - calls}
        assert "the gateway claims" in (run.job_run.stopped or "")
        assert "booked as maybe charged" in (run.job_run.stopped or "")
        told = run.query("SELECT detail FROM attempt WHERE charge = 'unknown'")
        assert all("the gateway claims" in detail for (detail,) in told)
    async with run_of(tmp_path, TRUE, 12) as again:  # the budget is not used up by a word
        assert again.states() == {"completed": 12}
        assert again.job_run.stopped is None


@pytest.mark.parametrize("usage", NONE)
async def test_usage_that_says_nothing_is_booked_at_the_most_the_call_can_have_cost(tmp_path: Path, usage: str) -> None:
    async with run_of(tmp_path, NONE[usage], 3) as run:
        assert run.states() == {"completed": 3}
        assert run.query("SELECT DISTINCT charge, billed FROM attempt") == [("billed", UPPER)]
        assert run.job_run.stopped is None


async def test_bill_slightly_above_its_reservation_is_booked_as_told_and_stops_the_route(tmp_path: Path) -> None:
    output = UPPER // PER_TOKEN * 11 // 10
    async with run_of(tmp_path, tokens(output), 12) as run:
        calls = run.job_run.tally.calls
        assert run.charges() | {"void": 0} == {"billed": calls, "void": 0}
        assert run.query("SELECT billed, unknown FROM job") == [(calls * (output * PER_TOKEN + 50), 0)]
        assert "is not what its contract says" in (run.job_run.stopped or "")


@pytest.mark.parametrize("content", ['"data": [{"b64_json": "bm8="}]', '"data": [], "message": "no"', '"data": []'])
async def test_lie_beside_an_answer_without_an_image_is_one_as_well(tmp_path: Path, content: str) -> None:
    async with run_of(tmp_path, LIES["a fortune"], 12, content) as run:
        billed, unknown = run.query("SELECT billed, unknown FROM job")[0]
        assert billed + unknown <= run.job_run.tally.calls * UPPER
        assert run.job_run.tally.calls <= 4


async def test_lie_of_an_answer_that_is_taken_up_after_a_crash_is_one_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process died between the answer and its booking."""

    async def die(*_: object) -> None:
        raise RuntimeError("dead")

    with monkeypatch.context() as dying:
        dying.setattr(Ledger, "book_and_settle", die)
        with pytest.raises(RuntimeError, match="dead"):
            async with run_of(tmp_path, LIES["a fortune"], 1):
                pass
    plan = small_plan(tmp_path, ["a mug"], [SIZE], Limits(concurrency=4, budget=BUDGET))
    async with rig(tmp_path, a_contract("http://127.0.0.1:1/v1"), plan, record=False) as run:
        await run.recover()
        assert run.states() == {"completed": 1}
        assert run.query("SELECT billed, unknown, reserved FROM job") == [(0, UPPER, 0)]
        assert "the gateway claims" in (run.route.stopped or "")


class Fortune(Api):
    """A Batch API whose answers claim a fortune."""

    def output(self, number: int, custom_ids: list[str]) -> bytes:
        return b"".join(good(custom_id, tokens(900_000_000)) for custom_id in custom_ids)  # type: ignore[arg-type]


async def test_lie_in_a_file_of_batch_answers_is_one_as_well(tmp_path: Path) -> None:
    async with batch_rig(tmp_path, Fortune(), 6) as run:
        await run.runner.run()
        (reserved,) = run.rig.query("SELECT DISTINCT reserved FROM attempt")
        assert run.rig.query("SELECT billed, unknown, reserved FROM job") == [(0, 6 * reserved[0], 0)]
        assert "the gateway claims" in (run.runner.job_run.stopped or "")
