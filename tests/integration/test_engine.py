"""The pool over real sockets, real SQLite and real files: what is bought, what it costs, what is left to do."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import pytest
from PIL import Image

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.tokens import NoPrice
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import PriceUnknown
from batchgen.domain.events import CallStarted, ImageDelivered
from batchgen.domain.job import Limits
from batchgen.domain.size import parse_size
from batchgen.domain.walls import Walls
from batchgen.engine.assembly import RouteSpec, assemble
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.runner import Runner
from batchgen.ledger.database import Database
from batchgen.ledger.ledger import Ledger
from batchgen.store.spool.sink import SpoolSink
from batchgen.store.spool.threads import DiskThreads
from tests.support.hasty import HastyClock
from tests.support.rig import rig, simulator, small_plan

PRICE = 30_000
SMALL = ["1:1@1K"]


class Calendar(SystemClock):
    """A wall clock that begins where it is told, and may be set."""

    def __init__(self, start: float) -> None:
        self.start = start - self.monotonic()

    def now(self) -> float:
        return self.start + self.monotonic()


def texts(count: int, extra: str = "") -> list[str]:
    return [f"prompt number {number} {extra}" for number in range(count)]


async def test_run_delivers_every_task_once_and_the_books_equal_the_bill(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(8), ["1:1@1K", "16:9@1K"], Limits(concurrency=8))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 16}
        assert run.charges() == {"billed": 16}
        assert run.query("SELECT billed, unknown, reserved FROM job") == [(16 * PRICE, 0, 0)]
        assert sum(line.charged for line in run.bill()) == 16 * PRICE
        assert len(run.images()) == 16
        for path in run.images():
            with Image.open(path) as image:
                assert f"{image.width}x{image.height}" in path.name
    assert [path.name for path in (tmp_path / "out/.batchgen").iterdir() if path.is_file()] == ["owner.json"]


async def test_image_in_an_answer_takes_two_transactions_and_one_hop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its money is set aside; then, once it is in the output folder, it is booked and its task settled at once."""
    verbs, hops, do, hop = list[str](), list[str](), Database.do, DiskThreads.run

    async def doing(self: Database, verb: Any, payload: Any) -> Any:
        verbs.append(verb.run.__name__)
        return await do(self, verb, payload)

    async def hopping(self: DiskThreads, work: Any, *given: Any) -> Any:
        hops.append(work.__name__)
        return await hop(self, work, *given)

    plan = small_plan(tmp_path, texts(3), SMALL, Limits(concurrency=3))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        monkeypatch.setattr(Database, "do", doing)
        monkeypatch.setattr(DiskThreads, "run", hopping)
        await run.runner.run()
        assert run.states() == {"completed": 3}
    of_an_image = {"reserve", "book", "settle", "book_and_settle"}
    assert Counter(verb for verb in verbs if verb in of_an_image) == {"reserve": 3, "book_and_settle": 3}
    assert len(hops) == 3


async def test_second_run_makes_no_call(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(3), SMALL, Limits())
    async with simulator(tmp_path) as contract:
        async with rig(tmp_path, contract, plan) as run:
            await run.runner.run()
        async with rig(tmp_path, contract, plan) as again:
            await again.runner.run()
            assert again.job_run.tally.calls == 0
            assert len(again.bill()) == 3


async def test_budget_is_a_wall_with_two_hundred_calls_in_flight(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(300), SMALL, Limits(concurrency=200, budget=1_000_000))
    async with simulator(tmp_path, "latency=0.05") as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.job_run.stopped == "the budget is reached"
        assert len(run.bill()) == 33
        assert run.states() == {"completed": 33, "available": 267}


@pytest.mark.parametrize(
    ("walls", "sentence"),
    [
        (Walls(per_run=1_000_000, per_run_by="--max-cost"), r"--max-cost is reached \(\$1.00 for one run\); run again"),
        (
            Walls(monthly=1_000_000, monthly_by="BATCHGEN_MONTHLY"),
            r"the ledger's ceiling for \d{4}-\d\d is reached \(\$1.00 for all jobs, by BATCHGEN_MONTHLY\); raise it",
        ),
    ],
    ids=["run", "month"],
)
async def test_every_wall_holds_at_each_moment_with_two_hundred_calls_in_flight(
    tmp_path: Path, walls: Walls, sentence: str
) -> None:
    plan = small_plan(tmp_path, texts(120), SMALL, Limits(concurrency=200, unknown=9, attempts=9, unknown_total=10_000))
    faults = ("latency=0.05", "p_500=0.2", "p_drop=0.2")  # what is free is given back, what is lost is not
    async with simulator(tmp_path, *faults) as contract, rig(tmp_path, contract, plan, walls=walls) as run:
        seen: list[int] = []
        running = asyncio.create_task(run.runner.run())
        while not running.done():
            sums = "SELECT max(coalesce(billed + unknown + reserved, 0)) FROM"
            seen += [run.query(f"{sums} run")[0][0], run.query(f"{sums} month")[0][0] or 0]
            await asyncio.sleep(0.005)
        await running
        assert max(seen) <= 1_000_000
        assert max(seen) > 1_000_000 - PRICE, "and all of it is spent"
        assert re.match(sentence, run.job_run.stopped or "")


async def test_ceiling_that_was_reached_opens_with_the_new_month(tmp_path: Path) -> None:
    """One call is allowed per month, and midnight comes while it is in flight."""
    clock = Calendar(datetime(2026, 11, 30, 23, 59, 58).timestamp())  # noqa: DTZ001  local, as the months are
    plan = small_plan(tmp_path, texts(3), SMALL, Limits(concurrency=2))
    walls = Walls(monthly=PRICE, monthly_by="`batchgen ceiling`")
    async with (
        simulator(tmp_path, "latency=0.3") as contract,
        rig(tmp_path, contract, plan, walls=walls, clock=clock) as run,
    ):
        running = asyncio.create_task(run.runner.run())
        while not run.lane.cap.in_flight or not run.job_run.tally.month:
            await asyncio.sleep(0.005)
        clock.start += 60.0
        await running
        assert run.query("SELECT name, billed FROM month") == [("2026-11", PRICE), ("2026-12", PRICE)]
        assert run.states() == {"completed": 2, "available": 1}
        assert "ceiling for 2026-12 is reached" in str(run.job_run.stopped)


async def test_budget_sends_nothing_when_nobody_can_say_what_a_call_costs_at_most(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(3), SMALL, Limits(concurrency=4, budget=1_000_000))
    async with simulator(tmp_path) as contract:
        unpriced = replace(contract, price=NoPrice())
        async with rig(tmp_path, unpriced, plan) as run:
            with pytest.raises(PriceUnknown, match=r"takes at most for 1280x1280 in quality auto.*nothing was sent"):
                await run.runner.run()
            assert run.states() == {"available": 3}
            assert run.query("SELECT count(*) FROM attempt") == [(0,)]
            assert run.bill() == []


async def test_money_that_turns_out_free_is_spent_on_other_tasks_before_the_budget_stops_the_run(
    tmp_path: Path,
) -> None:
    prompts = [f"a [[sim:500]] {number}" for number in range(2)] + texts(5)
    plan = small_plan(tmp_path, prompts, SMALL, Limits(concurrency=4, attempts=1, budget=3 * PRICE))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 3, "failed": 2, "available": 2}
        assert run.query("SELECT billed FROM job") == [(3 * PRICE,)]


async def test_4k_that_fails_is_delivered_as_2k_of_the_same_ratio_and_both_sizes_are_kept(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(30), ["16:9@4K"], Limits(concurrency=8), downgrade=True)
    async with simulator(tmp_path, "p500_4k=0.3") as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 30}
        downgraded = run.query(
            "SELECT size_asked, size_sent, width, height FROM attempt JOIN image ON image.attempt_id = attempt.id "
            "WHERE flags LIKE '%downgraded%'"
        )
        assert 2 <= len(downgraded) <= 20
        assert set(downgraded) == {("3840x2160", "2048x1152", 2048, 1152)}
        assert sum(line.charged for line in run.bill()) == 30 * PRICE


async def test_429_costs_no_task_an_attempt(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(12), SMALL, Limits(concurrency=8, attempts=1, unknown=0))
    options = ("rate=20", "burst=1", "retry_after=50ms")
    async with simulator(tmp_path, *options) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 12}
        assert run.charges()["void"] > 0
        assert run.query("SELECT max(attempts) FROM task") == [(1,)]


async def test_lost_answer_is_asked_for_once_more_and_then_parked(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["gone [[sim:drop]]"], SMALL, Limits(attempts=5, unknown=1))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"parked": 1}
        assert run.charges() == {"unknown": 2}
        assert run.query("SELECT billed, unknown, reserved FROM job") == [(0, 2 * PRICE, 0)]


async def test_run_stops_when_too_many_answers_are_lost(tmp_path: Path) -> None:
    prompts = [text + "[[sim:drop]]" * (number % 3 > 0) for number, text in enumerate(texts(60))]  # others go well
    plan = small_plan(tmp_path, prompts, SMALL, Limits(concurrency=4, unknown_total=10))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.job_run.stopped is not None
        assert "answers were lost" in run.job_run.stopped
        assert 11 <= run.job_run.tally.lost <= 15


async def test_refusal_in_words_is_paid_once_and_never_retried(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a forbidden thing"], SMALL, Limits(attempts=5))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"failed": 1}
        assert [line.charged for line in run.bill()] == [PRICE]
        assert run.query("SELECT outcome, charge FROM attempt") == [("refused_text", "billed")]


@pytest.mark.parametrize(
    ("fault", "state", "outcome"),
    [
        ("empty", "failed", "empty"),
        ("garbage", "parked", "unread"),
        ("error-in-200", "parked", "server_error"),
        ("bad-b64", "failed", "damaged"),
        ("bad-image", "failed", "damaged"),
        ("cut", "parked", "cut"),
        ("refuse", "failed", "refused"),
        ("524", "parked", "edge_error"),
        ("not-http", "parked", "lost"),
    ],
)
async def test_fault_ends_in(tmp_path: Path, fault: str, state: str, outcome: str) -> None:
    plan = small_plan(tmp_path, [f"x [[sim:{fault}]]"], SMALL, Limits(attempts=3, unknown=0))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {state: 1}
        calls = 3 if outcome == "server_error" else 2 if outcome in {"empty", "damaged"} else 1
        assert run.query("SELECT outcome FROM attempt") == [(outcome,)] * calls
        billed, unknown = run.query("SELECT billed, unknown FROM job")[0]
        charged = sum(line.charged for line in run.bill())
        assert billed <= charged <= billed + unknown
        assert run.images() == []


async def test_answer_with_nothing_in_it_is_paid_as_often_as_the_manifest_allows(tmp_path: Path) -> None:
    for allowed, calls in ((0, 1), (2, 3), (9, 4)):
        folder = tmp_path / str(allowed)
        folder.mkdir()
        plan = small_plan(folder, ["x [[sim:empty]]"], SMALL, Limits(attempts=4, retry_paid=allowed))
        async with simulator(folder) as contract, rig(folder, contract, plan) as run:
            await run.runner.run()
            assert run.states() == {"failed": 1}
            assert [line.charged for line in run.bill()] == [PRICE] * calls
            assert run.query("SELECT hollow FROM task") == [(calls,)]


async def test_paid_address_is_downloaded_and_never_paid_again(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x [[sim:url]]"], SMALL, Limits())
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 1}
        assert len(run.bill()) == 1
        assert run.query("SELECT url <> '' FROM attempt") == [(1,)]


async def test_expired_address_is_parked_and_not_bought_again(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["x [[sim:expired-url]]"], SMALL, Limits())
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan, clock=HastyClock(100)) as run:
        await run.runner.run()
        assert run.states() == {"parked": 1}
        assert len(run.bill()) == 1
        assert run.query("SELECT billed FROM job") == [(PRICE,)]


@pytest.mark.parametrize("fault", ["401", "quota"])
async def test_lane_stops_at_once_and_leaves_the_tasks_as_they_were(tmp_path: Path, fault: str) -> None:
    plan = small_plan(tmp_path, texts(40, f"[[sim:{fault}]]"), SMALL, Limits(concurrency=4))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.job_run.stopped is not None
        assert run.states() == {"available": 40}
        assert len(run.bill()) <= 8
        assert run.query("SELECT max(attempts), sum(unknowns) FROM task") == [(0, 0)]
        assert run.query("SELECT billed, unknown, reserved FROM job") == [(0, 0, 0)]


async def test_limit_buys_at_most_so_many_images(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(20), SMALL, Limits(concurrency=8))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan, selection=Selection(images=5)) as run:
        await run.runner.run()
        assert run.states() == {"completed": 5, "available": 15}
        assert len(run.bill()) == 5


async def test_only_buys_the_named_prompts(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(6), SMALL, Limits())
    selection = Selection(only=frozenset({"p2", "p4"}))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan, selection=selection) as run:
        await run.runner.run()
        assert sorted(path.parent.name for path in run.images()) == ["p2", "p4"]


async def test_no_room_on_disk_means_no_call(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(3), SMALL, Limits())
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan, ballast=1 << 62) as run:
        await run.runner.run()
        assert run.job_run.stopped is not None
        assert "make room" in run.job_run.stopped
        assert run.bill() == []
        assert run.states() == {"available": 3}


async def test_stop_awaits_what_is_in_flight(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(20), SMALL, Limits(concurrency=4))
    async with simulator(tmp_path, "latency=0.2") as contract, rig(tmp_path, contract, plan) as run:
        running = asyncio.create_task(run.runner.run())
        while sum(isinstance(event, CallStarted) for event in run.events) < 4:
            await asyncio.sleep(0.01)
        run.job_run.drain("interrupted")
        await running
        assert run.states() == {"completed": 4, "available": 16}
        assert run.charges() == {"billed": 4}


async def test_leave_books_what_is_in_flight_as_unknown_before_it_returns(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(20), SMALL, Limits(concurrency=4))
    async with simulator(tmp_path, "latency=30") as contract, rig(tmp_path, contract, plan) as run:
        running = asyncio.create_task(run.runner.run())
        while sum(isinstance(event, CallStarted) for event in run.events) < 4:
            await asyncio.sleep(0.01)
        started = asyncio.get_running_loop().time()
        await run.runner.abort()
        assert asyncio.get_running_loop().time() - started < 2.0
        await running
        assert run.charges() == {"unknown": 4}
        assert run.states() == {"available": 16, "retryable": 4}
        assert run.query("SELECT unknown, reserved FROM job") == [(4 * PRICE, 0)]


async def test_existing_file_of_the_user_is_never_overwritten(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(1), SMALL, Limits())
    mine = tmp_path / "out/p0/1280x1280-1.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        delivered = [event.image.path for event in run.events if isinstance(event, ImageDelivered)]
        assert delivered == ["p0/1280x1280-1-a1.png"]
    assert mine.read_bytes() == b"mine"


async def test_no_key_and_no_prompt_wording_of_sizes_leaks_into_the_books(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(2), SMALL, Limits())
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"sk-rig" not in path.read_bytes(), path


async def test_retry_is_not_forgotten_when_the_wall_clock_goes_back_two_days(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(2), SMALL, Limits())
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        connection = sqlite3.connect(run.ledger.path)
        connection.execute("UPDATE task SET work = 'retryable', scheduled_at = updated_at + 172800")
        connection.commit()
        connection.close()
        await run.runner.run()
        assert run.states() == {"completed": 2}


async def test_retry_that_is_due_comes_before_what_was_never_tried(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["first [[sim:500,ok]]", *texts(30)], SMALL, Limits(concurrency=1))
    async with simulator(tmp_path, "latency=0.005") as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"completed": 31}
        order = [event.claim.key for event in run.events if isinstance(event, ImageDelivered)]
        assert order.index("p0") < 28


async def test_no_call_is_made_after_the_hour_that_the_manifest_names(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(50), SMALL, Limits(concurrency=2))
    async with simulator(tmp_path, "latency=0.05") as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run(until=SystemClock().now() + 0.2)
        assert run.job_run.stopped == "`limits.until` is reached"
        states = run.states()
        assert states["completed"] == len(run.bill()) > 0
        assert states["available"] > 20
        assert set(states) == {"completed", "available"}


async def test_run_does_not_end_when_a_task_comes_back_while_the_books_are_asked(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["back again [[sim:429,ok]]"], SMALL, Limits(concurrency=1))
    async with (
        simulator(tmp_path, "retry_after=1ms", "latency=0.05") as contract,
        rig(tmp_path, contract, plan) as run,
    ):
        claim = run.ledger.claim

        async def slow(*given: Any) -> Any:
            found = await claim(*given)
            while not found and run.runner.in_flight:  # the call lands between this answer and its reader
                await asyncio.sleep(0.005)
            return found

        run.ledger.claim = slow  # type: ignore[method-assign]
        await asyncio.wait_for(run.runner.run(), 10)
        assert run.states() == {"completed": 1}


async def test_tasks_that_no_route_takes_are_passed_over_in_a_few_looks_at_the_books(tmp_path: Path) -> None:
    """Each look reads past all of them, so their number must not grow with that of the tasks."""
    catalog, clock, tasks = load_catalog(), SystemClock(), 4_000
    plan = small_plan(tmp_path, texts(tasks), ["16:9@4K"], Limits())
    first = catalog.find("apiyi/gpt-image-2-vip")
    second = next(each for each in map(catalog.find, catalog.routes()) if each.check_size(parse_size("16:9@4K")))
    with Ledger.open(tmp_path / "batchgen.db", clock) as ledger:
        ledger.record(plan)
        job = ledger.job("job")
        run = JobRun(
            job, Limits(), Selection(), ledger, clock=clock, uniform=lambda _, high: high, listener=lambda _: None
        )
        executor = assemble(run, plan.job, [RouteSpec(first), RouteSpec(second)], cast("Any", None))
        looks, real = 0, ledger.claim

        async def counted(*given: Any) -> Any:
            nonlocal looks
            looks += 1
            return await real(*given)

        ledger.claim = counted  # type: ignore[method-assign]
        run.routes.first.stop("no quota")
        await Runner(executor).run()
    assert run.explained[-1].startswith(f"{tasks} tasks wait")
    assert looks < 60


async def test_answer_that_memory_has_no_room_for_is_booked_as_paid_and_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(SpoolSink, "write", full)
    plan = small_plan(tmp_path, texts(5), SMALL, Limits(concurrency=1))
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.job_run.stopped is not None
        assert "no memory left for an answer; end other programs, then run again" in run.job_run.stopped
        assert run.states() == {"parked": 1, "available": 4}
        assert run.charges() == {"billed": 1}


async def test_route_whose_answers_are_all_empty_stops_before_it_has_cost_much(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(100), SMALL, Limits(concurrency=2, retry_paid=0))
    async with simulator(tmp_path, "p_empty=1") as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.job_run.stopped is not None
        assert "answer after answer holds no image" in run.job_run.stopped
        assert len(run.bill()) <= 5  # three, and what was in flight
        assert run.states()["available"] >= 95


async def test_error_of_the_gateway_is_no_success_of_the_lane(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, texts(2), SMALL, Limits())
    async with simulator(tmp_path, "p_500=1") as contract, rig(tmp_path, contract, plan) as run:
        successes: list[None] = []
        run.lane.succeeded = lambda: successes.append(None)  # type: ignore[method-assign]
        await run.runner.run()
        assert run.states() == {"failed": 2}
        assert successes == []
