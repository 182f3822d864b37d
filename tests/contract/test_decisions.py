"""What a person decides about a job: again, no more, what a lost answer cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.domain.errors import LedgerError
from batchgen.domain.job import Ask, Parameters
from batchgen.domain.lifecycle import Charge, TaskEvent, TaskState
from batchgen.domain.model import Claim, OutcomeKind, Settlement
from batchgen.domain.size import Size
from batchgen.domain.walls import Wall
from batchgen.ledger.audit import check
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from tests.conftest import ManualClock
from tests.support.ledger import (
    LARGE,
    PRICE,
    SMALL,
    SmallPlan,
    booking,
    deliver,
    empty_ledger,
    end,
    plan,
    query,
    reservation,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(empty_ledger(tmp_path / "ledger.db"), ManualClock()) as opened:
        yield opened
    assert check(opened.path) == []


def states(ledger: Ledger) -> dict[str, str]:
    return dict(query(ledger.path, "SELECT key, state FROM task JOIN prompt ON prompt.id = prompt_id"))


def money(ledger: Ledger) -> tuple[int, ...]:
    return query(ledger.path, "SELECT billed, unknown, reserved FROM job")[0]


async def test_downgrade_lasts_until_a_person_asks_again(ledger: Ledger) -> None:
    ledger.record(plan("a", sizes=(LARGE,)))
    (claim,) = await ledger.claim(1, 9, 0.0)
    await end(ledger, claim, TaskEvent.RETRY, scheduled_at=1.0, send_size=SMALL)
    (claim,) = await ledger.claim(1, 9, 1.0)
    assert (claim.size, claim.send_size, claim.calls, claim.path) == (LARGE, SMALL, 1, "a/2048x2048-1")
    await end(ledger, claim, TaskEvent.FAIL)
    assert ledger.requeue(1) == {Ask(Size(2048, 2048), ""): 1}
    (claim,) = await ledger.claim(1, 9, 1.0)
    assert (claim.send_size, claim.attempts, claim.unknowns, claim.calls) == (LARGE, 0, 0, 2)
    await deliver(ledger, claim)


async def test_requeue_makes_chosen_tasks_available_and_says_what_they_are(ledger: Ledger) -> None:
    wanted = plan(*"abcd", parameters=Parameters(quality="high"), overrides={"b": '{"quality":"low"}'})
    ledger.record(wanted)
    a, b, c, d = await ledger.claim(1, 9, 0.0)
    await end(ledger, a, TaskEvent.FAIL, Charge.UNKNOWN, lost=True, reason="no answer")
    await end(ledger, b, TaskEvent.PARK)
    await end(ledger, c, TaskEvent.PARK)
    await deliver(ledger, d)
    assert ledger.requeue(1, {TaskState.FAILED}, {"b", "c"}) == {}
    assert ledger.requeue(1, {TaskState.PARKED}, {"b", "d"}) == {Ask(SMALL, "low"): 1}
    assert states(ledger) == {"a": "failed", "b": "available", "c": "parked", "d": "completed"}
    assert ledger.requeue(1) == {Ask(SMALL, "high"): 2}
    assert states(ledger) == {"a": "available", "b": "available", "c": "available", "d": "completed"}
    (again, *_) = await ledger.claim(1, 9, 0.0)
    assert (again.key, again.attempts, again.unknowns, again.calls) == ("a", 0, 0, 1)
    await deliver(ledger, again)


async def test_task_with_a_kept_answer_is_bought_again_as_another_revision(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    a, b = await ledger.claim(1, 9, 0.0)
    attempt = await ledger.reserve(reservation(a))
    assert not isinstance(attempt, Wall)
    await ledger.book_and_settle(
        booking(attempt, kind=OutcomeKind.UNREAD), Settlement(a.task, attempt, TaskEvent.PARK, hollow=True)
    )
    await end(ledger, b, TaskEvent.PARK, Charge.UNKNOWN)
    ledger.requeue(1)
    first, second = await ledger.claim(1, 9, 0.0)
    assert (first.revision, first.calls, first.attempts, first.hollow) == (2, 0, 0, 0)
    assert (second.revision, second.calls) == (1, 1)
    await deliver(ledger, first, second)
    assert check(ledger.path) == []


async def test_requeue_refuses_states_that_do_not_wait_for_a_person(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    with pytest.raises(LedgerError, match="completed cannot requeue"):
        ledger.requeue(1, {TaskState.COMPLETED})
    with pytest.raises(LedgerError, match="no job 7"):
        ledger.requeue(7)


async def fails(ledger: Ledger, claim: Claim, cause: str, event: TaskEvent = TaskEvent.FAIL) -> None:
    attempt = await ledger.reserve(reservation(claim))
    assert isinstance(attempt, int)
    entry = booking(attempt, Charge.VOID, cause=cause)
    await ledger.book_and_settle(entry, Settlement(claim.task, attempt, event))


def listed(ledger: Ledger, cause: str, *states: TaskState) -> str:
    with Reader(ledger.path) as reader:
        return "".join(task.key for task in reader.tasks(1, states=states or None, cause=cause))


async def test_cause_selects_the_same_tasks_to_list_and_to_buy_again(ledger: Ledger) -> None:
    ledger.record(plan(*"abcdefg"))
    a, b, c, d, e, f, _ = await ledger.claim(1, 9, 0.0)
    await fails(ledger, a, "content:safety system")
    await fails(ledger, b, "content:moderation", TaskEvent.PARK)
    await fails(ledger, c, "contents:other")
    await fails(ledger, d, "server_error")
    await fails(ledger, e, "")
    await deliver(ledger, f)
    assert listed(ledger, "content") == "ab"
    assert listed(ledger, "content:safety system") == "a"
    assert listed(ledger, "content:safety") == listed(ledger, "conten") == listed(ledger, "%") == ""
    assert listed(ledger, "server_error") == "de"  # of before causes were kept: the outcome
    assert listed(ledger, "content", TaskState.PARKED) == "b"
    assert ledger.requeue(1, {TaskState.FAILED}, {"a", "c"}, "content") == {Ask(SMALL, ""): 1}
    assert ledger.requeue(1, {TaskState.FAILED}, None, "content") == {}
    assert ledger.requeue(1, None, None, "content:moderation") == {Ask(SMALL, ""): 1}
    assert ledger.requeue(1, None, None, "server_error") == {Ask(SMALL, ""): 2}
    assert "".join(sorted(key for key, state in states(ledger).items() if state == "failed")) == "c"


async def test_cause_is_that_of_the_last_call_of_the_present_revision(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    await fails(ledger, claim, "content:first")
    ledger.requeue(1)
    (claim,) = await ledger.claim(1, 9, 0.0)
    await fails(ledger, claim, "server_error:second")
    assert (listed(ledger, "content"), listed(ledger, "server_error")) == ("", "a")
    ledger.record(SmallPlan({"a": "another text"}))
    assert listed(ledger, "server_error") == ""
    (claim,) = await ledger.claim(1, 9, 0.0)
    await fails(ledger, claim, "content:third")
    assert ledger.requeue(1, None, None, "server_error") == {}
    assert ledger.requeue(1, None, None, "content") == {Ask(SMALL, ""): 1}


async def test_cause_follows_what_an_attempt_turns_out_to_be(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await ledger.reserve(reservation(claim))
    assert isinstance(attempt, int)
    await ledger.book(booking(attempt, cause="delivered"))
    found = Settlement(claim.task, attempt, TaskEvent.FAIL, reason="no image", outcome=OutcomeKind.DAMAGED)
    await ledger.settle(found)
    assert (listed(ledger, "delivered"), listed(ledger, "damaged")) == ("", "a")


async def test_cancel_leaves_what_is_delivered_or_under_way(ledger: Ledger) -> None:
    ledger.record(plan(*"abcdef"))
    a, b, c, d, _, _ = await ledger.claim(1, 9, 0.0)
    await deliver(ledger, a)
    await ledger.reserve(reservation(b))
    await end(ledger, c, TaskEvent.RETRY, scheduled_at=9.0)
    await end(ledger, d, TaskEvent.FAIL)
    assert ledger.cancel(1, {"f"}) == 1
    assert ledger.cancel(1) == 3
    assert ledger.cancel(1) == 0
    kept = {"a": "completed", "b": "running"}
    assert states(ledger) == kept | dict.fromkeys("cdef", "cancelled")
    assert await ledger.claim(1, 9, 99.0) == []
    assert ledger.requeue(1, {TaskState.CANCELLED}) == {Ask(SMALL, ""): 4}


async def test_removed_tasks_are_neither_cancelled_nor_requeued(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    a, _ = await ledger.claim(1, 9, 0.0)
    await end(ledger, a, TaskEvent.FAIL)
    ledger.record(plan("c"))
    assert ledger.requeue(1) == {}
    assert ledger.cancel(1) == 1
    assert states(ledger) == {"a": "failed", "b": "available", "c": "cancelled"}


@pytest.mark.parametrize(("charge", "billed"), [(Charge.BILLED, 12_345), (Charge.VOID, 0)])
async def test_unknown_charge_is_settled_once_with_a_note(ledger: Ledger, charge: Charge, billed: int) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await end(ledger, claim, TaskEvent.PARK, Charge.UNKNOWN)
    assert money(ledger) == (0, PRICE, 0)
    ledger.settle_unknown(attempt, charge, billed, "invoice of November, me")
    assert money(ledger) == (billed, 0, 0)
    assert query(ledger.path, "SELECT charge, billed, settled_note FROM attempt") == [
        (charge, billed, "invoice of November, me")
    ]
    with pytest.raises(LedgerError, match="no unknown charge"):
        ledger.settle_unknown(attempt, charge, billed, "again")
    with pytest.raises(LedgerError, match="booked already"):
        await ledger.book(booking(attempt))
    assert money(ledger) == (billed, 0, 0)


async def test_settling_refuses_what_is_no_decision(ledger: Ledger) -> None:
    ledger.record(plan("a"))
    (claim,) = await ledger.claim(1, 9, 0.0)
    attempt = await end(ledger, claim, TaskEvent.PARK, Charge.UNKNOWN)
    for charge, billed in ((Charge.UNKNOWN, 0), (Charge.RESERVED, 0), (Charge.VOID, 1)):
        with pytest.raises(LedgerError, match="cannot be settled as"):
            ledger.settle_unknown(attempt, charge, billed, "")
    with pytest.raises(LedgerError, match="no unknown charge"):
        ledger.settle_unknown(99, Charge.VOID, 0, "")
    assert money(ledger) == (0, PRICE, 0)
