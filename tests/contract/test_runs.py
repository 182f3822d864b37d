"""What the books know of a run: begun before its calls, ended with its reason, and what its calls have come to."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.cli.text.runs import outage_lines
from batchgen.domain.errors import Exit, LedgerError
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Settlement
from batchgen.ledger.audit import check
from batchgen.ledger.holder import Held, held
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.runs import NewOutage, NewRun, OutageEnd, RunEnd, RunRow, Runs, RunState
from tests.conftest import ManualClock
from tests.support.ledger import PRICE, booking, completion, deliver, end, plan, reservation

HERE = NewRun(1, os.getpid(), socket.gethostname())
NOBODY = 2**22 + 1  # no process has this number: the kernel's highest is 2**22


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path, clock: ManualClock) -> Iterator[Ledger]:
    with Ledger.open(path, clock) as opened:
        opened.record(plan(*"abcdef"))
        yield opened


def runs(path: Path, most: int = 9) -> Runs:
    with Reader(path) as reader:
        return reader.runs(1, most)


def last(path: Path) -> RunRow:
    return runs(path).last[0]


def test_holder_of_a_ledger_is_known_to_who_does_not_lock_it(ledger: Ledger, path: Path, clock: ManualClock) -> None:
    assert held(path) == Held(os.getpid(), socket.gethostname(), clock.start)
    ledger.close()
    assert held(path) is None


@pytest.mark.parametrize(
    "note",
    ["", "\xff", "somebody", f"process {NOBODY} on {socket.gethostname()} since 2026-11-27T22:14:00Z", "process 1 on"],
)
def test_note_of_the_dead_and_what_is_no_note_are_nobody(path: Path, note: str) -> None:
    path.with_name("ledger.db.holder").write_bytes(note.encode("latin-1"))
    assert held(path) is None


async def test_run_goes_on_until_the_books_say_why_it_ended(ledger: Ledger, path: Path, clock: ManualClock) -> None:
    assert runs(path) == Runs(())
    number = ledger.begin_run(replace(HERE, most=5_000_000))
    clock.elapsed = 60.0
    (claim, other, *_) = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(other, run=number, reserved_at=clock.now()))
    await deliver(ledger, claim, run=number, reserved_at=clock.now())
    going_on = last(path)
    assert going_on.state is RunState.RUNNING
    assert (going_on.pid, going_on.host, going_on.most) == (os.getpid(), socket.gethostname(), 5_000_000)
    assert (going_on.calls, going_on.delivered, going_on.billed, going_on.reserved) == (2, 1, PRICE, PRICE)
    assert (going_on.started_at, going_on.seen_at, going_on.ended_at) == (clock.start, clock.now(), None)
    clock.elapsed = 90.0
    ledger.end_run(RunEnd(number, "the budget is reached", Exit.STOPPED))
    ended = last(path)
    assert (ended.state, ended.reason, ended.exit_code) == (RunState.ENDED, "the budget is reached", 4)
    assert ended.ended_at == clock.now()
    with pytest.raises(LedgerError, match="run 1 is not under way"):
        ledger.end_run(RunEnd(number, "", Exit.DELIVERED))


def test_run_whose_process_is_gone_has_died(ledger: Ledger, path: Path) -> None:
    ledger.begin_run(replace(HERE, pid=NOBODY))
    assert last(path).state is RunState.DIED, "another process has the ledger"
    ledger.close()
    assert last(path).state is RunState.DIED, "nobody has it"


def test_pid_that_is_used_again_is_another_process(path: Path, clock: ManualClock) -> None:
    with Ledger.open(path, clock) as ledger:
        ledger.record(plan("a"))
        ledger.begin_run(HERE)
    clock.elapsed = 5.0
    with Ledger.open(path, clock):
        assert last(path).state is RunState.DIED


def test_run_that_ends_while_it_is_looked_at_has_ended_or_goes_on(ledger: Ledger, path: Path) -> None:
    number = ledger.begin_run(HERE)
    with Reader(path) as reader:
        ledger.end_run(RunEnd(number, "", Exit.DELIVERED))
        ledger.close()
        assert reader.runs(1).last[0].state is RunState.RUNNING, "it went on at the moment that is looked at"
    assert last(path).state is RunState.ENDED


def test_run_that_begins_while_it_is_looked_at_goes_on(path: Path, clock: ManualClock) -> None:
    with Ledger.open(path, clock) as ledger:
        ledger.record(plan("a"))
    reader = Reader(path)
    with Ledger.open(path, clock) as ledger, pytest.MonkeyPatch.context() as patch:
        patch.setattr("batchgen.ledger.reader.held", lambda _path: None)  # it was not there before
        with reader:
            patch.undo()
            ledger.begin_run(HERE)
            assert reader.runs(1) == Runs(()), "nor in the books of that moment"
        assert last(path).state is RunState.RUNNING


async def test_calls_count_for_the_run_that_made_them_whoever_books_them(ledger: Ledger, path: Path) -> None:
    first = ledger.begin_run(replace(HERE, pid=NOBODY))
    a, b, c, d, *_ = await ledger.claim(1, 9, 0.0)
    for claim in (a, b, c):
        await ledger.reserve(reservation(claim, run=first))
    second = ledger.begin_run(HERE)
    await ledger.book_and_settle(booking(1), completion(a, 1))
    await ledger.book_and_settle(booking(2, Charge.UNKNOWN), Settlement(b.task, 2, TaskEvent.PARK))
    await deliver(ledger, d, run=second)
    assert [(row.calls, row.delivered, row.billed, row.unknown, row.reserved) for row in runs(path).last] == [
        (1, 1, PRICE, 0, 0),
        (3, 1, PRICE, PRICE, PRICE),
    ]
    ledger.settle_unknown(2, Charge.BILLED, 10_000, "by hand")
    assert (runs(path).last[1].billed, runs(path).last[1].unknown) == (PRICE + 10_000, 0)
    assert check(path) == []


async def test_earlier_runs_are_summed_up(ledger: Ledger, path: Path) -> None:
    claims = await ledger.claim(1, 9, 0.0)
    for place, claim in enumerate(claims):
        number = ledger.begin_run(HERE)
        if place % 2:
            await end(ledger, claim, TaskEvent.PARK, Charge.UNKNOWN, run=number)
        else:
            await deliver(ledger, claim, run=number)
        ledger.end_run(RunEnd(number, "", Exit.DELIVERED))
    found = runs(path, 2)
    assert [row.id for row in found.last] == [6, 5]
    assert (found.earlier, found.calls, found.delivered, found.billed, found.unknown) == (4, 4, 2, 2 * PRICE, 2 * PRICE)


async def test_outages_of_a_run_are_told_while_they_last_and_afterwards(
    ledger: Ledger, path: Path, clock: ManualClock
) -> None:
    run = ledger.begin_run(HERE)
    await ledger.begin_outage(NewOutage(run, "a/b", "4K", 7, "HTTP 500 · boom"))
    await ledger.begin_outage(NewOutage(run, "a/b", "2K", 9, "HTTP 502"))
    await clock.advance(600)
    await ledger.end_outage(OutageEnd(run, "a/b", "4K", back=True))
    four, two = last(path).outages
    assert (four.ended_at, four.back) == (clock.start + 600, True)
    assert (two.began_at, two.ended_at, two.back) == (clock.start, None, False)
    told = outage_lines(last(path), clock.now())
    assert "a/b for 4K was down from " in told[0]
    assert "(10 min): 7 tasks failed one after the other (HTTP 500 · boom)" in told[0]
    assert "a/b for 2K is down since " in told[1]
    ledger.end_run(RunEnd(run, "patience", Exit.STOPPED))
    assert "to the end of the run: 9 tasks" in outage_lines(last(path), clock.now())[1]
    again = ledger.begin_run(HERE)
    await ledger.end_outage(OutageEnd(again, "a/b", "2K", back=True))
    assert runs(path).last[1].outages[1].ended_at is None, "it is another run's"
    await ledger.begin_outage(NewOutage(again, "a/b", "", 6, "x"))
    await ledger.end_outage(OutageEnd(again, "a/b", "", back=False))
    assert "then waited for no longer" in outage_lines(last(path), clock.now())[0]
