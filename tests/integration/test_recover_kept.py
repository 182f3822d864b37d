"""Kept answers read again: images without a call, whatever happened meanwhile and wherever it is killed."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from batchgen.contracts.contract import Contract
from batchgen.domain.inputs import InputImage, Inputs
from batchgen.domain.job import Limits
from batchgen.engine import recover_kept
from batchgen.engine.recover_kept import KeptFate, KeptReader, preview
from batchgen.ledger.audit import check
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import PaidCall
from batchgen.report.proof import prove
from tests.support.rig import Rig, SmallPlan, dies, rig, run_until_it_dies, small_plan
from tests.support.store import png
from tests.support.unread import PICTURE, STRANGE, gateway, good, kept, recognise_nothing

SMALL = ["1280x1280"]


def address(base: str) -> dict[str, object]:
    return {"data": [{"url": f"{base}/files/a.png"}]}


async def buy_unread(folder: Path, contract: Contract, plan: SmallPlan) -> None:
    """A run whose client does not know where pictures stand: all that it pays is kept."""
    async with rig(folder, contract, plan) as run:
        recognise_nothing(run)
        run.route.books.proven = True
        await run.runner.run()
        assert run.states() == {"parked": len(plan.texts)}
        assert len([name for name in kept(run) if name.endswith(".json")]) == len(plan.texts)


@asynccontextmanager
async def later(folder: Path, contract: Contract, plan: SmallPlan) -> AsyncIterator[tuple[Rig, KeptReader]]:
    """A later start, with a client that knows more; the books agree afterwards."""
    async with rig(folder, contract, plan, record=False) as run:
        yield run, KeptReader(run.executor)
    assert check(folder / "ledger.db") == []


def paid_calls(run: Rig) -> list[PaidCall]:
    with Reader(run.ledger.path) as reader:
        return reader.paid_calls(run.job, run.spool.kept())


async def test_five_answers_that_nobody_could_read_become_images_without_a_call(tmp_path: Path) -> None:
    plan, calls = small_plan(tmp_path, [f"p {n}" for n in range(5)], SMALL, Limits(concurrency=1)), list[str]()
    bodies: list[Any] = [good(1), good(2), None, good(3), None]
    async with gateway(lambda call: bodies[call - 1], calls=calls) as contract:
        bodies[2] = address(contract.base_url)
        bodies[4] = address(contract.base_url + "/other")
        await buy_unread(tmp_path, contract, plan)
        async with later(tmp_path, contract, plan) as (run, reader):
            money = run.query("SELECT billed, unknown, reserved FROM job")
            before = calls.count("POST")
            found = await reader.run()
            assert {each.fate for each in found} == {KeptFate.DELIVERED}
            assert calls.count("POST") == before == 5
            assert run.states() == {"completed": 5}
            assert run.query("SELECT billed, unknown, reserved FROM job") == money == [(150_000, 0, 0)]
            assert [path.name for path in run.images()] == ["1280x1280-1.png"] * 5
            assert kept(run) == {}
            lines = [json.loads(line) for line in (plan.job.output / "images.jsonl").read_text().splitlines()]
            assert [line["key"] for line in lines] == [f"p{n}" for n in range(5)]
            assert await reader.run() == []
        assert prove(tmp_path / "ledger.db", checksums=True).findings == []


async def test_place_that_a_contract_names_is_where_the_next_reading_looks(tmp_path: Path) -> None:
    plan, calls = small_plan(tmp_path, ["x"], SMALL, Limits()), list[str]()
    body: dict[str, object] = {}
    async with gateway(lambda _: body, calls=calls) as contract:
        body |= {"made": {"by": "somebody", "places": ["/elsewhere", "/files/a"]}}
        async with rig(tmp_path, contract, plan) as run:
            await run.runner.run()
            assert run.states() == {"parked": 1}
        told = replace(contract, picture_at=("made", "places", 1))
        async with later(tmp_path, told, plan) as (run, reader):
            (found,) = await reader.run()
            assert (found.fate, found.detail) == (KeptFate.DELIVERED, "p0/1280x1280-1.png")
            assert calls == ["POST", "GET"]
            assert run.images()[0].read_bytes() == PICTURE


async def test_reference_that_comes_back_is_never_taken_for_the_image(tmp_path: Path) -> None:
    """At the very place where the image should be: as it was sent, so it is known again."""
    photo = png(64, 64)
    (tmp_path / "ref.png").write_bytes(photo)
    reference = InputImage("ref.png", sha256(photo).hexdigest(), 64, 64)
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    plan.inputs = Inputs((reference,))
    body = {"data": [{"b64_json": base64.b64encode(photo).decode()}], "where": "somewhere"}
    async with gateway(lambda _: body) as contract:
        async with rig(tmp_path, contract, plan) as run:
            await run.runner.run()
            assert run.query("SELECT outcome, endpoint FROM attempt") == [("unread", "edits")]
            assert kept(run)["1-0.part"] == photo
        async with later(tmp_path, contract, plan) as (run, reader):
            (found,) = await reader.run()
            assert found.fate is KeptFate.UNREAD
            assert run.query("SELECT count(*) FROM image") == [(0,)]


async def test_answer_that_still_cannot_be_read_stays_kept(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(lambda _: STRANGE) as contract:
        async with rig(tmp_path, contract, plan) as run:
            await run.runner.run()
        async with later(tmp_path, contract, plan) as (run, reader):
            before = kept(run)
            (found,) = await reader.run()
            assert (found.fate, found.task) == (KeptFate.UNREAD, "p0/1280x1280/1")
            assert kept(run) == before
            assert run.states() == {"parked": 1}


async def test_picture_that_is_not_whole_stays_kept(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(lambda _: good()) as contract:
        await buy_unread(tmp_path, contract, plan)
        picture = plan.job.output / ".batchgen/kept/1-0.part"
        picture.write_bytes(PICTURE[:-30])
        async with later(tmp_path, contract, plan) as (run, reader):
            (found,) = await reader.run()
            assert found.fate is KeptFate.DAMAGED
            assert list(kept(run)) == ["1-0.part", "1.json"]
            picture.write_bytes(PICTURE)
            (found,) = await reader.run()
            assert found.fate is KeptFate.DELIVERED


async def test_address_that_cannot_be_fetched_is_tried_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recover_kept, "_PAUSE", 0.0)
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    body: dict[str, object] = {"data": [{"url": "http://127.0.0.1:9/a.png"}]}
    async with gateway(lambda _: body) as contract:
        await buy_unread(tmp_path, contract, plan)
        async with later(tmp_path, contract, plan) as (run, reader):
            (found,) = await reader.run()
            assert found.fate is KeptFate.UNFETCHED
            assert "cannot be fetched" in found.detail
            assert list(kept(run)) == ["1.json"]
            assert run.states() == {"parked": 1}


async def test_image_of_a_task_that_was_bought_meanwhile_replaces_nothing(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(good) as contract:
        await buy_unread(tmp_path, contract, plan)
        async with rig(tmp_path, contract, plan) as run:
            run.ledger.requeue(run.job)
            await run.runner.run()
            assert run.states() == {"completed": 1}
            ((image,),) = run.query("SELECT image_id FROM task")
        async with later(tmp_path, contract, plan) as (run, reader):
            (found,) = await reader.run()
            assert found.fate is KeptFate.FILED
            assert run.query("SELECT image_id FROM task") == [(image,)] == [(2,)]
            assert run.query("SELECT id, revision, path FROM image ORDER BY id") == [
                (1, 1, "p0/1280x1280-1.png"),
                (2, 2, "p0/1280x1280-1-r2.png"),
            ]
            assert kept(run) == {}
            lines = [json.loads(line) for line in (plan.job.output / "images.jsonl").read_text().splitlines()]
            assert [line["attempt"] for line in lines] == [2, 1, 2], "the last line of a task holds"
        assert prove(tmp_path / "ledger.db", checksums=True).findings == []


@pytest.mark.parametrize("by_address", [False, True])
@pytest.mark.parametrize("step", ["place", "file_late", "note_image", "forget_kept", "clear"])
@pytest.mark.parametrize("before", [True, False])
async def test_process_that_dies_while_it_recovers_has_it_finished_by_the_next(
    tmp_path: Path, step: str, by_address: bool, before: bool
) -> None:
    plan, calls = small_plan(tmp_path, ["x"], SMALL, Limits()), list[str]()
    bodies: list[Any] = [good()]
    async with gateway(lambda _: bodies[0], calls=calls) as contract:
        if by_address:
            bodies[0] = address(contract.base_url)
        await buy_unread(tmp_path, contract, plan)
        async with later(tmp_path, contract, plan) as (run, reader):
            name = "place_kept" if step == "place" and not by_address else step
            owner: Any = run.ledger if step == "file_late" else run.hand
            real = getattr(owner, name)

            async def killed(*given: Any) -> None:
                if not before:
                    await real(*given)
                dies()

            setattr(owner, name, killed)
            with pytest.raises(Exception, match="the process ends here"):
                await reader.run()
        assert (tmp_path / "out/.batchgen/kept/1.json").exists() or (tmp_path / "out/p0").exists()
        async with later(tmp_path, contract, plan) as (run, reader):
            await reader.run()
            assert run.states() == {"completed": 1}
            assert kept(run) == {}
            assert [path.name for path in run.images()] == ["1280x1280-1.png"]
            assert run.query("SELECT count(*) FROM image") == [(1,)]
            assert calls.count("POST") == 1
        assert prove(tmp_path / "ledger.db", checksums=True).findings == []


async def test_preview_says_what_is_in_them_and_touches_nothing(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x", "y"], SMALL, Limits(concurrency=1))
    bodies: list[Any] = [good(), None]
    async with gateway(lambda call: bodies[call - 1]) as contract:
        bodies[1] = address(contract.base_url)
        await buy_unread(tmp_path, contract, plan)
        async with later(tmp_path, contract, plan) as (run, _):
            before = kept(run), run.query("SELECT * FROM task"), run.query("SELECT * FROM image")
            calls = paid_calls(run)
            found = await preview(run.hand, calls, {contract.route: contract})
            assert [each.detail for each in found] == ["an image is in it", "the address of an image is in it"]
            (lost, _) = await preview(run.hand, calls, {})
            assert lost.fate is KeptFate.UNREAD
            assert (kept(run), run.query("SELECT * FROM task"), run.query("SELECT * FROM image")) == before


async def test_start_finishes_what_a_dead_process_kept_and_then_reads_it(tmp_path: Path) -> None:
    """Kept and not booked: the next start books it from its receipt, and then it can be read."""
    plan = small_plan(tmp_path, ["x"], SMALL, Limits())
    async with gateway(lambda _: good()) as contract:
        async with rig(tmp_path, contract, plan) as run:
            recognise_nothing(run)
            run.route.books.conclude = dies  # type: ignore[method-assign]
            await run_until_it_dies(run)
        async with later(tmp_path, contract, plan) as (run, reader):
            assert await reader.run() == []
            await run.recover()
            (found,) = await reader.run()
            assert found.fate is KeptFate.DELIVERED
            assert run.charges() == {"billed": 1}
