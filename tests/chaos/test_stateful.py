"""Any order of verbs, over two jobs, batches and routes, leaves the books that a model in plain Python has, too."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batchgen.domain.errors import BatchUnderWay, LedgerError, PaidUnderWay, StaleClaim
from batchgen.domain.lifecycle import TRANSITIONS, BatchState, Charge, TaskEvent, TaskState
from batchgen.domain.model import Claim, Settlement
from batchgen.domain.output_image import Image
from batchgen.domain.walls import Wall
from batchgen.ledger.audit import check
from batchgen.ledger.batches import NewBatch
from batchgen.ledger.ledger import Ledger
from tests.chaos.books_model import Model
from tests.chaos.site import LONG
from tests.conftest import ManualClock
from tests.support.ledger import PRICE, SmallPlan, booking, empty_ledger, query, reservation

T = TypeVar("T")
BUDGET = 7 * PRICE
JOBS = ("autumn", "spring")
ROUTES = ("", "a/b", "c/d")

_TASKS = (
    "SELECT p.key, work, state, t.wanted, revision, last_revision, attempts, unknowns, calls, send_route, scheduled_at "
    "FROM task t JOIN prompt p ON p.id = t.prompt_id JOIN job j ON j.id = t.job_id WHERE j.name = "
)
a_job, a_key = st.sampled_from(JOBS), st.sampled_from("abc")
some_routes = st.none() | st.frozensets(st.sampled_from(ROUTES), min_size=1)
some_keys = st.none() | st.frozensets(a_key, min_size=1)
a_charge = st.sampled_from([Charge.BILLED, Charge.VOID, Charge.UNKNOWN])
a_batch_state, an_event = st.sampled_from(sorted(BatchState)), st.sampled_from(sorted(TaskEvent))
another_route = st.none() | st.sampled_from(ROUTES[1:])


class Books(RuleBasedStateMachine):
    """A real ledger, and the model beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = empty_ledger(Path(self.folder.name) / "ledger.db")
        self.loop = asyncio.new_event_loop()
        self.ledger = Ledger.open(self.path, ManualClock())
        self.model = Model()
        self.texts = {job: {key: f"{key} 0" for key in "abc"} for job in JOBS}
        self.under_way: dict[int, str] = {}
        self.versions = 0
        for job in JOBS:
            self.record(job)

    def teardown(self) -> None:
        findings = check(self.path)
        self.ledger.close()
        self.loop.close()
        self.folder.cleanup()
        assert findings == []

    def wait(self, verb: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(verb)

    def record(self, job: str) -> None:
        self.ledger.record(SmallPlan(self.texts[job], name=job))  # type: ignore[arg-type]
        self.model.record(job, self.texts[job])

    def claims(self, job: str, now: float, routes: frozenset[str] | None) -> list[Claim]:
        found = self.wait(self.ledger.claim(self.ledger.job(job), 9, now, (), None, routes))
        assert [claim.key for claim in found] == self.model.claimable(job, now, routes)
        return found

    @rule(job=a_job, now=st.sampled_from([0.0, 1_000.0]), routes=some_routes, data=st.data())
    def reserve(self, job: str, now: float, routes: frozenset[str] | None, data: st.DataObject) -> None:
        found = self.claims(job, now, routes)
        if not found:
            return
        claim = data.draw(st.sampled_from(found))
        attempt = self.wait(self.ledger.reserve(reservation(claim, budget=BUDGET)))
        assert (attempt is Wall.JOB) == (self.model.spent(job) + PRICE > BUDGET)
        if not isinstance(attempt, Wall):
            self.model.reserve(job, claim.key, claim.task, attempt)
            with pytest.raises(StaleClaim):
                self.wait(self.ledger.reserve(reservation(claim)))

    @rule(job=a_job, most=st.integers(1, 3))
    def open_bundle(self, job: str, most: int) -> None:
        found = self.claims(job, 1_000.0, None)[:most]
        if not found:
            return
        room = (BUDGET - self.model.spent(job)) // PRICE
        self.versions += 1
        calls = tuple(reservation(claim, budget=BUDGET) for claim in found)
        made = self.wait(self.ledger.open_batch(NewBatch(self.ledger.job(job), "a/b", f"t{self.versions}", calls)))
        assert [attempt is not Wall.JOB for attempt in made.attempts] == [place < room for place in range(len(found))]
        for claim, attempt in zip(found, made.attempts, strict=True):
            if not isinstance(attempt, Wall):
                self.model.reserve(job, claim.key, claim.task, attempt)
        assert (made.batch is None) == (room <= 0)
        if made.batch is not None:
            self.under_way[made.batch] = job

    @precondition(lambda self: self.under_way)
    @rule(state=a_batch_state, data=st.data())
    def move_bundle(self, state: BatchState, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.under_way)))
        rows = self.wait(self.ledger.open_batches(self.ledger.job(self.under_way[number])))
        assert [each.id for each in rows] == sorted(
            each for each, job in self.under_way.items() if job == self.under_way[number]
        )
        row = replace(next(each for each in rows if each.id == number), state=state)
        self.wait(self.ledger.move_batch(replace(row, remote="" if state is BatchState.WRITTEN else "batch_1")))
        if state is BatchState.CLOSED:
            del self.under_way[number]
        with pytest.raises(LedgerError):
            self.wait(self.ledger.move_batch(replace(row, id=999)))

    @precondition(lambda self: self.model.paid)
    @rule(charge=a_charge, data=st.data())
    def book(self, charge: Charge, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.model.paid)))
        amount = data.draw(st.integers(0, PRICE)) if charge is Charge.BILLED else 0
        paid = self.model.paid[attempt]
        same = (paid.charge, paid.amount) == (charge, amount) and not paid.by_a_person
        if paid.charge is Charge.RESERVED or same:
            self.wait(self.ledger.book(booking(attempt, charge, amount)))
            paid.charge, paid.amount = charge, amount
        else:
            with pytest.raises(LedgerError):
                self.wait(self.ledger.book(booking(attempt, charge, amount)))

    @precondition(lambda self: self.model.paid)
    @rule(event=an_event, route=another_route, lost=st.booleans(), together=st.booleans(), data=st.data())
    def settle(self, event: TaskEvent, route: str | None, lost: bool, together: bool, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.model.paid)))
        paid = self.model.paid[attempt]
        task = self.model.tasks[paid.job][paid.key]
        wanted = Settlement(paid.task, attempt, event, scheduled_at=500.0 + attempt, lost=lost, send_route=route)
        if event is TaskEvent.COMPLETE:
            image = Image(f"{paid.job}/{attempt}.png", "b" * 64, 9, 1280, 1280, "png")
            wanted = replace(wanted, image=image, send_route=None)
        legal = TaskState.RUNNING in TRANSITIONS[event][0] and task.holder == attempt
        if together and legal and paid.charge is Charge.RESERVED:
            self.wait(self.ledger.book_and_settle(booking(attempt), wanted))
            paid.charge = Charge.BILLED
            self.model.settle(task, wanted)
        elif legal and paid.charge is not Charge.RESERVED:
            self.wait(self.ledger.settle(wanted))
            self.model.settle(task, wanted)
        else:
            with pytest.raises(LedgerError):
                self.wait(self.ledger.settle(wanted))

    @precondition(lambda self: self.model.paid)
    @rule(charge=a_charge, data=st.data())
    def settle_unknown(self, charge: Charge, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.model.paid)))
        paid, amount = self.model.paid[attempt], PRICE // 2 if charge is Charge.BILLED else 0
        if paid.charge is Charge.UNKNOWN and charge is not Charge.UNKNOWN:
            self.ledger.settle_unknown(attempt, charge, amount, "a person")
            paid.charge, paid.amount, paid.by_a_person = charge, amount, True
        else:
            with pytest.raises(LedgerError):
                self.ledger.settle_unknown(attempt, charge, amount, "a person")

    @rule(job=a_job, only=some_keys)
    def requeue(self, job: str, only: frozenset[str] | None) -> None:
        found = self.ledger.requeue(self.ledger.job(job), None, only)
        assert sum(found.values()) == self.model.move(job, TaskEvent.REQUEUE, only)

    @rule(job=a_job, only=some_keys)
    def cancel(self, job: str, only: frozenset[str] | None) -> None:
        assert self.ledger.cancel(self.ledger.job(job), only) == self.model.move(job, TaskEvent.CANCEL, only)

    @rule(job=a_job, key=a_key, gone=st.booleans(), back=st.none() | st.integers(0, 9))
    def change(self, job: str, key: str, gone: bool, back: int | None) -> None:
        self.versions += 1
        version = self.versions if back is None else min(back, self.versions)
        changed = {**self.texts[job], key: f"{key} {version}"}
        if gone:
            del changed[key]
        held, in_bundles = self.model.held(job), job in self.under_way.values()
        touched = any(changed.get(each) != self.texts[job].get(each) for each in held.values())
        if held and changed != self.texts[job] and (in_bundles or touched):
            with pytest.raises(BatchUnderWay if in_bundles else PaidUnderWay):
                self.ledger.record(SmallPlan(changed, name=job))  # type: ignore[arg-type]
        else:
            self.texts[job] = changed
            self.record(job)

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path, ManualClock())
        for job in JOBS:
            found = self.wait(self.ledger.interrupted(self.ledger.job(job)))
            assert {each.attempt.id: each.claim.key for each in found} == self.model.held(job)

    @invariant()
    def books_are_the_models(self) -> None:
        for job in JOBS:
            sums = query(self.path, f"SELECT billed, unknown, reserved FROM job WHERE name = '{job}'")
            assert sums == [self.model.sums(job)]
            assert self.model.spent(job) <= BUDGET
            rows = {key: tuple(row) for key, *row in query(self.path, f"{_TASKS} '{job}'")}
            assert rows == {key: task.row() for key, task in self.model.tasks[job].items()}


Books.TestCase.settings = settings(
    max_examples=2_000 if LONG else 25,
    stateful_step_count=40,
    deadline=None,
    derandomize=not LONG,
    suppress_health_check=list(HealthCheck),
)
TestBooks = Books.TestCase
