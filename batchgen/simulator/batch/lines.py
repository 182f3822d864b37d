"""The lines of a batch: what makes a file no batch, and how one line is worked on."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchgen.simulator.batch.store import FinishedLine, StoredBatch
from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.calls import fulfil, with_image_request
from batchgen.simulator.endpoints import ENDPOINTS
from batchgen.simulator.endpoints.answers import compact
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.payload import Payload
from batchgen.simulator.state import IncomingCall, ServedRoute, SimulatorState

_MOST_LINES = 50_000  # of a batch (batch reference)
_MOST_PROBLEMS = 50


@dataclass(frozen=True, slots=True)
class FileCheck:
    """A batch's file, read once: how many lines it has, and what is wrong with them, as the API says it."""

    total: int
    problems: list[dict[str, Any]]


def check(path: Path, endpoint: str) -> FileCheck:
    """Read a batch's file as OpenAI validates it. Blocking."""
    problems: list[dict[str, Any]] = []
    seen: set[str] = set()
    total = 0
    for number, line in numbered(path):
        total += 1
        problem = _problem(line, endpoint, seen)
        if problem is not None and len(problems) < _MOST_PROBLEMS:
            code, message, param = problem
            problems.append({"code": code, "message": message, "param": param, "line": number})
    if total > _MOST_LINES:
        message = f"The batch input file contains {total} requests; the maximum is {_MOST_LINES}."
        problems.append({"code": "too_many_requests", "message": message, "param": None, "line": None})
    if not total:
        message = "The batch input file is empty."
        problems.append({"code": "empty_file", "message": message, "param": None, "line": None})
    return FileCheck(total, problems)


def numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that hold something, with their numbers from 1."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, line


def _problem(line: bytes, endpoint: str, seen: set[str]) -> tuple[str, str, str | None] | None:
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        return "invalid_json_line", "This line is not parseable as valid JSON.", None
    custom_id = request.get("custom_id")
    if not isinstance(custom_id, str) or not custom_id:
        return "missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id"
    if custom_id in seen:
        return "duplicate_custom_id", f"The custom_id '{custom_id[:100]}' is used more than once.", "custom_id"
    seen.add(custom_id)
    if request.get("method") != "POST":
        return "invalid_method", "The method must be POST.", "method"
    if request.get("url") != endpoint:
        return "mismatched_url", f"The URL does not match the batch's endpoint {endpoint}.", "url"
    if not isinstance(request.get("body"), dict):
        return "missing_required_parameter", "Missing required parameter: 'body'.", "body"
    return None


def at_batch_price(route: ServedRoute) -> ServedRoute:
    """Make the route that lines of a batch see: cheaper, and without the limits of its calls."""
    contract = route.contract
    return ServedRoute(replace(contract, multiplier=contract.multiplier * contract.batch_multiplier), route.prefix)


async def work_on(state: SimulatorState, route: ServedRoute, stored: StoredBatch, line: bytes) -> None:
    """Do one line: judged and billed as a call is, its record kept before it is billed."""
    request = json.loads(line)
    url = request["url"]
    payload = Payload(url, body=compact(request["body"]))
    endpoint = ENDPOINTS[url.removeprefix("/v1")]
    call = IncomingCall(
        route=route,
        endpoint=endpoint.name,
        replies=state.replies(route),
        options=replace(state.options_of(route.contract.route, stored.key), latency=0.0, rate=None, concurrency=None),
        key=stored.key,
        request=payload.digest,
        fault="",
        host=stored.host,
        batch=stored.id,
    )
    call = await with_image_request(state, call, endpoint, payload)

    async def keep(plan: CallPlan | None, reply: HttpReply) -> None:
        usage = plan.usage or {} if plan is not None and reply.status == 200 else {}
        finished = FinishedLine(
            custom_id=request["custom_id"],
            request_id=call.replies.request_id,
            failed=reply.status != 200,
            taken=usage.get("input_tokens", 0) + usage.get("main_input_tokens", 0),
            made=usage.get("output_tokens", 0) + usage.get("main_output_tokens", 0),
        )
        await asyncio.to_thread(stored.add, finished, _record(finished, reply))

    await fulfil(state, call, endpoint, keep)


def _record(finished: FinishedLine, reply: HttpReply) -> Iterator[bytes]:
    """Write a line of the output, or of the errors, in pieces."""
    head = {"id": f"batch_req_{secrets.token_hex(16)}", "custom_id": finished.custom_id}
    answer = {"status_code": reply.status, "request_id": finished.request_id}
    yield compact(head)[:-1] + b',"response":' + compact(answer)[:-1] + b',"body":'
    yield reply.body
    yield b'},"error":null}\n'


def unfinished(custom_id: str) -> bytes:
    """Write the line of a request that had no time left."""
    message = "This request could not be executed before the completion window expired."
    error = {"code": "batch_expired", "message": message}
    head = {"id": f"batch_req_{secrets.token_hex(16)}", "custom_id": custom_id, "response": None, "error": error}
    return compact(head) + b"\n"
