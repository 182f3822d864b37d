"""What is written of an attempt is read again field by field, so that no two neighbours change places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Booking, OutcomeKind, Reservation, Settlement
from batchgen.domain.output_image import Image
from batchgen.domain.wire import Usage
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import AttemptRow, ImageRow
from batchgen.ledger.runs import NewRun
from batchgen.ledger.statements.fragments import FIELDS
from batchgen.ledger.tables import attempt, image
from tests.conftest import ManualClock
from tests.support.ledger import empty_ledger, plan, reservation

APART = {"budget", "per_run", "monthly"}  # what a reservation must not go over is not the attempt's
SPECIAL: dict[str, Any] = {
    "charge": Charge.BILLED,
    "kind": OutcomeKind.EMPTY,
    "usage": Usage(output_tokens=7),
    "request_ids": (("x-request-id", "r1"),),
    "effective": (("size", "8x8"),),
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(empty_ledger(tmp_path / "ledger.db"), ManualClock()) as opened:
        opened.record(plan("a"))
        yield opened


def distinct(kind: type, **given: Any) -> Any:
    """A value whose fields are all different."""
    makers = {"int": lambda n: 1_000 + n, "float": lambda n: 2_000.5 + n, "str": lambda n: f"text {n}"}
    values = given | {name: value for name, value in SPECIAL.items() if name not in given}
    for place, each in enumerate(fields(kind)):
        if each.name not in values:
            values[each.name] = makers[str(each.type).partition(" ")[0]](place)
    return kind(**{each.name: values[each.name] for each in fields(kind)})


@pytest.mark.parametrize(("row", "table"), [(AttemptRow, attempt), (ImageRow, image)])
def test_row_has_a_field_for_every_column(row: type, table: Any) -> None:
    assert {each.name for each in fields(row)} == {FIELDS.get(each.name, each.name) for each in table.c}


async def test_every_field_of_an_attempt_is_read_as_it_was_written(ledger: Ledger) -> None:
    (claim,) = await ledger.claim(1, 1, 0.0)
    run = ledger.begin_run(NewRun(1, 7, "here"))
    wanted: Reservation = distinct(
        Reservation, task=claim.task, job=1, revision=1, run=run, budget=None, per_run=None, monthly=None
    )
    number = await ledger.reserve(wanted)
    assert number == 1
    booked: Booking = distinct(Booking, attempt=number)
    await ledger.book(booked)
    with Reader(ledger.path) as reader:
        (found,) = reader.attempts(claim.task)
        (problem,) = reader.problems(1)
    expected = {name: value for name, value in asdict(wanted).items() if name not in APART}
    expected |= {each.name: getattr(booked, each.name) for each in fields(Booking)}
    outcome = expected.pop("kind")
    for name in ("attempt", "doubt"):
        del expected[name]
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.id, found.outcome, found.number) == (number, outcome, 1)
    assert problem.attempt == found


async def test_every_field_of_an_image_is_read_as_it_was_written(ledger: Ledger) -> None:
    (claim,) = await ledger.claim(1, 1, 0.0)
    number = await ledger.reserve(reservation(claim))
    assert isinstance(number, int)
    placed: Image = distinct(Image, blank=False)
    settlement = Settlement(claim.task, number, TaskEvent.COMPLETE, image=placed)
    await ledger.book_and_settle(distinct(Booking, attempt=number), settlement)
    with Reader(ledger.path) as reader:
        (found,) = reader.images(1)
        (task,) = reader.tasks(1)
    expected = {each.name: getattr(placed, each.name) for each in fields(Image) if each.name != "blank"}
    assert {name: getattr(found, name) for name in expected} == expected
    assert (found.id, found.attempt, found.task, found.job) == (number, number, claim.task, 1)
    assert (found.own, found.shared) == (claim.own, claim.shared)
    assert task.image == found
