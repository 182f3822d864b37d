"""What a person decides: again, no more, what a lost answer cost, or that an image that is gone is bought anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_
from sqlalchemy.engine import Connection

from batchgen.domain.errors import LedgerError
from batchgen.domain.job import Ask
from batchgen.domain.lifecycle import CHARGE_MOVES, TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.size import Size
from batchgen.ledger import sums
from batchgen.ledger.mapping import dump
from batchgen.ledger.statements import by_hand, registers
from batchgen.ledger.statements.fragments import among, cause_bound, has_cause
from batchgen.ledger.tables import task

Amounts = dict[Ask, int]
"""Tasks by what decides their price."""


@dataclass(frozen=True, slots=True)
class TaskSelection:
    """The tasks of a job that a person's decision is about.

    Attributes:
        states: those to take; what the event does not allow is refused.
        only: as a JSON array, the prompt keys; None for all.
        cause: what came of the last attempt at the present revision, or the part before its colon; None for all.
    """

    job: int
    event: TaskEvent
    states: frozenset[TaskState]
    only: str | None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class ChargeRuling:
    """What an attempt with an unknown charge turned out to cost.

    Attributes:
        billed: micro-dollars; 0 for `void`.
        note: who says so, and why.
    """

    attempt: int
    charge: Charge
    billed: int
    note: str


@dataclass(frozen=True, slots=True)
class Repurchase:
    """Tasks of a job, by their numbers, that are bought anew."""

    job: int
    tasks: tuple[int, ...]


def requeue(connection: Connection, selections: Sequence[TaskSelection], now: float) -> list[Amounts]:
    """Make tasks available again with their counters at zero, at the size first asked; how many by what is asked."""
    return [_change(connection, selection, now) for selection in selections]


def cancel(connection: Connection, selections: Sequence[TaskSelection], now: float) -> list[int]:
    """Want tasks no more; how many."""
    return [sum(_change(connection, selection, now).values()) for selection in selections]


def settle_unknown(connection: Connection, rulings: Sequence[ChargeRuling], _now: float) -> list[None]:
    """Decide attempts whose charge was unknown, once.

    Raises:
        LedgerError: the attempt's charge is not unknown, or the ruling is none.
    """
    for ruling in rulings:
        if ruling.charge not in CHARGE_MOVES[Charge.UNKNOWN] or (ruling.charge is Charge.VOID and ruling.billed):
            raise LedgerError(
                f"attempt {ruling.attempt} cannot be settled as {ruling.charge} with {ruling.billed} micro-dollars"
            )
        sums.decided(connection, ruling.attempt, ruling.billed)
        row = {
            "key": ruling.attempt,
            "charge": ruling.charge.value,
            "billed": ruling.billed,
            "note": ruling.note,
        }
        if by_hand.SETTLE_UNKNOWN.run(connection, [row]) != 1:
            raise LedgerError(f"attempt {ruling.attempt} has no unknown charge that could be settled")
    return [None] * len(rulings)


def select_tasks(
    key: int,
    event: TaskEvent,
    states: Iterable[TaskState] | None,
    only: Iterable[str] | None,
    cause: str | None = None,
) -> TaskSelection:
    """Tasks of a job that an event allows, or of these only those in some states, of some prompts and of one cause.

    Raises:
        LedgerError: the event is not legal in one of the states.
    """
    legal = TRANSITIONS[event][0]
    wanted = legal if states is None else frozenset(states)
    if not wanted <= legal:
        raise LedgerError(f"a task that is {min(wanted - legal)} cannot {event}")
    return TaskSelection(key, event, wanted, None if only is None else dump(sorted(only)), cause)


def amounts(connection: Connection, selection: TaskSelection) -> Amounts:
    """The tasks a selection is about, by what decides their price."""
    parameters = connection.execute(registers.JOB_PARAMETERS, {"job": selection.job}).scalar()
    if parameters is None:
        raise LedgerError(f"the ledger has no job {selection.job}")
    default = json.loads(parameters).get("quality") or ""
    found: Amounts = {}
    for row in connection.execute(by_hand.AMOUNTS.where(_selected(selection)), _bound(selection)):
        place = Ask(Size(row.width, row.height), row.quality or default, row.images)
        found[place] = found.get(place, 0) + row.tasks
    return found


def buy_anew(connection: Connection, wanted: Sequence[Repurchase], now: float) -> list[int]:
    """Make tasks available again whose images are gone, at a new revision; how many. Their money stays in the books."""
    counts = []
    for each in wanted:
        counts.append(
            connection.execute(by_hand.BUY_ANEW, {"job": each.job, "tasks": dump(each.tasks), "now": now}).rowcount
        )
        # Whoever puts a file back before it is bought again has its image adopted: so the next run must compare.
        connection.execute(registers.COMPARE_AGAIN, {"job": each.job})
    return counts


_CHANGES = {TaskEvent.REQUEUE: by_hand.REQUEUE, TaskEvent.CANCEL: by_hand.CANCEL}


def _change(connection: Connection, selection: TaskSelection, now: float) -> Amounts:
    found = amounts(connection, selection)
    if found:
        change = _CHANGES[selection.event].where(_selected(selection))
        connection.execute(change, _bound(selection) | {"now": now})
    return found


def _selected(selection: TaskSelection) -> ColumnElement[bool]:
    mine = and_(task.c.job_id == selection.job, task.c.wanted == 1, among(task.c.work, selection.states))
    if selection.only is not None:
        mine = and_(mine, task.c.prompt_id.in_(by_hand.SELECTED_PROMPTS))
    return mine if selection.cause is None else and_(mine, has_cause)


def _bound(selection: TaskSelection) -> dict[str, Any]:
    prompts = {} if selection.only is None else {"job": selection.job, "only": selection.only}
    return prompts if selection.cause is None else prompts | cause_bound(selection.cause)
