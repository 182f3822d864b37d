"""A new endpoint is facts, a codec and a simulated double, each in its table: nothing else has to know it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import Contract
from batchgen.contracts.endpoints import ENDPOINTS, EndpointFacts, Operation
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import ContractError
from batchgen.domain.job import Limits
from batchgen.domain.model import Claim
from batchgen.domain.wire import PreparedInputs
from batchgen.gateway.client import Client
from batchgen.gateway.echo import SentRequest
from batchgen.gateway.endpoints import CODECS
from batchgen.gateway.endpoints.codec import Body, Codec, Reply
from batchgen.gateway.endpoints.message import FoundImages
from batchgen.gateway.endpoints.reply_fields import Json, error_of, mark_of
from batchgen.gateway.json_body import json_pieces
from batchgen.gateway.request import build_call
from batchgen.simulator import endpoints as simulated
from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.endpoints.answers import filled, slot
from batchgen.simulator.endpoints.endpoint import EncodedPicture
from batchgen.simulator.faults import Options
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.payload import Payload
from batchgen.simulator.references import FileOf
from batchgen.simulator.request_validation import parse_body
from batchgen.simulator.serve import start
from batchgen.simulator.state import IncomingCall
from tests.support.gateway import NO_INPUTS, a_call, a_claim
from tests.support.rig import rig, small_plan
from tests.support.sockets import MemorySink

SKETCHES = Operation("sketches", "/sketches/new")
CONTRACTS = """
provider: toy
contracts:
  sketcher: {extends: apiyi/gpt-image-2-vip, endpoints: [sketch], sizes: none, price: 0.01}
"""


class SketchCodec(Codec):
    """`{"wish": …}` is answered by `{"drawing": {"pixels": …}}`."""

    operation = "sketches"
    picture_keys = ("pixels",)

    def body(self, claim: Claim, contract: Contract, _inputs: PreparedInputs) -> Body:
        return Body(json_pieces({"wish": claim.text, "by": contract.model}))

    def read_object(self, document: Json, _sent: SentRequest, _seen: FoundImages, /) -> Reply:
        mark = mark_of((document.get("drawing") or {}).get("pixels"))
        error, wait = error_of(document, has_image=mark is not None)
        return Reply(marks=() if mark is None else (mark,), error=error, retry_after=wait)


class SimulatedSketches:
    """The other side of it."""

    name, path, in_contracts, in_batches = "sketches", SKETCHES.path, "sketch", False

    def read(self, call: IncomingCall, payload: Payload, _files: FileOf) -> ImageRequest:
        body = parse_body(payload.body, call.replies)
        return ImageRequest({"model": body["by"], "prompt": body["wish"]})

    def by_address(self, _call: IncomingCall, _plan: CallPlan) -> bool:
        return False

    def form(self, _call: IncomingCall, _plan: CallPlan) -> str:
        return "raw"

    def reply(self, _call: IncomingCall, _plan: CallPlan, pictures: list[EncodedPicture], created: int) -> HttpReply:
        return HttpReply(200, filled({"at": created, "drawing": {"pixels": slot(0)}}, [pictures[0].text]))

    def without_picture(self, _call: IncomingCall, _plan: CallPlan, _created: int) -> HttpReply | None:
        return None


@pytest.fixture
def sketcher(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Contract:
    """The contract of a route that serves the new endpoint alone, which stands in the three tables."""
    monkeypatch.setitem(ENDPOINTS, "sketch", EndpointFacts("sketch", SKETCHES, SKETCHES, takes_mask=False))
    monkeypatch.setitem(CODECS, "sketches", SketchCodec())
    monkeypatch.setitem(simulated.ENDPOINTS, SKETCHES.path, SimulatedSketches())
    (tmp_path / "toy.yaml").write_text(CONTRACTS, encoding="utf-8")
    return load_catalog(tmp_path / "toy.yaml").find("toy/sketcher")


async def test_call_over_a_new_endpoint_is_sent_and_its_picture_read(sketcher: Contract, tmp_path: Path) -> None:
    running = await start([sketcher], Options.parse(["latency=0"]), tmp_path / "bill.jsonl")
    try:
        route = replace(sketcher, base_url=running.base_url(sketcher.route), keys=("K",))
        call = build_call(1, a_claim(text="a mug"), route, NO_INPUTS)
        sink = MemorySink(0)
        async with Client(clock=SystemClock(), key=lambda _name: "sk-toy") as client:
            answer = await client.send(call, lambda _index: sink)
    finally:
        await running.close()
    assert (call.operation, call.url) == ("sketches", f"{route.base_url}/sketches/new")
    assert (answer.status, len(answer.pictures), answer.error) == (200, 1, None)
    assert bytes(sink.data).startswith(b"\x89PNG")


async def test_job_over_a_new_endpoint_is_bought_and_booked(sketcher: Contract, tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug", "a cup"], ["auto"], Limits())
    plan.job = replace(plan.job, route=sketcher.route, model=sketcher.model)
    running = await start([sketcher], Options.parse(["latency=0", "pictures=plain"]), tmp_path / "bill.jsonl")
    try:
        at = replace(sketcher, base_url=running.base_url(sketcher.route), keys=("K",))
        async with rig(tmp_path, at, plan) as run:
            await run.runner.run()
            assert run.states() == {"completed": 2}
            assert run.query("SELECT DISTINCT endpoint FROM attempt") == [("sketches",)]
            assert run.query("SELECT billed FROM job") == [(20_000,)]
    finally:
        await running.close()


def test_contract_names_no_endpoint_that_is_not_in_the_table(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(CONTRACTS, encoding="utf-8")
    with pytest.raises(ContractError, match="endpoints: knows images, chat, responses, batch, not sketch"):
        load_catalog(tmp_path / "toy.yaml").find("toy/sketcher")


async def test_nothing_is_sent_where_nobody_reads_the_answer(
    sketcher: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(CODECS, "sketches")
    with pytest.raises(ContractError, match="nobody reads the answers of sketches"):
        build_call(1, a_claim(), sketcher, NO_INPUTS)
    made: list[int] = []

    def sink(index: int) -> MemorySink:
        made.append(index)
        return MemorySink(index)

    async with Client(clock=SystemClock(), key=lambda _name: "") as client:
        with pytest.raises(ContractError, match="nobody reads the answers of sketches"):
            await client.send(a_call("http://127.0.0.1:1/v1", b"{}", endpoint="sketches"), sink)
    assert made == []


def operations() -> list[Any]:
    return [(facts, each) for facts in ENDPOINTS.values() for each in (facts.plain, facts.edit)]


@pytest.mark.parametrize(("facts", "operation"), operations())
def test_every_operation_can_be_asked_read_and_simulated(facts: EndpointFacts, operation: Operation) -> None:
    assert facts.serves(operation.name)
    assert CODECS[operation.name].operation == operation.name
    double = simulated.ENDPOINTS[operation.path]
    assert double.in_batches if facts.in_batches else (double.name, double.in_contracts) == (operation.name, facts.name)


def test_every_codec_and_every_simulated_endpoint_belongs_to_a_contracts_endpoint() -> None:
    known = {each.name for _, each in operations()}
    assert set(CODECS) == known
    assert {each.name for each in simulated.ENDPOINTS.values()} <= known
