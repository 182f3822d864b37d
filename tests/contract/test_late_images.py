"""Images of kept answers in the books: its task's where that still waits, an unused earlier revision where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.domain.errors import LedgerError
from batchgen.domain.lifecycle import Charge, TaskEvent, TaskState
from batchgen.domain.model import Claim, OutcomeKind, Settlement
from batchgen.domain.output_image import Image
from batchgen.domain.walls import Wall
from batchgen.ledger.audit import check
from batchgen.ledger.late_images import LateImage
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.runs import NewRun
from tests.conftest import ManualClock
from tests.support.ledger import PRICE, booking, deliver, empty_ledger, end, plan, query, reservation


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(empty_ledger(tmp_path / "ledger.db"), ManualClock()) as opened:
        yield opened
    assert check(opened.path) == []


async def unread(ledger: Ledger, claim: Claim, **others: Any) -> int:
    """One attempt whose answer is kept."""
    attempt = await ledger.reserve(reservation(claim, **others))
    assert not isinstance(attempt, Wall)
    settled = Settlement(claim.task, attempt, TaskEvent.PARK, reason="kept")
    await ledger.book_and_settle(booking(attempt, kind=OutcomeKind.UNREAD), settled)
    return attempt


def late(claim: Claim, attempt: int) -> LateImage:
    image = Image(f"{claim.path}-{attempt}.png", f"{attempt:064x}", 12_345, 1280, 1280, "png")
    return LateImage(attempt, image, claim.own, claim.shared, ("blank",), "found")


def task(ledger: Ledger) -> tuple[Any, ...]:
    (row,) = query(ledger.path, "SELECT work, image_id, revision, calls, last_revision, reason FROM task")
    return row


async def test_task_that_is_parked_gets_the_image_and_no_money_moves(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    run = ledger.begin_run(NewRun(1, 1, "here"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await unread(ledger, claim, run=run)
    before = query(ledger.path, "SELECT billed, unknown, reserved FROM job")
    assert await ledger.file_late(late(claim, attempt)) is True
    assert task(ledger) == (TaskState.COMPLETED, attempt, 1, 1, 1, "")
    assert query(ledger.path, "SELECT billed, unknown, reserved FROM job") == before == [(PRICE, 0, 0)]
    assert query(ledger.path, "SELECT outcome, cause, charge, detail FROM attempt") == [
        ("delivered", "delivered", "billed", "found")
    ]
    assert query(ledger.path, "SELECT delivered FROM run") == [(1,)]
    assert query(ledger.path, "SELECT flags, own, shared FROM image") == [("blank", claim.own, claim.shared)]


async def test_filing_the_same_again_changes_nothing(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await unread(ledger, claim)
    first = await ledger.file_late(late(claim, attempt))
    before = query(ledger.path, "SELECT * FROM image"), task(ledger)
    assert await ledger.file_late(late(claim, attempt)) is first is True
    assert (query(ledger.path, "SELECT * FROM image"), task(ledger)) == before


@pytest.mark.parametrize("event", [TaskEvent.PARK, TaskEvent.FAIL, TaskEvent.RETRY, None])
async def test_task_that_waits_again_is_delivered_by_it_without_a_call(ledger: Ledger, event: TaskEvent | None) -> None:
    """Asked for again by a person, and perhaps called since, but not bought."""
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await unread(ledger, claim)
    ledger.requeue(1)
    if event is not None:
        (again,) = await ledger.claim(1, 9, 0.0)
        await end(ledger, again, event, Charge.UNKNOWN, scheduled_at=5.0)
    assert await ledger.file_late(late(claim, attempt)) is True
    assert task(ledger) == (TaskState.COMPLETED, attempt, 1, 1, 1 if event is None else 2, "")
    assert await ledger.claim(1, 9, 99.0) == []


async def test_image_of_a_task_that_was_bought_meanwhile_is_an_unused_earlier_revision(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await unread(ledger, claim)
    ledger.requeue(1)
    (again,) = await ledger.claim(1, 9, 0.0)
    await deliver(ledger, again)
    before = task(ledger)
    assert await ledger.file_late(late(claim, attempt)) is False
    assert task(ledger) == before
    assert query(ledger.path, "SELECT id, revision FROM image ORDER BY id") == [(1, 1), (2, 2)]


async def test_image_of_a_task_that_is_called_right_now_is_unused(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await unread(ledger, claim)
    ledger.requeue(1)
    (again,) = await ledger.claim(1, 9, 0.0)
    holder = await ledger.reserve(reservation(again))
    assert await ledger.file_late(late(claim, attempt)) is False
    assert not isinstance(holder, Wall)
    await ledger.book_and_settle(booking(holder, Charge.VOID), Settlement(again.task, holder, TaskEvent.RELEASE))
    difference = ledger.record(plan("a"))
    assert (difference.calls, difference.adopted) == (0, 1), "it serves once nothing is under way"


async def test_image_of_a_text_that_has_changed_waits_until_that_is_asked_again(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await unread(ledger, claim)
    changed = plan("a")
    changed.texts = {"a": "another"}
    ledger.record(changed)
    assert await ledger.file_late(late(claim, attempt)) is False
    assert task(ledger)[:3] == (TaskState.AVAILABLE, None, 2)
    assert ledger.record(plan("a")).adopted == 1
    assert task(ledger)[:3] == (TaskState.COMPLETED, attempt, 1)


async def test_image_of_a_call_that_is_not_booked_is_refused(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await ledger.reserve(reservation(claim))
    assert not isinstance(attempt, Wall)
    for number in (attempt, attempt + 1):
        with pytest.raises(LedgerError, match="not booked"):
            await ledger.file_late(late(claim, number))
    await ledger.book_and_settle(booking(attempt), Settlement(claim.task, attempt, TaskEvent.PARK))


async def test_booked_calls_are_found_with_their_tasks(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    a, b = await ledger.claim(1, 9, 0.0)
    first, second = await unread(ledger, a), await unread(ledger, b)
    ledger.requeue(1, only=["a"])
    (again,) = await ledger.claim(1, 9, 0.0)
    third = await unread(ledger, again)
    with Reader(ledger.path) as reader:
        found = reader.paid_calls(1, {first, second, third, 99})
        assert reader.paid_calls(2, {first}) == []
    assert [(each.attempt.id, each.attempt.revision, each.claim.key) for each in found] == [
        (first, 1, "a"),
        (second, 1, "b"),
        (third, 2, "a"),
    ]
