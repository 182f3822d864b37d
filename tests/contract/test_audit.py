"""Books that do not agree are found, each in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchgen.domain.clock import month_of
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.ledger.audit import check
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.runs import NewRun
from tests.conftest import ManualClock
from tests.support.ledger import deliver, empty_ledger, end, plan, reservation, spoil

MONTH = f"month {month_of(100.0)}"  # of every attempt of these tests
WHERE = {key: f"spring {key}/1280x1280/1" for key in "abcd"}


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """a is delivered by attempt 1, b failed after attempt 2, c is held by attempt 3, d waits; another job is as it should.

    Attempts 1 and 3 are of run 1.
    """
    path = empty_ledger(tmp_path / "ledger.db")
    with Ledger.open(path, ManualClock()) as ledger:
        ledger.record(plan("a", "b", "c", "d"))
        a, b, c, _ = await ledger.claim(1, 9, 0.0)
        run = ledger.begin_run(NewRun(1, 4242, "here"))
        await deliver(ledger, a, run=run)
        await end(ledger, b, TaskEvent.FAIL, Charge.UNKNOWN)
        await ledger.reserve(reservation(c, run=run))
        ledger.record(plan("x", name="autumn"))
    return path


def test_healthy_books_have_no_findings(path: Path) -> None:
    assert check(path) == []


@pytest.mark.parametrize(
    ("damage", "kind", "where", "detail"),
    [
        ("UPDATE job SET billed = 1 WHERE id = 1", "sums", "spring", "billed is 1 micro-dollars, but its attempts come to 30000"),
        ("UPDATE attempt SET billed = 40000 WHERE id = 2", "sums", "spring", "unknown is 30000 micro-dollars, but its attempts come to 40000"),
        ("UPDATE job SET reserved = 0 WHERE id = 1", "sums", "spring", "reserved is 0"),
        ("UPDATE run SET billed = 1", "sums", "spring, run 1", "billed is 1 micro-dollars, but its attempts come to 30000"),
        ("UPDATE run SET reserved = 0", "sums", "spring, run 1", "reserved is 0 micro-dollars, but its attempts come to 30000"),
        ("UPDATE month SET unknown = 7", "sums", MONTH, "unknown is 7 micro-dollars, but its attempts come to 30000"),
        ("UPDATE attempt SET month = '1999-01' WHERE id = 1", "sums", "spring", "has calls of the month 1999-01, which has no sum"),
        ("UPDATE attempt SET run_id = 9 WHERE id = 1", "sums", "spring", "has calls of run 9 that is none of its own"),
        ("UPDATE run SET job_id = 2", "sums", "spring", "has calls of run 1 that is none of its own"),
        ("UPDATE run SET calls = 3", "counters", "spring, run 1", "made 2 calls, but counts 3"),
        ("UPDATE run SET delivered = 0", "counters", "spring, run 1", "brought 1 images, but counts 0"),
        ("UPDATE task SET attempt_id = 1 WHERE id = 3", "fence", WHERE["c"], "attempt 1 that should hold it is none of its own"),
        ("UPDATE task SET attempt_id = 1 WHERE id = 3", "fence", WHERE["c"], "has attempt 3 still reserved"),
        ("DELETE FROM image", "images", WHERE["a"], "no image of revision 1 is recorded"),
        ("UPDATE task SET work = 'failed' WHERE id = 1", "images", WHERE["a"], "has image a/1280x1280-1.png of its present revision, but is failed"),
        ("UPDATE task SET image_id = 2 WHERE id = 1", "images", WHERE["a"], "points at image 2 that is none of its own"),
        ("UPDATE image SET own = 7", "images", WHERE["a"], "but was bought for something else than it asks now"),
        ("UPDATE task SET last_revision = 3 WHERE id = 1", "counters", WHERE["a"], "counts 3 as its last revision"),
        ("UPDATE image SET attempt_id = 2", "images", WHERE["a"], "from attempt 2 that was not made for it"),
        ("UPDATE task SET calls = 5 WHERE id = 4", "counters", WHERE["d"], "counts 5 calls"),
        ("UPDATE job SET tasks = 9 WHERE id = 1", "counters", "spring", "has 4 tasks of its manifest, but counts 9"),
        ("UPDATE task SET prompt_id = 99 WHERE id = 4", "file", "", "row 4 of task refers to a row of prompt that is not there"),
        ("UPDATE task SET work = 'lost' WHERE id = 4", "file", "", "row 4 of task breaks ck_task_state"),
    ],
)  # fmt: skip
def test_damage_is_found_and_named(path: Path, damage: str, kind: str, where: str, detail: str) -> None:
    spoil(path, damage)
    found = check(path)
    assert any((each.check, each.where) == (kind, where) and detail in each.detail for each in found), found


def test_check_of_one_job_leaves_the_others_alone(path: Path) -> None:
    spoil(path, "UPDATE job SET billed = 1, tasks = 8 WHERE id = 1", "UPDATE task SET calls = 5 WHERE id = 4")
    assert len(check(path, 1)) == 3
    assert check(path, 2) == []
