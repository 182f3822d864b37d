"""A batch job on a rig, with a Batch API made of Python: what the gateway says and does is a test's own."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from PIL import Image

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.batch_files import RemoteBatch
from batchgen.domain.clock import SystemClock
from batchgen.domain.job import Limits
from batchgen.domain.wire import Answer
from batchgen.engine.batch.batch_runner import BatchRunner
from batchgen.engine.batch.steps import BatchSteps
from batchgen.engine.hand import Hand
from batchgen.engine.local_batches import BatchFiles
from batchgen.engine.local_hand import LocalHand
from batchgen.gateway.batch.api import BatchApi
from batchgen.gateway.batch.lines import BatchLines
from batchgen.gateway.scan import Sink
from tests.support.rig import Rig, rig, small_plan

USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
    "output_tokens": 196,
    "total_tokens": 206,
}


def _picture() -> str:
    out = io.BytesIO()
    Image.new("RGB", (1024, 1024), "red").save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()


PICTURE = _picture()


def line(custom_id: str, status: int, body: dict[str, Any]) -> bytes:
    """One line of an output file."""
    response = {"status_code": status, "request_id": "q", "body": body}
    return json.dumps({"id": "r", "custom_id": custom_id, "error": None, "response": response}).encode() + b"\n"


def good(custom_id: str, usage: dict[str, Any] = USAGE) -> bytes:
    """A line with a picture."""
    return line(custom_id, 200, {"created": 1, "data": [{"b64_json": PICTURE}], "usage": usage})


class Api:
    """Works every batch off at once. Tests override what goes wrong; `made` is what was handed in, by token."""

    def __init__(self) -> None:
        self.made: list[tuple[str, list[str]]] = []
        self._files: dict[str, list[str]] = {}

    def lines(self, sink: Callable[[str, int], Sink | None]) -> BatchLines:
        return BatchLines(sink)

    def clean(self, answer: Answer) -> Answer:
        return answer

    async def upload(self, file: Path, size: int) -> str:
        assert file.stat().st_size == size
        self._files["up"] = [json.loads(text)["custom_id"] for text in file.read_text(encoding="utf-8").splitlines()]
        return "up"

    async def create(self, file: str, endpoint: str, token: str) -> RemoteBatch:
        assert endpoint == "/v1/images/generations"
        self.made.append((token, self._files[file]))
        return self._remote(len(self.made) - 1)

    async def find(self, token: str, since: float) -> RemoteBatch | None:
        assert since > 0
        return next((self._remote(number) for number, (made, _) in enumerate(self.made) if made == token), None)

    async def get(self, remote: str) -> RemoteBatch:
        return self._remote(int(remote[1:]))

    async def content(self, file: str) -> AsyncIterator[bytes]:
        number = int(file[1:])
        yield self.output(number, self.made[number][1])

    def output(self, number: int, custom_ids: list[str]) -> bytes:
        """The output file of the batch with this number."""
        assert number >= 0
        return b"".join(map(good, custom_ids))

    def _remote(self, number: int) -> RemoteBatch:
        return RemoteBatch(f"b{number}", "completed", f"o{number}", "", 0, 0, 0, "")


@dataclass
class BatchRig:
    """A rig whose job is bought by batches."""

    rig: Rig
    runner: BatchRunner
    batches: BatchSteps

    async def open(self, most: int = 100) -> None:
        """Write a batch of what waits down, without handing it in."""
        claims = await self.rig.ledger.claim(self.rig.job, most, SystemClock().now(), (), None)
        key = self.batches.gate.next_key(())
        assert key is not None
        assert await self.batches.open(claims, key)


@asynccontextmanager
async def batch_rig(
    folder: Path, api: Api, tasks: int, *, through: Callable[[LocalHand], Hand] = lambda hand: hand
) -> AsyncIterator[BatchRig]:
    """So many tasks of one small size."""
    contract, limits = load_catalog().resolve({"use": "openai/gpt-image-2", "endpoint": "batch"}), Limits()
    plan = small_plan(folder, [f"thing {number}" for number in range(tasks)], ["1024x1024"], limits)
    parameters = replace(plan.job.parameters, quality="low")
    plan.job = replace(plan.job, route=contract.route, model=contract.model, parameters=parameters)
    async with rig(folder, contract, plan, through=through) as run:
        files = BatchFiles(cast(BatchApi, api), run.spool, SystemClock())
        run.hand.gateways[contract.route] = replace(run.gateway, batches={contract.key_env: files})
        runner = BatchRunner(run.executor)
        yield BatchRig(run, runner, runner.batches)
