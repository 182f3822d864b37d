"""What readers are told, while and after a run, and that they can never write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.domain.errors import LedgerError
from batchgen.domain.job import Ask, Limits, Parameters
from batchgen.domain.lifecycle import Charge, TaskEvent, TaskState
from batchgen.domain.model import OutcomeKind
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import Count, Spending
from tests.conftest import ManualClock
from tests.support.ledger import LARGE, PRICE, SMALL, booking, completion, deliver, empty_ledger, end, plan, reservation

ROUTE = "apiyi/gpt-image-2-vip"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def ledger(path: Path) -> Iterator[Ledger]:
    """A job with a task in every state: a is delivered, b failed, c parked, d backs off, e runs, f cancelled, g waits."""
    with Ledger.open(empty_ledger(path), ManualClock()) as opened:
        opened.record(plan("gone", *"abcdefg", overrides={"a": '{"quality":"low"}'}))
        opened.record(plan(*"abcdefg", overrides={"a": '{"quality":"low"}'}, limits=Limits(budget=9_000_000, rate=2.0)))
        a, b, c, d, e, *_ = await opened.claim(1, 9, 0.0)
        attempt = await opened.reserve(reservation(a))
        await opened.book_and_settle(booking(attempt or 0), completion(a, attempt or 0, flags=("size_mismatch",)))
        await end(opened, b, TaskEvent.FAIL, reason="refused")
        await end(opened, c, TaskEvent.PARK, Charge.UNKNOWN, lost=True)
        await end(opened, d, TaskEvent.RETRY, scheduled_at=500.0, send_size=LARGE)
        await opened.reserve(reservation(e))
        opened.cancel(1, {"f"})
        yield opened


async def test_jobs_say_where_they_stand(ledger: Ledger, path: Path) -> None:
    ledger.record(plan("x", name="autumn", parameters=Parameters("high", None, "webp")))
    with Reader(path) as reader:
        spring, autumn = reader.jobs()
        assert reader.job("autumn") == autumn
        with pytest.raises(LedgerError, match="no job named winter; it has: spring, autumn"):
            reader.job("winter")
    assert (spring.billed, spring.unknown, spring.reserved) == (PRICE, PRICE, PRICE)
    assert spring.states == dict.fromkeys(TaskState, 1)
    assert (spring.prompts, spring.tasks, spring.removed, spring.rebuy) == (7, 7, 1, 0)
    assert (spring.limits, spring.route, spring.output) == (
        Limits(budget=9_000_000, rate=2.0),
        ROUTE,
        Path("/out/spring"),
    )
    assert (autumn.parameters, autumn.states, autumn.downgrade) == (
        Parameters("high", None, "webp"),
        {TaskState.AVAILABLE: 1},
        True,
    )


async def test_counts_are_by_size_quality_and_state(ledger: Ledger, path: Path) -> None:
    with Reader(path) as reader:
        counts = reader.counts(1)
    assert Count(SMALL, "low", TaskState.COMPLETED, TaskState.COMPLETED, 1) in counts
    assert {(count.quality, count.state) for count in counts if count.quality} == {("low", TaskState.COMPLETED)}
    assert sum(count.tasks for count in counts) == 7


async def test_spending_is_by_route_size_and_outcome(ledger: Ledger, path: Path) -> None:
    with Reader(path) as reader:
        assert reader.spending(1) == [
            Spending(ROUTE, "1280x1280", None, 1, 0, 0),
            Spending(ROUTE, "1280x1280", OutcomeKind.DELIVERED, 1, PRICE, 0),
            Spending(ROUTE, "1280x1280", OutcomeKind.LOST, 1, 0, PRICE),
            Spending(ROUTE, "1280x1280", OutcomeKind.SERVER_ERROR, 2, 0, 0),
        ]


async def test_tasks_come_with_prompt_variant_image_and_money(ledger: Ledger, path: Path) -> None:
    with Reader(path) as reader:
        rows = list(reader.tasks(1))
        assert [row.key for row in rows] == list("abcdefg")
        assert [row.key for row in reader.tasks(1, limit=2)] == ["a", "b"]
        assert [row.key for row in reader.tasks(1, {TaskState.FAILED, TaskState.PARKED})] == ["b", "c"]
        assert [row.key for row in reader.tasks(1, keys={"c", "a", "gone"})] == ["a", "c"]
        assert [row.key for row in reader.tasks(1, keys={"gone"}, removed=True)] == ["gone"]
        assert [row.key for row in reader.flagged(1)] == ["a"]
    a, b, c, d = rows[:4]
    assert a.image is not None
    assert (a.image.path, a.image.flags, a.image.attempt) == ("a/1280x1280-1.png", ("size_mismatch",), 1)
    assert (a.billed, a.unknown, a.quality, a.path) == (PRICE, 0, "low", "a/1280x1280-1")
    assert (b.reason, b.image, b.billed, b.calls) == ("refused", None, 0, 1)
    assert (c.unknown, c.unknowns) == (PRICE, 1)
    assert (d.size, d.send_size, d.scheduled_at, d.state) == (SMALL, LARGE, 500.0, TaskState.RETRYABLE)


async def test_task_shows_the_latest_image_also_when_it_is_of_an_earlier_revision(ledger: Ledger, path: Path) -> None:
    (e,) = await ledger.interrupted(1)
    await ledger.book_and_settle(booking(e.attempt.id), completion(e.claim, e.attempt.id))
    ledger.record(plan(*"abcdefg"))
    with Reader(path) as reader:
        (a,) = reader.tasks(1, keys={"a"})
        assert a.image is not None
        assert (a.revision, a.image.revision, a.state, a.work) == (2, 1, TaskState.COMPLETED, TaskState.AVAILABLE)
        assert (a.outdated, a.flags) == (True, ("size_mismatch", "outdated"))
        (claim,) = (claim for claim in await ledger.claim(1, 9, 0.0) if claim.key == "a")
        await deliver(ledger, claim)
    with Reader(path) as reader:
        (a,) = reader.tasks(1, keys={"a"})
        assert a.image is not None
        assert (a.image.revision, a.billed) == (2, 2 * PRICE)
        assert [image.revision for image in reader.images(1) if image.task == a.id] == [1, 2]
        assert len(list(reader.images())) == 3


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("shoe", ["shoe/1280x1280/1", "shoe/1280x1280/2", "shoe/2048x2048/1", "shoe/2048x2048/2"]),
        ("shoe/2048x2048", ["shoe/2048x2048/1", "shoe/2048x2048/2"]),
        ("shoe/1:1@2K/2", ["shoe/2048x2048/2"]),
        ("hats/red", ["hats/red/1280x1280/1", "hats/red/1280x1280/2", "hats/red/2048x2048/1", "hats/red/2048x2048/2"]),
        ("hats/red/1280x1280/1", ["hats/red/1280x1280/1"]),
        ("5", ["hats/red/1280x1280/1"]),
        ("hats", []),
        ("shoe/9", []),
        ("shoe/1280x1280/²", []),
        ("/", []),
        ("9" * 30, []),
    ],
)
def test_find_understands_what_people_write(path: Path, reference: str, found: list[str]) -> None:
    with Ledger.open(empty_ledger(path), ManualClock()) as ledger:
        ledger.record(plan("shoe", "hats/red", sizes=(SMALL, LARGE), samples=2))
    with Reader(path) as reader:
        assert [f"{row.key}/{row.size}/{row.sample}" for row in reader.find(reference)] == found
        assert reader.find(reference, "autumn") == []


async def test_attempts_and_problems_tell_what_went_wrong(ledger: Ledger, path: Path) -> None:
    with Reader(path) as reader:
        (b,) = reader.find("b")
        (attempt,) = reader.attempts(b.id)
        assert (attempt.outcome, attempt.charge, attempt.number, attempt.at_most) == (
            OutcomeKind.SERVER_ERROR,
            Charge.VOID,
            1,
            0,
        )
        problems = list(reader.problems(1))
        assert [(problem.key, problem.attempt.outcome, problem.state) for problem in problems] == [
            ("b", OutcomeKind.SERVER_ERROR, TaskState.FAILED),
            ("c", OutcomeKind.LOST, TaskState.PARKED),
            ("d", OutcomeKind.SERVER_ERROR, TaskState.RETRYABLE),
        ]
        assert [(problem.key, problem.attempt.at_most) for problem in reader.unknowns()] == [("c", PRICE)]
        assert list(reader.problems(2)) == []


async def test_waiting_foretells_what_a_requeue_does(ledger: Ledger, path: Path) -> None:
    with Reader(path) as reader:
        foretold = reader.waiting(1)
        assert reader.waiting(1, {TaskState.FAILED}, {"c"}) == {}
    assert foretold == {Ask(SMALL, ""): 3}
    assert ledger.requeue(1) == foretold


async def test_reader_sees_one_moment_and_never_holds_up_the_writer(ledger: Ledger, path: Path) -> None:
    with Reader(path) as reader:
        before = reader.jobs()
        ledger.cancel(1)
        assert reader.jobs() == before
    with Reader(path) as reader:
        assert reader.jobs() != before


async def test_reader_cannot_write(ledger: Ledger, path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be written"), Reader(path) as reader:
        reader._connection.exec_driver_sql("UPDATE job SET billed = 0")


def test_reader_says_what_is_wrong_with_the_file(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"no ledger at .+; run a manifest first"), Reader(path):
        pass
    assert not path.exists()
    path.touch()
    with pytest.raises(LedgerError, match="is empty"), Reader(path):
        pass
    path.write_text("dear reader, " * 100)
    with pytest.raises(LedgerError, match="not a batchgen ledger"), Reader(path):
        pass
    with pytest.raises(LedgerError, match="is a folder"), Reader(tmp_path):
        pass
