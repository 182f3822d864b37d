"""Files and batches of the simulated OpenAI: their life, their price, and what a killed simulator leaves."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from openai.types import Batch, FileDeleted, FileObject
from PIL import Image

from batchgen.domain.clock import SystemClock
from batchgen.simulator.batch.store import FinishedLine, StoredBatch
from batchgen.simulator.faults import Options
from batchgen.simulator.serve import start
from tests.integration import test_simulator
from tests.integration.test_simulator import OFFICIAL, RELAY, until
from tests.integration.test_simulator_edits import data_url, picture

bench = test_simulator.bench
PROMPTLY = "batch_seconds=0"
FULL = 196 * 30 + 2 * 5  # micro-dollars of a call for a low 1024x1024 with two text tokens
HALF = FULL // 2
OVER = {"completed", "failed", "expired", "cancelled"}


class Moved(SystemClock):
    """A clock that moves when a test says so."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return 1_800_000_000.0 + self.ahead

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Sleep from the call on: were it from the first step, a move in between would be slept again."""
        return self._until(self.ahead + seconds)

    async def _until(self, end: float) -> None:
        while self.ahead < end - 1e-6:
            await asyncio.sleep(0.002)

    async def advance(self, seconds: float) -> None:
        self.ahead += seconds


def line(custom_id, prompt="A mug!", url="/v1/images/generations", **more):
    body = {"model": "gpt-image-2", "prompt": prompt, "size": "1024x1024", "quality": "low", **more}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


async def upload(gateway, lines, purpose="batch"):
    text = lines if isinstance(lines, bytes) else b"".join(json.dumps(each).encode() + b"\n" for each in lines)
    return await gateway.call("POST", "files", form=[("purpose", purpose), ("file", ("in.jsonl", text))])


async def create(gateway, lines, endpoint="/v1/images/generations", **more):
    kept = await upload(gateway, lines)
    body = {"input_file_id": kept.json["id"], "endpoint": endpoint, "completion_window": "24h", **more}
    return await gateway.call("POST", "batches", json=body)


async def retrieve(gateway, batch_id):
    return Batch.model_validate((await gateway.call("GET", f"batches/{batch_id}")).json)


async def finished(gateway, batch_id):
    for _ in range(20_000):
        batch = await retrieve(gateway, batch_id)
        if batch.status in OVER:
            return batch
        await asyncio.sleep(0.005)
    pytest.fail("the batch does not end")


async def done(gateway, lines, *args, **more):
    return await finished(gateway, (await create(gateway, lines, *args, **more)).json["id"])


async def content(gateway, file_id):
    answer = await gateway.call("GET", f"files/{file_id}/content")
    return [json.loads(text) for text in answer.body.splitlines()]


# --- files ---


async def test_file_is_kept_described_served_and_deleted(bench):
    gateway = await bench(OFFICIAL)
    data = os.urandom(3_000_000)
    kept = FileObject.model_validate((await upload(gateway, data)).json)
    assert (kept.bytes, kept.filename, kept.purpose, kept.status) == (len(data), "in.jsonl", "batch", "processed")
    assert kept.expires_at - kept.created_at == 30 * 86_400
    assert (await gateway.call("GET", f"files/{kept.id}")).json == kept.model_dump()
    assert (await gateway.call("GET", f"files/{kept.id}/content")).body == data
    assert FileDeleted.model_validate((await gateway.call("DELETE", f"files/{kept.id}")).json).deleted
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert (await gateway.call(method, f"files/{kept.id}{path}")).status == 404


async def test_file_needs_a_key_a_purpose_and_content(bench):
    gateway = await bench(OFFICIAL)
    assert (await gateway.call("POST", "files", {}, form=[("purpose", "batch"), ("file", b"x")])).status == 401
    assert (await gateway.call("POST", "files", form=[("purpose", "fun"), ("file", b"x")])).error["param"] == "purpose"
    assert (await gateway.call("POST", "files", form=[("purpose", "batch")])).error["param"] == "file"
    assert (await gateway.call("GET", "files/..%2Fport")).status == 404


# --- the life of a batch ---


async def test_batch_is_done_at_half_price_with_a_bill_line_each(bench):
    gateway = await bench(OFFICIAL, PROMPTLY)
    names = [f"sku-{number}" for number in range(12)]
    created = (await create(gateway, [line(name, f"mug {name}") for name in names], metadata={"job": "7"})).json
    assert (created["status"], created["request_counts"]["total"]) == ("validating", 0)
    batch = await finished(gateway, created["id"])
    assert (batch.status, batch.metadata, batch.endpoint) == ("completed", {"job": "7"}, "/v1/images/generations")
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (12, 12, 0)
    assert batch.error_file_id is None
    assert batch.expires_at - batch.created_at == 86_400
    records = await content(gateway, batch.output_file_id)
    assert sorted(record["custom_id"] for record in records) == sorted(names)
    assert [record["custom_id"] for record in records] != names, "no order is promised"
    bills = {each.request_id: each for each in gateway.lines}
    assert len(bills) == 12
    for record in records:
        response, billed = record["response"], bills[record["response"]["request_id"]]
        assert (response["status_code"], record["error"]) == (200, None)
        usage = response["body"]["usage"]
        assert billed.charged == -(-(usage["output_tokens"] * 30 + usage["input_tokens"] * 5) // 2)
        assert (billed.batch, billed.kind) == (batch.id, "delivered")
        file = base64.b64decode(response["body"]["data"][0]["b64_json"])
        assert Image.open(io.BytesIO(file)).size == (1024, 1024)
    assert batch.usage.output_tokens == 12 * 196
    assert (await gateway.get("/_sim/stats")).json["batches"] == 1


async def test_call_that_is_no_batch_keeps_its_full_price(bench):
    gateway = await bench(OFFICIAL, PROMPTLY, "pictures=plain")
    await done(gateway, [line("a")])
    await gateway.ask("A mug!", size="1024x1024", quality="low")
    assert [each.charged for each in gateway.lines] == [HALF, FULL]


async def test_edits_and_responses_can_be_batched(bench):
    gateway = await bench(OFFICIAL, PROMPTLY, "pictures=plain")
    file = data_url(picture((2048, 2048)))
    edits = line("a", url="/v1/images/edits", images=[{"image_url": file}, {"image_url": "https://example.com/a.png"}])
    batch = await done(gateway, [edits], "/v1/images/edits")
    (record,) = await content(gateway, batch.output_file_id)
    assert record["response"]["body"]["usage"]["input_tokens_details"]["image_tokens"] == 1521 + 1024
    tool = {"type": "image_generation", "quality": "low", "size": "1024x1024"}
    talk = {"model": "gpt-6-astra", "input": "A mug!", "tools": [tool], "store": False}
    batch = await done(gateway, [{**line("b", url="/v1/responses"), "body": talk}], "/v1/responses")
    (record,) = await content(gateway, batch.output_file_id)
    assert record["response"]["body"]["output"][0]["type"] == "image_generation_call"
    assert gateway.last.charged == HALF


async def test_lines_that_fail_go_to_the_error_file(bench):
    gateway = await bench(OFFICIAL, PROMPTLY)
    lines = [line("good"), line("size", size="10x10"), line("model", model="gpt-9"), line("no", "a forbidden mug")]
    batch = await done(gateway, [*lines, line("drop", "[[sim:drop]]"), line("url", "[[sim:url]]")])
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 4)
    failed = {record["custom_id"]: record for record in await content(gateway, batch.error_file_id)}
    assert {name: record["response"]["status_code"] for name, record in failed.items()} == {
        "size": 400,
        "model": 404,
        "no": 400,
        "drop": 500,
    }
    assert failed["no"]["response"]["body"]["error"]["code"] == "moderation_blocked"
    assert failed["no"]["error"] is None
    assert Counter(each.charged > 0 for each in gateway.lines) == {True: 2, False: 4}


async def test_faults_hit_lines_by_probability(bench):
    gateway = await bench(OFFICIAL, PROMPTLY, "pictures=plain", "p_500=0.5", "rate=0.001", "concurrency=1")
    batch = await done(gateway, [line(str(number), f"mug {number}") for number in range(60)])
    assert 15 < batch.request_counts.failed < 45
    assert {each.kind for each in gateway.lines} == {"delivered", "server_error"}


async def test_time_decides_how_far_a_batch_is(bench):
    clock = Moved()
    gateway = await bench(OFFICIAL, "speed=10", "batch_seconds=1000", "pictures=plain", clock=clock)
    batch_id = (await create(gateway, [line(str(number)) for number in range(4)])).json["id"]
    expected = {
        1: ("validating", 0),
        2: ("in_progress", 0),
        50: ("in_progress", 2),
        96: ("finalizing", 4),
        100: ("completed", 4),
    }
    for at, (status, done) in expected.items():
        await clock.advance(at - clock.ahead)
        await until(lambda done=done: len(gateway.lines) == done)
        for _ in range(2_000):  # a thread puts the batch's files together
            batch = await retrieve(gateway, batch_id)
            if batch.status == status:
                break
        assert (batch.status, batch.request_counts.completed) == (status, done)
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at


async def test_batch_that_is_cancelled_keeps_what_is_done(bench):
    clock = Moved()
    gateway = await bench(OFFICIAL, "batch_seconds=100", "pictures=plain", clock=clock)
    batch_id = (await create(gateway, [line(str(number)) for number in range(4)])).json["id"]
    await clock.advance(2)
    await until(lambda: gateway.running._worker.store.find(batch_id).facts["status"] == "in_progress")
    await clock.advance(48)
    await until(lambda: len(gateway.lines) == 2)
    answer = await gateway.call("POST", f"batches/{batch_id}/cancel")
    assert answer.json["status"] == "cancelling"
    batch = await finished(gateway, batch_id)
    assert (batch.status, batch.request_counts.completed) == ("cancelled", 2)
    assert len(await content(gateway, batch.output_file_id)) == 2
    assert (await gateway.call("POST", f"batches/{batch_id}/cancel")).status == 409


async def test_batch_that_takes_over_a_day_expires_and_says_which_lines_were_not_done(bench):
    gateway = await bench(OFFICIAL, "batch_seconds=172800", "speed=1e9", "pictures=plain")
    batch = await done(gateway, [line(str(number)) for number in range(4)])
    assert (batch.status, batch.request_counts.completed, batch.request_counts.total) == ("expired", 2, 4)
    assert len(await content(gateway, batch.output_file_id)) == 2
    left = await content(gateway, batch.error_file_id)
    assert [(record["response"], record["error"]["code"]) for record in left] == [(None, "batch_expired")] * 2


async def test_output_expires_when_asked(bench):
    clock = Moved()
    gateway = await bench(OFFICIAL, PROMPTLY, "pictures=plain", clock=clock)
    keep = {"anchor": "created_at", "seconds": 3600}
    batch = await done(gateway, [line("a")], output_expires_after=keep)
    assert len(await content(gateway, batch.output_file_id)) == 1
    await clock.advance(3600)
    assert (await gateway.call("GET", f"files/{batch.output_file_id}/content")).status == 404


# --- what is refused ---


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        (b"", "empty_file", None),
        (b"{\n", "invalid_json_line", 1),
        ([line("a"), line("b"), line("a")], "duplicate_custom_id", 3),
        ([line("a", url="/v1/images/edits")], "mismatched_url", 1),
        ([{**line("a"), "method": "GET"}], "invalid_method", 1),
        ([{**line("a"), "body": 7}], "missing_required_parameter", 1),
        ([{**line("a"), "custom_id": None}], "missing_required_parameter", 1),
    ],
    ids=range(7),
)
async def test_file_that_is_no_batch_fails_whole_and_costs_nothing(bench, lines, code, number):
    gateway = await bench(OFFICIAL, PROMPTLY)
    batch = await done(gateway, lines)
    assert (batch.status, batch.errors.data[0].code, batch.errors.data[0].line) == ("failed", code, number)
    assert batch.failed_at
    assert gateway.lines == []


async def test_more_lines_than_a_batch_takes_fail_it(bench):
    gateway = await bench(OFFICIAL, PROMPTLY)
    lines = b"".join(json.dumps(line(str(number))).encode() + b"\n" for number in range(50_001))
    batch = await done(gateway, lines)
    assert (batch.status, batch.errors.data[0].code) == ("failed", "too_many_requests")


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"endpoint": "/v1/chat/completions"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"input_file_id": "file-000000000000"}, "input_file_id"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, "output_expires_after"),
    ],
    ids=range(6),
)
async def test_batch_that_is_asked_for_wrongly_is_a_400(bench, more, param):
    gateway = await bench(OFFICIAL)
    kept = await upload(gateway, [line("a")])
    body = {"input_file_id": kept.json["id"], "endpoint": "/v1/images/generations", "completion_window": "24h"}
    answer = await gateway.call("POST", "batches", json={**body, **more})
    assert (answer.status, answer.error["param"]) == (400, param)
    assert (await gateway.get("/_sim/stats")).json["batches"] == 0


async def test_batches_are_listed_newest_first_page_by_page_and_the_same_one_twice_is_seen(bench):
    gateway = await bench(OFFICIAL, PROMPTLY, "pictures=plain")
    ids = [(await done(gateway, [line("a")])).id for _ in range(5)]
    first = (await gateway.call("GET", "batches?limit=3")).json
    assert ([each["id"] for each in first["data"]], first["has_more"]) == (ids[:1:-1], True)
    rest = (await gateway.call("GET", f"batches?limit=3&after={first['last_id']}")).json
    assert ([each["id"] for each in rest["data"]], rest["has_more"]) == (ids[1::-1], False)
    stats = (await gateway.get("/_sim/stats")).json
    assert (stats["batches"], stats["paid"]) == (5, 5)
    assert (await gateway.get("/_sim/bill")).json["totals"]["repeated"] == 4
    assert (await gateway.call("GET", "batches/batch_0")).status == 404
    assert (await gateway.call("GET", "batches?limit=0")).status == 400


async def test_route_without_batches_has_neither_files_nor_batches(bench):
    gateway = await bench(RELAY)
    assert (await upload(gateway, [line("a")])).status == 404
    assert (await gateway.call("GET", "batches")).status == 404


# --- after an end ---


async def test_batch_goes_on_after_a_restart_and_pays_each_line_once(bench):
    clock = Moved()
    gateway = await bench(OFFICIAL, "batch_seconds=100", "pictures=plain", clock=clock)
    names = [str(number) for number in range(6)]
    batch_id = (await create(gateway, [line(name, f"mug {name}") for name in names])).json["id"]
    await clock.advance(2)
    await until(lambda: gateway.running._worker.store.find(batch_id).facts["status"] == "in_progress")
    await clock.advance(48)
    await until(lambda: len(gateway.lines) == 3)
    await gateway.running.close()
    later = await bench(OFFICIAL, PROMPTLY, "pictures=plain")
    batch = await finished(later, batch_id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 6)
    assert sorted(record["custom_id"] for record in await content(later, batch.output_file_id)) == names
    assert len(later.lines) == 6
    await later.running.close()
    again = await bench(OFFICIAL, PROMPTLY)
    assert await finished(again, batch_id) == batch
    assert len(again.lines) == 6
    assert (await again.get("/_sim/stats")).json["batches"] == 1


def test_line_that_was_recorded_but_not_billed_is_undone(tmp_path):
    facts = {"id": "batch_1", "status": "in_progress", "request_counts": {"total": 3, "completed": 0, "failed": 0}}
    stored = StoredBatch(tmp_path, facts, "r", "k", "h", 1)
    for name, failed in (("a", False), ("b", True), ("c", False)):
        stored.add(FinishedLine(name, f"req_{name}", failed), [b"record of ", name.encode(), b"\n"])
    with (tmp_path / "batch_1.done").open("ab") as file:
        file.write(b"half a rec")
    with (tmp_path / "batch_1.index").open("ab") as file:
        file.write(b'{"custom')
    stored.recover({"req_a", "req_b"})
    assert [entry.custom_id for entry in stored.finished_lines] == ["a", "b"]
    assert stored.facts["request_counts"] == {"total": 3, "completed": 1, "failed": 1}
    stored.add(FinishedLine("c", "req_d", failed=False), [b"again\n"])
    texts = []
    for failed in (False, True):
        out = io.BytesIO()
        stored.write_records(out, 0, failed=failed)
        texts.append(sorted(out.getvalue().splitlines()))
    assert texts == [[b"again", b"record of a"], [b"record of b"]]


async def test_simulator_without_a_folder_keeps_batches_until_it_ends(tmp_path):
    running = await start([test_simulator.CATALOG.find(OFFICIAL)], Options.parse([PROMPTLY]), tmp_path / "bill.jsonl")
    folder = running.state.files.folder
    assert folder.is_dir()
    await running.close()
    assert not folder.exists()
