"""A run whose hand is as far away as a pickle goes: what passes are values, and everything works as beside it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from batchgen.contracts.contract import References
from batchgen.domain.errors import GatewayError, NoRoom, StoreError
from batchgen.domain.following import Following
from batchgen.domain.inputs import InputImage, Inputs, InputUse
from batchgen.domain.job import Limits
from batchgen.domain.wire import Picture
from batchgen.engine.salvage import Salvage
from batchgen.gateway.request import build_question
from batchgen.store.spool.sink import SpoolSink
from tests.support.batch import Api, batch_rig
from tests.support.gateway import a_call
from tests.support.mailed_hand import MailedHand, methods, posted
from tests.support.photos import encoded, picture, save
from tests.support.rig import place_nothing, rig, simulator, small_plan

SMALL = ["1:1@1K"]
TEXTS = [
    "a mug",
    "a cup [[sim:url]]",
    "a jug [[sim:bad-image]]",
    "a pot [[sim:cut]]",
    "a pan [[sim:refuse]]",
    "a tin [[sim:garbage]]",
]


def fails(*_: Any, **__: Any) -> Any:
    raise StoreError("the disk is away")


async def test_all_that_passes_between_a_run_and_its_hand_can_be_pickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands: list[MailedHand] = []
    await _buys_and_recovers(tmp_path / "calls", hands, monkeypatch)
    await _buys_by_batch(tmp_path / "batch", hands)
    await _follows(tmp_path / "followed", hands)
    await _looks_at_inputs(tmp_path / "inputs", hands)
    await _tells_of_its_folder(tmp_path / "calls", hands)
    assert methods() - set().union(*(each.asked for each in hands)) == set(), "nobody tried these"


async def _buys_and_recovers(folder: Path, hands: list[MailedHand], monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    plan, through = small_plan(folder, TEXTS, SMALL, Limits(attempts=2, unknown=0)), partial(posted, to=hands)
    async with simulator(folder) as contract:
        async with rig(folder, contract, plan, through=through) as run:
            place_nothing(run)
            run.hand.download = fails  # type: ignore[method-assign]
            run.job_run.drain = lambda _reason: None  # type: ignore[method-assign]
            await run.runner.run()
        async with rig(folder, contract, plan, record=False, through=through) as again:
            assert (await again.recover()).left == 0
            again.ledger.record(plan)
            await again.runner.run()
            assert again.states()["completed"] == 2
            again.spool.notes.append("a note")
            assert [await hands[-1].take_notes() for _ in range(2)] == [["a note"], []]
        await _cannot_keep_an_answer(folder, contract, hands, monkeypatch)


async def _cannot_keep_an_answer(
    folder: Path, contract: Any, hands: list[MailedHand], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise NoRoom("the disk is full")

    plan = small_plan(folder, [*TEXTS, "a new one"], SMALL, Limits())
    with monkeypatch.context() as patched:
        patched.setattr(SpoolSink, "write", full)
        async with rig(folder, contract, plan, through=partial(posted, to=hands)) as run:
            await run.runner.run()
            assert run.job_run.stopped == "the disk is full. One paid answer could not be kept"
    async with rig(folder, contract, plan, ballast=1 << 60, through=partial(posted, to=hands)):
        with pytest.raises(NoRoom):
            await hands[-1].check_room(1)


async def _buys_by_batch(folder: Path, hands: list[MailedHand]) -> None:
    class Late(Api):
        async def find(self, token: str, since: float) -> Any:
            raise GatewayError("/batches: HTTP 404 · not found", status=404)

    folder.mkdir()
    async with batch_rig(folder, Api(), 3, through=partial(posted, to=hands)) as run:
        await run.runner.run()
        assert run.rig.states() == {"completed": 3}
    (folder / "late").mkdir()
    async with batch_rig(folder / "late", Late(), 1, through=partial(posted, to=hands)) as run:
        await run.runner.run()
        assert run.runner.job_run.stopped == "/batches: HTTP 404 · not found"


async def _follows(folder: Path, hands: list[MailedHand]) -> None:
    folder.mkdir()
    plan, through = small_plan(folder, ["a mug [[sim:url]]"], SMALL, Limits()), partial(posted, to=hands)
    async with (
        simulator(folder, task=Following("/tasks/{id}", 0.01, 60.0, done=("done",), failed=("failed",))) as contract,
        rig(folder, contract, plan, through=through) as run,
    ):
        await run.runner.run()
        assert run.states() == {"completed": 1}
        assert await hands[-1].is_there(contract.route, build_question(contract, "K"))


async def _looks_at_inputs(folder: Path, hands: list[MailedHand]) -> None:
    folder.mkdir()
    save(folder / "a.jpg", encoded(picture()))
    async with (
        simulator(folder) as contract,
        rig(folder, contract, small_plan(folder, ["x"], SMALL, Limits()), through=partial(posted, to=hands)),
    ):
        hand, uses = hands[-1], [InputUse("a.jpg", frozenset({1})), InputUse("gone.jpg", frozenset({1}))]
        found = {looked.place: looked async for looked in hand.examine_inputs(uses, [], References())}
        assert found["gone.jpg"].wrong
        file = found["a.jpg"].file
        image = InputImage("a.jpg", file.sha256, file.width, file.height)
        assert (await hand.prepare(Inputs((image,)), References())).references[0].file.size
        changed = InputImage("a.jpg", "0" * 64, file.width, file.height)
        with pytest.raises(StoreError, match="has changed since the plan"):
            await hand.prepare(Inputs((changed,)), References())


async def _tells_of_kept_answers(hand: Any) -> None:
    for attempt in (kept := await hand.kept()):
        assert (await hand.read_kept(replace(a_call("https://x/v1", endpoint="generations"), attempt=attempt))).unread
        assert (await hand.place_kept(attempt, Picture(f"{attempt}-9.part", 1), "a", 1)).kept == f"{attempt}-9.part"
        await hand.forget_kept(attempt)
    assert kept
    assert await hand.kept() == set()


async def _tells_of_its_folder(folder: Path, hands: list[MailedHand]) -> None:
    """To a ledger that is there, and to nobody: an attempt without a receipt."""
    async with (
        simulator(folder) as contract,
        rig(
            folder,
            contract,
            small_plan(folder, TEXTS, SMALL, Limits()),
            record=False,
            through=partial(posted, to=hands),
        ) as run,
    ):
        hand: Any = hands[-1]
        await _tells_of_kept_answers(hand)
        (folder / "out/.batchgen/900-0.part").write_bytes(b"half")
        (folder / "out/.batchgen/901.json").write_bytes(b"none")
        with pytest.raises(ValueError, match="not a receipt"):
            await hand.origin(901)
        told = await Salvage(run.job, "job", hand, run.ledger).run(lambda _lines: None)
        assert (told.known, told.halves) == (2, 1)
