"""What every verb of the ledger promises, on a fresh, a migrated and a reopened file."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.domain.errors import LedgerError, StaleClaim
from batchgen.domain.job import Parameters
from batchgen.domain.lifecycle import Charge, TaskEvent, TaskState
from batchgen.domain.model import GivenBack, OutcomeKind, Settlement
from batchgen.domain.walls import Wall
from batchgen.domain.wire import Usage
from batchgen.ledger.audit import check
from batchgen.ledger.connect import writing_engine
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.migrate import to_head
from tests.conftest import ManualClock
from tests.support.ledger import LARGE, PRICE, SMALL, SmallPlan, booking, completion, end, plan, query, reservation


@pytest.fixture(params=["fresh", "migrated", "reopened"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    path = tmp_path / "books" / "ledger.db"
    if request.param == "migrated":
        path.parent.mkdir()
        with writing_engine(path, 1.0).connect() as connection:
            to_head(connection)
    if request.param == "reopened":
        Ledger.open(path, ManualClock()).close()
    with Ledger.open(path, ManualClock()) as opened:
        yield opened
    assert check(path) == []


def task(ledger: Ledger, number: int, columns: str) -> tuple[object, ...]:
    return query(ledger.path, f"SELECT {columns} FROM task WHERE id = {number}")[0]


def money(ledger: Ledger) -> tuple[int, ...]:
    return query(ledger.path, "SELECT billed, unknown, reserved FROM job")[0]


async def test_claim_gives_all_that_is_needed_to_buy(ledger: Ledger) -> None:
    ledger.record(
        plan(
            "mug", sizes=(SMALL, LARGE), overrides={"mug": '{"quality":"low"}'}, parameters=Parameters("high", "opaque")
        )
    )
    first, second = await ledger.claim(1, 10, 0.0)
    assert (first.key, first.text, first.size, first.send_size, first.sample) == (
        "mug",
        "a photo of mug",
        SMALL,
        SMALL,
        1,
    )
    assert first.parameters == Parameters("low", "opaque", "png")
    assert (first.path, second.path) == ("mug/1280x1280-1", "mug/2048x2048-1")
    assert (first.revision, first.attempts, first.unknowns, first.calls) == (1, 0, 0, 0)


async def test_claim_writes_nothing_and_leaves_out_what_the_caller_holds(ledger: Ledger) -> None:
    ledger.record(plan("a", "b", "c", "d"))
    two = await ledger.claim(1, 2, 0.0)
    assert await ledger.claim(1, 2, 0.0) == two
    others = await ledger.claim(1, 9, 0.0, skip={claim.task for claim in two})
    assert [claim.key for claim in others] == ["c", "d"]


async def test_claim_gives_retries_first_once_they_are_due(ledger: Ledger) -> None:
    ledger.record(plan("a", "b", "c"))
    a, b, _ = await ledger.claim(1, 9, 0.0)
    await end(ledger, a, TaskEvent.RETRY, scheduled_at=200.0)
    await end(ledger, b, TaskEvent.RETRY, scheduled_at=100.0)
    assert [claim.key for claim in await ledger.claim(1, 9, 99.0)] == ["c"]
    due = await ledger.claim(1, 9, 200.0)
    assert [(claim.key, claim.queued_at) for claim in due[:2]] == [("b", 100.0), ("a", 200.0)]
    assert await ledger.next_due(1) == 100.0
    assert await ledger.next_due(1, after=100.0) == 200.0
    assert await ledger.next_due(1, after=200.0) is None


async def test_claim_and_next_due_keep_to_the_prompts_asked_for(ledger: Ledger) -> None:
    ledger.record(plan("a", "b", "c", "d"))
    a, b, *_ = await ledger.claim(1, 9, 0.0)
    await end(ledger, a, TaskEvent.RETRY, scheduled_at=100.0)
    await end(ledger, b, TaskEvent.RETRY, scheduled_at=200.0)
    only = frozenset({"b", "d", "never heard of"})
    assert [claim.key for claim in await ledger.claim(1, 9, 300.0, only=only)] == ["b", "d"]
    assert await ledger.next_due(1, only=only) == 200.0
    assert await ledger.claim(1, 9, 300.0, only=frozenset()) == []


async def test_reserve_takes_the_task_and_writes_the_attempt_before_any_call(ledger: Ledger) -> None:
    ledger.record(plan("a", parameters=Parameters(quality="high")))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await ledger.reserve(reservation(claim))
    assert task(ledger, claim.task, "state, attempt_id, calls") == ("running", attempt, 1)
    assert money(ledger) == (0, 0, PRICE)
    columns = "task_id, revision, number, charge, outcome, reserved, provider, route, size_asked, size_sent, quality"
    assert query(ledger.path, f"SELECT {columns} FROM attempt") == [
        (claim.task, 1, 1, "reserved", None, PRICE, "apiyi", "apiyi/gpt-image-2-vip", "1280x1280", "1280x1280", "high")
    ]
    assert await ledger.claim(1, 9, 0.0) == []


async def test_reserve_is_refused_when_somebody_else_has_the_task_or_it_has_changed(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    a, b = await ledger.claim(1, 9, 0.0)
    outcomes = await asyncio.gather(*(ledger.reserve(reservation(a)) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, StaleClaim, StaleClaim]
    with pytest.raises(StaleClaim):
        await ledger.reserve(reservation(b, revision=2))
    await ledger.book_and_settle(booking(1, Charge.VOID), Settlement(a.task, 1, TaskEvent.FAIL))
    ledger.record(plan("a"))
    with pytest.raises(StaleClaim):
        await ledger.reserve(reservation(b))
    assert money(ledger) == (0, 0, 0)


async def test_reserve_stops_at_the_budget_whatever_comes_at_once(ledger: Ledger) -> None:
    ledger.record(plan(*"abcdefgh"))
    claims = await ledger.claim(1, 9, 0.0)
    budget = 3 * PRICE
    found = await asyncio.gather(*(ledger.reserve(reservation(claim, budget=budget)) for claim in claims))
    assert found == [1, 2, 3, *[Wall.JOB] * 5]
    assert money(ledger) == (0, 0, 3 * PRICE)
    await ledger.book_and_settle(booking(1, Charge.VOID), Settlement(claims[0].task, 1, TaskEvent.FAIL))
    assert await ledger.reserve(reservation(claims[3], budget=budget)) == 4
    assert await ledger.reserve(reservation(claims[4], budget=4 * PRICE - 1)) is Wall.JOB


async def test_budget_counts_a_lost_answer_at_what_was_set_aside(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    a, b = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(a, reserved=PRICE))
    await ledger.book_and_settle(booking(1, Charge.UNKNOWN, 10), Settlement(a.task, 1, TaskEvent.PARK, lost=True))
    assert money(ledger) == (0, PRICE, 0)
    assert await ledger.reserve(reservation(b, budget=2 * PRICE - 1)) is Wall.JOB


async def test_book_moves_the_money_once_and_keeps_what_an_auditor_asks_for(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(claim))
    full = booking(
        1, Charge.BILLED, 29_999, request_ids=(("x-request-id", "r1"),), usage=Usage(output_tokens=7), outputs=1,
        effective=(("size", "1280x1280"),), url="https://cdn.example.com/1.png", url_expires=900.0, detail="fine",
        sent_at=101.0, first_byte=2.0, total=3.0, finished_at=104.0,
    )  # fmt: skip
    await ledger.book(full)
    await ledger.book(full)
    assert money(ledger) == (29_999, 0, 0)
    (found,) = await ledger.interrupted(1)
    row = found.attempt
    assert (row.id, row.task, row.charge, row.outcome, row.billed) == (
        1,
        claim.task,
        Charge.BILLED,
        OutcomeKind.DELIVERED,
        29_999,
    )
    assert (row.request_ids, row.usage, row.effective) == (full.request_ids, full.usage, full.effective)
    assert (row.url, row.url_expires, row.price_basis, row.status) == (full.url, 900.0, "per_call 2026-07", 200)
    assert found.claim.task == claim.task
    for other in (booking(1, Charge.VOID), booking(1, Charge.BILLED, 1), booking(1, Charge.UNKNOWN), booking(99)):
        with pytest.raises(LedgerError, match="booked already, or is not in the ledger"):
            await ledger.book(other)
    with pytest.raises(LedgerError, match="cannot be booked as reserved"):
        await ledger.book(booking(1, Charge.RESERVED))
    assert money(ledger) == (29_999, 0, 0)


async def test_settle_needs_the_fence_and_the_money_booked(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(claim))
    with pytest.raises(LedgerError, match="must be booked before"):
        await ledger.settle(completion(claim, 1))
    await ledger.book(booking(1))
    with pytest.raises(StaleClaim):
        await ledger.settle(completion(claim, 2))
    await ledger.settle(completion(claim, 1, flags=("size_mismatch", "downgraded")))
    with pytest.raises(StaleClaim):
        await ledger.settle(completion(claim, 1))
    assert task(ledger, claim.task, "state, attempts, attempt_id") == ("completed", 1, None)
    columns = "task_id, attempt_id, revision, path, sha256, bytes, width, height, format, flags"
    assert query(ledger.path, f"SELECT {columns} FROM image") == [
        (claim.task, 1, 1, claim.path + ".png", "b" * 64, 12_345, 1280, 1280, "png", "size_mismatch,downgraded")
    ]


async def test_money_is_booked_although_the_task_is_held_by_somebody_else(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(claim))
    with pytest.raises(StaleClaim):
        await ledger.book_and_settle(booking(1), Settlement(claim.task + 1, 1, TaskEvent.FAIL))
    assert money(ledger) == (PRICE, 0, 0)
    await ledger.book_and_settle(booking(1), completion(claim, 1))


@pytest.mark.parametrize(
    ("event", "state", "counted"),
    [
        (TaskEvent.RETRY, TaskState.RETRYABLE, 1),
        (TaskEvent.RELEASE, TaskState.AVAILABLE, 0),
        (TaskEvent.FAIL, TaskState.FAILED, 1),
        (TaskEvent.PARK, TaskState.PARKED, 1),
    ],
)
async def test_settle_counts_attempts_and_lost_answers(
    ledger: Ledger, event: TaskEvent, state: TaskState, counted: int
) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    await end(ledger, claim, event, Charge.UNKNOWN, lost=True, reason="why", scheduled_at=5.0)
    assert task(ledger, claim.task, "state, attempts, unknowns, calls, reason") == (state, counted, 1, 1, "why")


async def test_settle_refuses_what_makes_no_sense(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(claim))
    await ledger.book(booking(1))
    for nonsense in (
        Settlement(claim.task, 1, TaskEvent.COMPLETE),
        Settlement(claim.task, 1, TaskEvent.CANCEL),
        Settlement(claim.task, 1, TaskEvent.FAIL, image=completion(claim, 1).image),
    ):
        with pytest.raises(LedgerError, match="cannot"):
            await ledger.settle(nonsense)
    assert task(ledger, claim.task, "state") == ("running",)


@pytest.mark.parametrize(
    ("event", "others"),
    [
        (TaskEvent.RETRY, {"scheduled_at": 50.0}),
        (TaskEvent.RETRY, {"scheduled_at": 50.0, "send_size": SMALL}),
        (TaskEvent.FAIL, {}),
        (TaskEvent.PARK, {}),
    ],
)
async def test_attempts_that_are_given_back_leave_their_task_as_it_was_and_themselves_in_the_books(
    ledger: Ledger, event: TaskEvent, others: dict[str, Any]
) -> None:
    ledger.record(plan("a", sizes=(LARGE,)))
    (before,) = await ledger.claim(1, 9, 0.0)
    first = await end(ledger, before, TaskEvent.RETRY, Charge.UNKNOWN, scheduled_at=1.0)
    (again,) = await ledger.claim(1, 9, 2.0)
    second = await end(ledger, again, event, Charge.UNKNOWN, **others)
    await ledger.give_back([GivenBack(before.task, (first, second), before.send_size, before.send_route)])
    (after,) = await ledger.claim(1, 9, 0.0)
    assert (after.attempts, after.send_size, after.calls) == (0, LARGE, 2)
    assert query(ledger.path, "SELECT charge FROM attempt") == [("unknown",), ("unknown",)]


async def test_lost_answer_after_an_error_that_is_given_back_still_counts_and_keeps_its_task_parked(
    ledger: Ledger,
) -> None:
    ledger.record(plan("a"))
    (before,) = await ledger.claim(1, 9, 0.0)
    first = await end(ledger, before, TaskEvent.RETRY, scheduled_at=1.0)
    (again,) = await ledger.claim(1, 9, 2.0)
    await end(ledger, again, TaskEvent.PARK, Charge.UNKNOWN, lost=True)
    await ledger.give_back([GivenBack(before.task, (first,), before.send_size, before.send_route)])
    assert task(ledger, before.task, "work, attempts, unknowns") == ("parked", 1, 1)


async def test_attempts_are_given_back_beside_one_that_is_under_way(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (before,) = await ledger.claim(1, 9, 0.0)
    first = await end(ledger, before, TaskEvent.RETRY, scheduled_at=1.0)
    (again,) = await ledger.claim(1, 9, 2.0)
    await ledger.reserve(reservation(again))
    await ledger.give_back([GivenBack(before.task, (first,), before.send_size, before.send_route)])
    assert task(ledger, before.task, "work, attempts") == ("running", 0)


async def test_attempts_of_another_revision_or_before_a_failover_are_not_given_back(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    a, b = await ledger.claim(1, 9, 0.0)
    first = await end(ledger, a, TaskEvent.FAIL)
    second = await end(ledger, b, TaskEvent.RETRY, scheduled_at=1.0, send_route="elsewhere")
    ledger.record(SmallPlan({"a": "another", "b": "a photo of b"}))
    lost = [GivenBack(each.task, (attempt,), each.send_size, "") for each, attempt in ((a, first), (b, second))]
    await ledger.give_back(lost)
    assert task(ledger, a.task, "work, attempts, revision") == ("available", 0, 2)
    assert task(ledger, b.task, "work, attempts, send_route") == ("retryable", 0, "elsewhere")
