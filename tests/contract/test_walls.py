"""Limits of one run and of a calendar month hold by reservation, over jobs, batches and the turn of the month."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Settlement
from batchgen.domain.walls import Wall
from batchgen.ledger.audit import check
from batchgen.ledger.batches import NewBatch
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.runs import NewRun
from tests.conftest import ManualClock
from tests.support.ledger import PRICE, booking, deliver, plan, query, reservation


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Two jobs of six prompts; everything adds up in the end."""
    path = tmp_path / "ledger.db"
    with Ledger.open(path, ManualClock()) as opened:
        opened.record(plan(*"abcdef"))
        opened.record(plan(*"uvwxyz", name="autumn"))
        yield opened
    assert check(path) == []


def run_of(ledger: Ledger, job: int = 1) -> int:
    return ledger.begin_run(NewRun(job, 4242, "here"))


def at(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def months(ledger: Ledger) -> dict[str, int]:
    return dict(query(ledger.path, "SELECT name, billed + unknown + reserved FROM month"))


async def test_run_stops_at_what_it_may_spend_whatever_comes_at_once_and_the_next_begins_anew(ledger: Ledger) -> None:
    claims = await ledger.claim(1, 9, 0.0)
    first = run_of(ledger)
    wanted = [reservation(claim, run=first, per_run=2 * PRICE) for claim in claims[:4]]
    found = await asyncio.gather(*(ledger.reserve(each) for each in wanted))
    assert found == [1, 2, Wall.RUN, Wall.RUN]
    await ledger.book_and_settle(booking(1, Charge.VOID), Settlement(claims[0].task, 1, TaskEvent.FAIL))
    await ledger.book_and_settle(booking(2, Charge.UNKNOWN, 10), Settlement(claims[1].task, 2, TaskEvent.PARK))
    assert await ledger.reserve(reservation(claims[2], run=first, per_run=2 * PRICE)) == 3, (
        "what was free is given back"
    )
    assert await ledger.reserve(reservation(claims[3], run=first, per_run=2 * PRICE)) is Wall.RUN, "what is lost is not"
    assert await ledger.reserve(reservation(claims[3], run=run_of(ledger), per_run=PRICE)) == 4


async def test_month_is_over_all_jobs(ledger: Ledger) -> None:
    a, b, *_ = await ledger.claim(1, 9, 0.0)
    u, v, *_ = await ledger.claim(2, 9, 0.0)
    await deliver(ledger, a, monthly=3 * PRICE)
    assert await ledger.reserve(reservation(u, monthly=3 * PRICE)) == 2
    wanted = [reservation(each, monthly=3 * PRICE) for each in (b, v)]
    assert await asyncio.gather(*(ledger.reserve(each) for each in wanted)) == [3, Wall.MONTH]


async def test_first_wall_is_named_and_nothing_is_counted(ledger: Ledger) -> None:
    claim, *_ = await ledger.claim(1, 9, 0.0)
    wanted = reservation(claim, budget=1, run=run_of(ledger), per_run=1, monthly=1)
    assert await ledger.reserve(wanted) is Wall.JOB
    assert query(ledger.path, "SELECT sum(reserved), sum(calls) FROM run") == [(0, 0)]
    assert months(ledger) == {}


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("last", "first", "names"),
    [
        ("2026-11-30T23:59:59+01:00", "2026-12-01T00:00:00+01:00", ["2026-11", "2026-12"]),
        ("2026-03-31T23:59:59+02:00", "2026-04-01T00:00:00+02:00", ["2026-03", "2026-04"]),
        ("2026-12-31T23:59:59+01:00", "2027-01-01T00:00:00+01:00", ["2026-12", "2027-01"]),
    ],
)
async def test_month_turns_at_local_midnight(ledger: Ledger, last: str, first: str, names: list[str]) -> None:
    a, b, c, *_ = await ledger.claim(1, 9, 0.0)
    assert await ledger.reserve(reservation(a, reserved_at=at(last), monthly=PRICE)) == 1
    assert await ledger.reserve(reservation(b, reserved_at=at(last), monthly=PRICE)) is Wall.MONTH
    assert await ledger.reserve(reservation(b, reserved_at=at(first), monthly=PRICE)) == 2
    assert await ledger.reserve(reservation(c, reserved_at=at(first), monthly=PRICE)) is Wall.MONTH
    assert months(ledger) == dict.fromkeys(names, PRICE)


@pytest.mark.usefixtures("berlin")
async def test_call_is_of_the_month_in_which_it_was_set_aside_whenever_it_is_booked(ledger: Ledger) -> None:
    a, *_ = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(a, reserved_at=at("2026-11-30T23:59:00+01:00")))
    await ledger.book(booking(1, finished_at=at("2026-12-01T00:02:00+01:00")))
    assert months(ledger) == {"2026-11": PRICE}
    with Reader(ledger.path) as reader:
        assert reader.month("2026-11").billed == PRICE
        assert reader.month("2026-12").spent == 0


async def test_time_zone_that_changes_leaves_what_was_set_aside_where_it_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, berlin: None
) -> None:
    a, b, *_ = await ledger.claim(1, 9, 0.0)
    moment = at("2026-12-01T00:30:00+01:00")
    await ledger.reserve(reservation(a, reserved_at=moment))
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    await ledger.reserve(reservation(b, reserved_at=moment))
    await ledger.book(booking(1))
    await ledger.book(booking(2))
    assert months(ledger) == {"2026-12": PRICE, "2026-11": PRICE}


@pytest.mark.parametrize("wall", [Wall.RUN, Wall.MONTH])
async def test_batch_takes_what_the_walls_leave(ledger: Ledger, wall: Wall) -> None:
    claims, run = await ledger.claim(1, 9, 0.0), run_of(ledger)
    limits = {Wall.RUN: {"per_run": 2 * PRICE}, Wall.MONTH: {"monthly": 2 * PRICE}}[wall]
    calls = tuple(reservation(claim, run=run, **limits) for claim in claims[:4])
    made = await ledger.open_batch(NewBatch(1, "a/b", "token", calls))
    assert made.attempts == (1, 2, wall, wall)
    again = await ledger.open_batch(NewBatch(1, "a/b", "other", calls[2:]))
    assert (again.batch, again.attempts) == (None, (wall, wall))


def test_ceiling_is_the_ledgers_own(ledger: Ledger) -> None:
    def ceiling() -> int | None:
        with Reader(ledger.path) as reader:
            return reader.ceiling()

    assert ceiling() is None
    ledger.set_ceiling(100_000_000)
    assert ceiling() == 100_000_000
    ledger.set_ceiling(None)
    assert ceiling() is None
