"""What a dead process leaves, at every point of the order of writes, and what the next start makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from batchgen.domain.errors import NoRoom, StoreError
from batchgen.domain.events import CallStarted
from batchgen.domain.job import Limits
from batchgen.store.spool.spool import SpoolSink
from tests.support.rig import die_before_booking, dies, place_nothing, rig, run_until_it_dies, simulator, small_plan

PRICE = 30_000
SMALL = ["1:1@1K"]


def fails(*_: Any, **__: Any) -> Any:
    raise StoreError("the disk is away")


async def no_room(*_: Any) -> None:
    raise NoRoom("the disk is full; make room there, then run again")


async def test_answer_that_was_not_booked_is_booked_and_placed_without_a_call(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        await die_before_booking(tmp_path, contract, plan)
        async with rig(tmp_path, contract, plan, record=False) as again:
            found = await again.recover()
            assert (found.placed, found.lost, found.left) == (1, 0, 0)
            assert again.states() == {"completed": 1}
            assert again.query("SELECT billed, unknown, reserved FROM job") == [(PRICE, 0, 0)]
            assert (await again.recover()).total == 0
            assert len(again.bill()) == 1
            assert len(again.images()) == 1


async def test_image_that_was_not_placed_is_placed_without_a_call(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        async with rig(tmp_path, contract, plan) as run:
            place_nothing(run)
            await run.runner.run()
            assert run.job_run.stopped is not None
            assert "the disk is away" in run.job_run.stopped
            assert run.states() == {"running": 1}
        async with rig(tmp_path, contract, plan, record=False) as again:
            assert (await again.recover()).placed == 1
            assert again.states() == {"completed": 1}
            assert len(again.bill()) == 1


@pytest.mark.parametrize(("mark", "step"), [("", "book_and_complete"), (" [[sim:url]]", "complete")])
async def test_image_that_was_placed_but_not_settled_is_adopted(tmp_path: Path, mark: str, step: str) -> None:
    plan = small_plan(tmp_path, [f"a mug{mark}"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        async with rig(tmp_path, contract, plan) as run:
            setattr(run.route.books, step, dies)
            await run_until_it_dies(run)
            assert len(run.images()) == 1
        async with rig(tmp_path, contract, plan, record=False) as again:
            assert (await again.recover()).placed == 1
            assert again.states() == {"completed": 1}
            assert again.query("SELECT billed, unknown, reserved FROM job") == [(PRICE, 0, 0)]
            assert len(again.images()) == 1
            assert len(again.bill()) == 1


async def test_paid_address_is_fetched_without_a_call(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x [[sim:url]]"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        async with rig(tmp_path, contract, plan) as run:
            run.hand.download = fails  # type: ignore[method-assign]
            await run.runner.run()
            assert run.states() == {"running": 1}
            assert run.charges() == {"billed": 1}
        async with rig(tmp_path, contract, plan, record=False) as again:
            assert (await again.recover()).fetched == 1
            assert again.states() == {"completed": 1}
            assert len(again.bill()) == 1


async def test_call_without_an_answer_is_unknown_and_goes_on_within_its_allowance(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits(unknown=1))
    async with simulator(tmp_path) as contract:
        for _ in range(2):
            async with rig(tmp_path, contract, plan, record=_ == 0) as run:
                if _:
                    assert (await run.recover()).lost == 1
                    assert run.states() == {"retryable": 1}
                run.hand.send = dies  # type: ignore[method-assign]
                await run_until_it_dies(run)
        async with rig(tmp_path, contract, plan, record=False) as last:
            assert (await last.recover()).lost == 1
            assert last.states() == {"parked": 1}
            assert last.query("SELECT billed, unknown, reserved FROM job") == [(0, 2 * PRICE, 0)]


async def test_recovery_that_cannot_finish_says_so_and_leaves_everything_for_the_next(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        async with rig(tmp_path, contract, plan) as run:
            place_nothing(run)
            await run.runner.run()
        async with rig(tmp_path, contract, plan, record=False) as again:
            place_nothing(again)
            assert (await again.recover()).left == 1
            assert again.states() == {"running": 1}
        async with rig(tmp_path, contract, plan, record=False) as last:
            assert (await last.recover()).placed == 1
            assert len(last.bill()) == 1


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_answer_that_is_whole_is_kept_when_the_run_is_left_while_it_lands(tmp_path: Path, times: int) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits())
    landing, go_on = asyncio.Event(), asyncio.Event()
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        finish = run.spool.finish

        async def slow_finish(*given: Any) -> None:
            landing.set()
            await go_on.wait()
            await finish(*given)

        run.spool.finish = slow_finish  # type: ignore[method-assign]
        running = asyncio.create_task(run.runner.run())
        await landing.wait()
        leaving = []
        for _ in range(times):
            leaving.append(asyncio.create_task(run.runner.abort()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(*leaving)
        await running
        assert run.charges() == {"billed": 1}
        assert run.states() == {"completed": 1}


async def test_bytes_of_a_damaged_answer_are_kept(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x [[sim:cut]]", "y [[sim:bad-image]]"], SMALL, Limits(unknown=0))
    async with simulator(tmp_path, "bytes=100000") as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"failed": 1, "parked": 1}
        assert {outcome for (outcome,) in run.query("SELECT outcome FROM attempt")} == {"damaged", "cut"}
    assert len(list((tmp_path / "out/.batchgen/quarantine").iterdir())) == 3  # a broken one is paid once more


async def test_reservation_that_was_not_sent_before_a_stop_costs_nothing(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, [f"p {n}" for n in range(5)], SMALL, Limits(rate=0.5))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        running = asyncio.create_task(run.runner.run())
        while sum(isinstance(event, CallStarted) for event in run.events) < 2:
            await asyncio.sleep(0.01)
        run.job_run.drain("interrupted")
        await running
        assert run.charges() == {"billed": 1, "void": 1}
        assert run.states() == {"completed": 1, "available": 4}
        assert len(run.bill()) == 1


async def test_answer_that_does_not_fit_on_the_disk_is_booked_as_paid_and_not_bought_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits(attempts=5, unknown=5))
    async with simulator(tmp_path, "bytes=1500000") as contract, rig(tmp_path, contract, plan) as run:
        monkeypatch.setattr(SpoolSink, "write", no_room)
        await run.runner.run()
        assert run.job_run.stopped is not None
        assert run.charges() == {"billed": 1}
        assert run.states() == {"parked": 1}
        assert len(run.bill()) == 1
        assert run.query("SELECT status, request_ids <> '[]' FROM attempt") == [(200, 1)]
