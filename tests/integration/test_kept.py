"""Paid answers that nobody can read: kept durable before they are booked, and never bought again by themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchgen.domain.job import Limits
from batchgen.domain.lifecycle import TaskState
from batchgen.engine.recover_kept import KeptFate, KeptReader
from batchgen.engine.salvage import Salvage
from batchgen.store.output.index_lines import newest
from batchgen.store.spool import kept_answers
from batchgen.store.spool.receipt import read_receipt
from tests.support.batch import Api, batch_rig, line
from tests.support.rig import dies, rig, run_until_it_dies, small_plan
from tests.support.unread import PICTURE, STRANGE, gateway, good, kept, recognise_nothing

SMALL = ["1280x1280"]
TASK = {"code": 200, "data": [{"status": "submitted", "task_id": "task_7"}]}
GOOD = good()


async def test_answer_that_nobody_can_read_is_kept_and_named_and_its_task_is_parked(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with (
        gateway(lambda _: STRANGE) as contract,
        rig(tmp_path, contract, plan) as run,
    ):
        await run.runner.run()
        assert run.query("SELECT outcome, charge, billed FROM attempt") == [("unread", "billed", 30_000)]
        ((state, reason),) = run.query("SELECT state, reason FROM task")
        assert state == TaskState.PARKED
        assert "kept in .batchgen/kept/1.json" in reason
        assert "nobody knows" in reason
        receipt = read_receipt(kept(run)["1.json"])
        assert "nobody knows" in receipt.unread
        assert receipt.origin.key == "p0"
        await run.runner.run()
        assert run.query("SELECT count(*) FROM attempt") == [(1,)], "never by itself"
    assert [path.name for path in (tmp_path / "out/.batchgen").iterdir() if path.name[0].isdigit()] == []


async def test_kept_answer_outlives_the_sweep_of_the_next_start(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(lambda _: STRANGE) as contract:
        async with rig(tmp_path, contract, plan) as run:
            await run.runner.run()
            before = kept(run)
        async with rig(tmp_path, contract, plan, record=False) as run:
            await run.recover()
            assert kept(run) == before != {}


@pytest.mark.parametrize("moved", [0, 1, 2])
async def test_process_that_dies_while_it_keeps_an_answer_has_it_kept_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    """After none, some or all of its files have moved: the receipt and a picture that nobody recognised."""
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(lambda _: GOOD) as contract:
        with monkeypatch.context() as broken:
            real, renames = kept_answers.Folder.rename, 0

            def rename(*given: object) -> None:
                nonlocal renames
                if len(given) == 4:  # into another folder
                    if renames == moved:
                        dies()
                    renames += 1
                real(*given)  # type: ignore[arg-type]

            broken.setattr(kept_answers.Folder, "rename", rename)
            async with rig(tmp_path, contract, plan) as run:
                recognise_nothing(run)
                if moved == 2:
                    run.route.books.conclude = dies  # type: ignore[method-assign]
                await run_until_it_dies(run)
                assert run.charges() == {"reserved": 1}
        async with rig(tmp_path, contract, plan, record=False) as run:
            await run.recover()
            assert run.query("SELECT outcome, charge FROM attempt") == [("unread", "billed")]
            assert list(kept(run)) == ["1-0.part", "1.json"]
            assert kept(run)["1-0.part"] == PICTURE
            assert run.states() == {"parked": 1}


async def test_answer_is_kept_before_it_is_booked(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(lambda _: STRANGE) as contract, rig(tmp_path, contract, plan) as run:
        conclude = run.route.books.conclude

        async def looked(*given: object) -> object:
            assert list(kept(run)) == ["1.json"]
            return await conclude(*given)  # type: ignore[arg-type]

        run.route.books.conclude = looked  # type: ignore[method-assign, assignment]
        await run.runner.run()
        assert run.states() == {"parked": 1}


async def test_route_stops_after_a_few_unreadable_answers_before_its_first_image(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, [f"p {n}" for n in range(40)], SMALL, Limits(concurrency=1))
    async with gateway(lambda _: STRANGE) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"parked": 3, "available": 37}
        assert run.job_run.stopped is not None
        assert "picture_at" in run.job_run.stopped
        assert "batchgen recover" in run.job_run.stopped


async def test_route_that_has_brought_an_image_goes_on_beside_unreadable_answers(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, [f"p {n}" for n in range(8)], SMALL, Limits(concurrency=1))
    async with gateway(lambda call: GOOD if call == 1 else STRANGE) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 1, "parked": 7}
        assert run.job_run.stopped is None


@pytest.mark.parametrize(("body", "status", "said"), [(TASK, 200, "task task_7"), ({}, 202, "without the id")])
async def test_call_taken_in_for_later_stops_the_route_at_the_first_and_is_kept(
    tmp_path: Path, body: object, status: int, said: str
) -> None:
    plan = small_plan(tmp_path, [f"p {n}" for n in range(9)], SMALL, Limits(concurrency=1))
    async with gateway(lambda _: body, status=status) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.query("SELECT outcome, charge, billed FROM attempt") == [("accepted", "unknown", 30_000)]
        assert run.states() == {"parked": 1, "available": 8}
        ((reason,),) = run.query("SELECT reason FROM task WHERE state = 'parked'")
        assert said in reason
        assert "kept in .batchgen/kept/1.json" in reason
        assert json.loads(kept(run)["1.json"])["status"] == status
        assert run.job_run.stopped is not None
        assert "draws later" in run.job_run.stopped


async def test_route_stops_once_the_kept_answers_are_as_many_as_there_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_answers, "MOST_ANSWERS", 2)
    plan = small_plan(tmp_path, [f"p {n}" for n in range(9)], SMALL, Limits(concurrency=1))
    async with gateway(lambda call: GOOD if call == 1 else STRANGE) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        parked = run.states()["parked"]
        assert parked in {2, 3}, "a call may have left before the second was kept"
        assert len(kept(run)) == parked, "which is kept all the same"
        assert run.states()["available"] == 8 - parked
        assert run.job_run.stopped is not None
        assert "as many unreadable answers as it may" in run.job_run.stopped


async def test_nothing_is_written_over_in_the_folder_of_kept_answers(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    folder = plan.job.output / ".batchgen" / "kept"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("a stranger's")
    async with gateway(lambda _: STRANGE) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert kept(run)["1.json.2"] == b"a stranger's"
        assert read_receipt(kept(run)["1.json"]).unread


async def test_ledger_that_is_lost_gets_a_kept_answer_back_and_the_next_start_books_it(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(lambda _: GOOD) as contract:
        async with rig(tmp_path, contract, plan) as run:
            recognise_nothing(run)
            await run.runner.run()
            before = kept(run)
            assert newest(plan.job.output)[1] == {1}, "an older ledger is found out by it"
        for path in tmp_path.glob("ledger.db*"):
            path.unlink()
        async with rig(tmp_path, contract, plan) as run:
            told = await Salvage(run.job, "job", run.hand, run.ledger).run(lambda _lines: None)
            assert (told.answers, told.halves, told.faults) == (1, 0, {})
            assert run.charges() == {"reserved": 1}
        async with rig(tmp_path, contract, plan, record=False) as run:
            await run.recover()
            assert run.query("SELECT outcome, charge, billed FROM attempt") == [("unread", "billed", 30_000)]
            assert run.states() == {"parked": 1}
            assert kept(run) == before
            (found,) = await KeptReader(run.executor).run()
            assert found.fate is KeptFate.DELIVERED
            assert run.states() == {"completed": 1}


async def test_answer_in_a_batch_that_nobody_can_read_is_kept_like_any_other(tmp_path: Path) -> None:
    class Strange(Api):
        def output(self, number: int, custom_ids: list[str]) -> bytes:
            return b"".join(line(each, 200, {"made": {"by": "somebody"}}) for each in custom_ids)

    async with batch_rig(tmp_path, Strange(), 2) as run:
        await run.runner.run()
        assert run.rig.states() == {"parked": 2}
        assert list(kept(run.rig)) == ["1.json", "2.json"]


async def test_key_that_a_gateway_says_in_an_unreadable_answer_is_not_kept(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    body = {"drawn": {"where": "sk-rig-0123456789", "header": "Bearer sk-rig-0123456789"}}
    async with gateway(lambda _: body) as contract, rig(tmp_path, contract, plan) as run:
        run.gateway.client._key = lambda _name: "sk-rig-0123456789"
        await run.runner.run()
        assert run.states() == {"parked": 1}
        assert b"sk-rig-0123456789" not in b"".join(kept(run).values())
        assert b"[key]" in kept(run)["1.json"]
        assert "0123456789" not in repr(run.query("SELECT reason FROM task") + run.query("SELECT detail FROM attempt"))
