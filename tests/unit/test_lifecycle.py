from __future__ import annotations

import pytest
from sqlalchemy import CheckConstraint

from batchgen.domain.lifecycle import (
    CHARGE_MOVES,
    TRANSITIONS,
    WAITING,
    Charge,
    TaskEvent,
    TaskState,
    next_state,
)
from batchgen.domain.model import OutcomeKind
from batchgen.ledger.tables import attempt, task


def test_transitions_cover_every_event() -> None:
    assert set(TRANSITIONS) == set(TaskEvent)


@pytest.mark.parametrize("event", TaskEvent)
@pytest.mark.parametrize("state", TaskState)
def test_next_state_follows_the_table_and_refuses_the_rest(state: TaskState, event: TaskEvent) -> None:
    sources, target = TRANSITIONS[event]
    if state in sources:
        assert next_state(state, event) is target
    else:
        with pytest.raises(ValueError, match=f"{state} cannot {event}"):
            next_state(state, event)


def test_every_state_is_reached_and_left() -> None:
    assert {target for _, target in TRANSITIONS.values()} == set(TaskState)
    assert frozenset().union(*(sources for sources, _ in TRANSITIONS.values())) == set(TaskState)


def test_running_is_entered_by_a_reservation_only_and_never_left_by_a_person() -> None:
    assert [event for event, (_, target) in TRANSITIONS.items() if target is TaskState.RUNNING] == [TaskEvent.RESERVE]
    for event in (TaskEvent.REQUEUE, TaskEvent.REVISE, TaskEvent.CANCEL):
        assert TaskState.RUNNING not in TRANSITIONS[event][0]


def test_completed_task_is_bought_again_only_when_it_is_revised() -> None:
    leaving = [event for event, (sources, _) in TRANSITIONS.items() if TaskState.COMPLETED in sources]
    assert leaving == [TaskEvent.REVISE, TaskEvent.ADOPT]
    assert TRANSITIONS[TaskEvent.ADOPT][1] is TaskState.COMPLETED


def test_waiting_states_are_those_a_run_still_works_on() -> None:
    assert {state for state in TaskState if state in TRANSITIONS[TaskEvent.RESERVE][0]} | {TaskState.RUNNING} == WAITING


def test_charge_is_resolved_once_and_never_reserved_again() -> None:
    assert set(CHARGE_MOVES) == set(Charge)
    assert not CHARGE_MOVES[Charge.BILLED]
    assert not CHARGE_MOVES[Charge.VOID]
    assert all(Charge.RESERVED not in targets for targets in CHARGE_MOVES.values())


@pytest.mark.parametrize(
    ("table", "name", "values"),
    [
        (task, "ck_task_state", TaskState),
        (attempt, "ck_attempt_charge", Charge),
        (attempt, "ck_attempt_outcome", OutcomeKind),
    ],
)
def test_schema_admits_exactly_the_values_of_the_domain(table, name, values) -> None:  # type: ignore[no-untyped-def]
    (check,) = (each for each in table.constraints if isinstance(each, CheckConstraint) and each.name == name)
    quoted = str(check.sqltext).partition(" IN ")[2]
    assert quoted == f"({', '.join(repr(str(value)) for value in values)})"
