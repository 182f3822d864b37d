"""Which images are looked for, and what a task is after its image is given up."""

from __future__ import annotations

from pathlib import Path

from batchgen.ledger.ledger import Ledger
from batchgen.ledger.listing import delivered_files
from batchgen.ledger.reader import Reader
from batchgen.report.missing_images import look_for
from tests.conftest import ManualClock
from tests.support.ledger import deliver, plan, query

KEYS = [f"p{number:03d}" for number in range(60)]


async def bought(path: Path, clock: ManualClock) -> Ledger:
    ledger = Ledger.open(path, clock)
    ledger.record(plan(*KEYS))
    job = ledger.job("spring")
    await deliver(ledger, *await ledger.claim(job, 100, clock.now()))
    return ledger


async def test_of_many_images_some_are_looked_for_evenly_spread_over_all(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "ledger.db"
    (await bought(path, clock)).close()
    assert [image.task for image in delivered_files(path, 1)] == list(range(1, 61))
    some = [image.task for image in delivered_files(path, 1, 12)]
    assert some == list(range(1, 61, 5))
    assert list(delivered_files(path, 2)) == []


async def test_what_is_looked_for_is_a_file_of_the_size_that_was_bought(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "ledger.db"
    (await bought(path, clock)).close()
    for place, image in enumerate(delivered_files(path, 1)):
        file = tmp_path / "out" / image.path
        file.parent.mkdir(parents=True, exist_ok=True)
        if place:
            file.write_bytes(b"\0" * (image.bytes - (place == 1)))
    with Reader(path) as reader:
        found = look_for(path, reader.job("spring"), tmp_path / "out")
    assert (found.missing, found.looked, found.delivered) == (2, 60, 60)
    assert [first.partition("/")[0] for first in found.first] == ["p000", "p001"]


async def test_image_that_is_given_up_is_bought_at_a_new_revision_and_stays_paid(
    tmp_path: Path, clock: ManualClock
) -> None:
    path = tmp_path / "ledger.db"
    ledger = await bought(path, clock)
    assert ledger.buy_anew(1, [2, 3]) == 2
    assert ledger.buy_anew(1, [2, 3]) == 0
    again = await ledger.claim(1, 100, clock.now())
    assert [(claim.key, claim.revision) for claim in again] == [("p001", 2), ("p002", 2)]
    await deliver(ledger, *again)
    ledger.close()
    assert query(path, "SELECT count(*), sum(billed) FROM attempt") == [(62, 62 * 30_000)]
    assert query(path, "SELECT count(*) FROM task WHERE state = 'completed' AND image_id > 60") == [(2,)]
