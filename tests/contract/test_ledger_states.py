"""Any order of verbs leaves books that agree: sums, budget, fence, and every charge decided once."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from batchgen.domain.errors import LedgerError, StaleClaim
from batchgen.domain.lifecycle import TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.model import Claim, Settlement
from batchgen.domain.walls import Wall
from batchgen.ledger.audit import check
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.runs import NewRun
from tests.conftest import ManualClock
from tests.support.ledger import PRICE, SmallPlan, booking, completion, empty_ledger, query, reservation

T = TypeVar("T")
BUDGET = 5 * PRICE


class Books(RuleBasedStateMachine):
    """A ledger, and beside it a model that only knows what each attempt is worth."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = empty_ledger(Path(self.folder.name) / "ledger.db")
        self.loop = asyncio.new_event_loop()
        self.ledger = Ledger.open(self.path, ManualClock())
        self.texts = {"a": 0, "b": 0, "c": 0}
        self.record()
        self.charges: dict[int, tuple[Charge, int]] = {}
        self.held: dict[int, tuple[Claim, int]] = {}
        self.decided: set[int] = set()  # by a person: no booking is the same as that
        self.run: int | None = None

    def teardown(self) -> None:
        findings = check(self.path)
        self.ledger.close()
        self.loop.close()
        self.folder.cleanup()
        assert findings == []

    def wait(self, verb: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(verb)

    def record(self) -> None:
        self.ledger.record(SmallPlan({key: f"{key} {version}" for key, version in self.texts.items()}))

    @property
    def spent(self) -> int:
        return sum(
            PRICE if charge in (Charge.UNKNOWN, Charge.RESERVED) else amount for charge, amount in self.charges.values()
        )

    @rule()
    def begin_run(self) -> None:
        """Whatever is under way stays with the run that made it."""
        self.run = self.ledger.begin_run(NewRun(1, 4242, "here"))

    @rule(now=st.sampled_from([0.0, 1_000.0]), data=st.data())
    def reserve(self, now: float, data: st.DataObject) -> None:
        claims = self.wait(self.ledger.claim(1, 9, now))
        if not claims:
            return
        claim = data.draw(st.sampled_from(claims))
        attempt = self.wait(
            self.ledger.reserve(reservation(claim, budget=BUDGET, run=self.run, reserved_at=now * 86_400.0 + 86_400.0))
        )
        assert (attempt is Wall.JOB) == (self.spent + PRICE > BUDGET)
        if not isinstance(attempt, Wall):
            assert attempt not in self.charges
            self.charges[attempt] = (Charge.RESERVED, PRICE)
            self.held[attempt] = (claim, claim.task)
            with pytest.raises(StaleClaim):
                self.wait(self.ledger.reserve(reservation(claim)))

    @precondition(lambda self: self.charges)
    @rule(charge=st.sampled_from([Charge.BILLED, Charge.VOID, Charge.UNKNOWN]), data=st.data())
    def book(self, charge: Charge, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.charges)))
        amount = data.draw(st.integers(0, PRICE)) if charge is Charge.BILLED else 0
        before, known = self.charges[attempt]
        same = (before, known) == (charge, amount) and attempt not in self.decided
        if before is Charge.RESERVED or same:
            self.wait(self.ledger.book(booking(attempt, charge, amount)))
            self.charges[attempt] = (charge, amount)
        else:
            with pytest.raises(LedgerError):
                self.wait(self.ledger.book(booking(attempt, charge, amount)))

    @precondition(lambda self: self.charges)
    @rule(event=st.sampled_from(sorted(TaskEvent)), data=st.data())
    def settle(self, event: TaskEvent, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.charges)))
        claim, task = self.held.get(attempt, (None, 1))
        wanted = (
            completion(claim, attempt)
            if event is TaskEvent.COMPLETE and claim is not None
            else Settlement(task, attempt, event, scheduled_at=500.0, lost=self.charges[attempt][0] is Charge.UNKNOWN)
        )
        legal = TaskState.RUNNING in TRANSITIONS[event][0] and claim is not None
        if legal and self.charges[attempt][0] is not Charge.RESERVED:
            self.wait(self.ledger.settle(wanted))
            del self.held[attempt]
        else:
            with pytest.raises(LedgerError):
                self.wait(self.ledger.settle(wanted))

    @precondition(lambda self: self.charges)
    @rule(charge=st.sampled_from([Charge.BILLED, Charge.VOID]), data=st.data())
    def settle_unknown(self, charge: Charge, data: st.DataObject) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.charges)))
        amount = PRICE // 2 if charge is Charge.BILLED else 0
        if self.charges[attempt][0] is Charge.UNKNOWN:
            self.ledger.settle_unknown(attempt, charge, amount, "a person")
            self.charges[attempt] = (charge, amount)
            self.decided.add(attempt)
        else:
            with pytest.raises(LedgerError):
                self.ledger.settle_unknown(attempt, charge, amount, "a person")

    @rule()
    def requeue(self) -> None:
        self.ledger.requeue(1)

    @rule()
    def cancel(self) -> None:
        self.ledger.cancel(1)

    @precondition(lambda self: not self.held)
    @rule(key=st.sampled_from("abc"))
    def change(self, key: str) -> None:
        self.texts[key] = self.texts.get(key, 0) + 1
        self.record()

    @precondition(lambda self: not self.held)
    @rule(key=st.sampled_from("abc"))
    def remove(self, key: str) -> None:
        self.texts.pop(key, None)
        self.record()

    @rule()
    def reopen(self) -> None:
        self.ledger.close()
        self.ledger = Ledger.open(self.path, ManualClock())
        found = self.wait(self.ledger.interrupted(1))
        assert {each.attempt.id: each.claim.task for each in found} == {
            key: task for key, (_, task) in self.held.items()
        }

    @invariant()
    def sums_agree_with_the_model(self) -> None:
        sums = dict.fromkeys(Charge, 0)
        for charge, amount in self.charges.values():
            sums[charge] += PRICE if charge is Charge.UNKNOWN else amount
        assert query(self.path, "SELECT billed, unknown, reserved, tasks FROM job") == [
            (sums[Charge.BILLED], sums[Charge.UNKNOWN], sums[Charge.RESERVED], len(self.texts))
        ]
        assert sum(sums.values()) <= BUDGET


Books.TestCase.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestBooks = Books.TestCase
