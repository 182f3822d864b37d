"""What gateways in the wild say while a job runs: the night goes on where it can, and stops where it must."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import Contract
from batchgen.domain.job import Limits
from tests.support.rig import rig, small_plan
from tests.support.sockets import served
from tests.support.store import png

SMALL = ["1280x1280"]
GOOD = {"data": [{"b64_json": base64.b64encode(png(1280, 1280, depth=1, colour=0)).decode()}]}
LIMIT = {"error": {"message": "Rate limit reached. Please try again in 15ms.", "code": "rate_limit_exceeded"}}
BAD_KEY = {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key", "retry_after": 0.02}}


@asynccontextmanager
async def gateway(answer: Callable[[int, str], tuple[int, object]]) -> AsyncIterator[Contract]:
    """A route whose gateway answers its calls, counted from 1, by number and prompt."""
    calls = 0

    async def serve(request: web.Request) -> web.Response:
        nonlocal calls
        prompt = (await request.json())["prompt"]
        calls += 1
        status, body = answer(calls, prompt)
        return web.json_response(body, status=status)

    async with served(serve) as base:
        yield replace(load_catalog().find("apiyi/gpt-image-2-vip"), base_url=base, keys=("K",))


async def test_error_that_quotes_a_prompt_about_money_fails_that_row_and_not_the_night(tmp_path: Path) -> None:
    def answer(_call: int, prompt: str) -> tuple[int, object]:
        if "balance" not in prompt:
            return 200, GOOD
        return 400, {"error": {"message": f"Invalid prompt: {prompt}", "code": "invalid_value"}}

    texts = ["a poster that says insufficient balance", "a mug", "a lamp"]
    async with (
        gateway(answer) as contract,
        rig(tmp_path, contract, small_plan(tmp_path, texts, SMALL, Limits())) as run,
    ):
        await run.runner.run()
        assert run.states() == {"completed": 2, "failed": 1}
        assert run.query("SELECT outcome, charge FROM attempt WHERE outcome != 'delivered'") == [("rejected", "void")]
        assert run.job_run.stopped is None


async def test_limit_inside_every_second_200_costs_no_task_and_no_dear_bill(tmp_path: Path) -> None:
    seen: set[str] = set()

    def answer(call: int, prompt: str) -> tuple[int, object]:
        again = prompt in seen or call % 2 == 0
        seen.add(prompt)
        return 200, GOOD if again else LIMIT

    plan = small_plan(tmp_path, [f"mug {n}" for n in range(6)], SMALL, Limits(concurrency=1, attempts=3))
    async with gateway(answer) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 6}
        assert run.query("SELECT DISTINCT outcome, charge FROM attempt ORDER BY 1") == [
            ("delivered", "billed"),
            ("throttled", "unknown"),
        ]


@pytest.mark.parametrize(("refusals", "stops"), [(1, False), (2, False), (3, True)])
async def test_refusals_of_a_proven_key_stop_the_lane_at_the_third_in_a_row(
    tmp_path: Path, refusals: int, stops: bool
) -> None:
    plan = small_plan(tmp_path, [f"mug {n}" for n in range(5)], SMALL, Limits(concurrency=1))
    refused = range(3, 3 + refusals)
    async with (
        gateway(lambda call, _: (401, BAD_KEY) if call in refused else (200, GOOD)) as contract,
        rig(tmp_path, contract, plan) as run,
    ):
        await run.runner.run()
        assert (run.job_run.stopped is not None) is stops
        assert run.states() == ({"completed": 2, "available": 3} if stops else {"completed": 5})
        assert run.query("SELECT count(*) FROM attempt WHERE outcome = 'unauthorized'") == [(refusals,)]


@pytest.mark.parametrize("status", [409, 425, 429, 529])
async def test_busy_gateway_uses_up_no_attempt(tmp_path: Path, status: int) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits(concurrency=1, attempts=1))
    busy = {"error": {"message": "Too many requests in progress, please retry later", "retry_after": 0.02}}
    async with (
        gateway(lambda call, _: (status, busy) if call < 3 else (200, GOOD)) as contract,
        rig(tmp_path, contract, plan) as run,
    ):
        await run.runner.run()
        assert run.states() == {"completed": 1}
        assert run.query("SELECT attempts FROM task") == [(1,)]
