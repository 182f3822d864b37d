"""Answers that say the same again and again: when no other one is to be expected."""

from __future__ import annotations

import pytest

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Outcome, OutcomeKind
from batchgen.policy.alike import FEW, MANY, Alike


def said(kind: OutcomeKind, cause: str = "") -> Outcome:
    return Outcome(kind, Charge.VOID, "what happened", cause=cause or str(kind))


def row(kind: OutcomeKind, tasks: int, start: Alike | None = None) -> Alike:
    """So many tasks get the same answer, each sent a second after the one before and answered within a second."""
    known = start or Alike()
    for task in range(tasks):
        known = known.after(said(kind), task, float(task), task + 1.0)
    return known


@pytest.mark.parametrize("kind", FEW)
@pytest.mark.parametrize("proven", [False, True])
def test_few_answers_alike_are_enough_before_the_first_image_and_many_later(kind: OutcomeKind, proven: bool) -> None:
    most = MANY if proven else FEW[kind]
    assert not row(kind, most - 1).hopeless([], 100.0, proven=proven)
    assert row(kind, most).hopeless([], 100.0, proven=proven)


def test_one_task_that_gets_the_same_answer_again_and_again_counts_once() -> None:
    known = Alike()
    for time in range(MANY):
        known = known.after(said(OutcomeKind.EMPTY), 1, float(time), time + 1.0)
    assert not known.hopeless([], 100.0, proven=False)


def test_answers_that_say_something_else_begin_anew() -> None:
    known = row(OutcomeKind.REJECTED, FEW[OutcomeKind.REJECTED] - 1)
    other = known.after(said(OutcomeKind.REJECTED, "parameter:invalid_value"), 99, 50.0, 51.0)
    assert not other.hopeless([], 100.0, proven=False)


def test_image_ends_the_row_only_when_its_call_was_sent_since() -> None:
    started = Alike().after(said(OutcomeKind.EMPTY), 1, 10.0, 11.0)
    image = said(OutcomeKind.DELIVERED)
    assert started.after(image, 2, 9.0, 12.0) == started
    assert started.after(image, 2, 10.5, 12.0) == Alike()


def test_other_trouble_leaves_the_row_as_it_is() -> None:
    known = row(OutcomeKind.EMPTY, 2)
    for kind in set(OutcomeKind) - set(FEW) - {OutcomeKind.DELIVERED}:
        assert known.after(said(kind), 9, 50.0, 51.0) == known


def test_calls_that_live_on_outweigh_answers_that_came_quickly() -> None:
    """Rows that are wrong are refused at once; images take a minute. The row says nothing while others still draw."""
    known = row(OutcomeKind.REJECTED, FEW[OutcomeKind.REJECTED])
    drawing = [0.5 * number for number in range(FEW[OutcomeKind.REJECTED])]
    assert not known.hopeless(drawing, 7.0, proven=False)
    assert known.hopeless(drawing[1:], 7.0, proven=False)
    just_sent = [6.5] * 50
    sent_before = [-1.0] * 50
    assert known.hopeless([*just_sent, *sent_before], 7.0, proven=False)
