"""What a person decides: again, no more, or what a lost answer cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, select, text, update
from sqlalchemy.engine import Connection

from batchgen.domain.errors import LedgerError
from batchgen.domain.job import Ask
from batchgen.domain.lifecycle import CHARGE_MOVES, TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.size import Size
from batchgen.ledger import statements as sql
from batchgen.ledger import sums
from batchgen.ledger.mapping import dump
from batchgen.ledger.tables import job, prompt, task, variant

Amounts = dict[Ask, int]
"""Tasks by what decides their price."""


@dataclass(frozen=True, slots=True)
class TaskSelection:
    """Tasks that a person means.

    Attributes:
        states: those to take; what the event does not allow is refused.
        only: as a JSON array, the prompt keys; None for all.
    """

    job: int
    event: TaskEvent
    states: frozenset[TaskState]
    only: str | None


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
        if sql.SETTLE_UNKNOWN.run(connection, [row]) != 1:
            raise LedgerError(f"attempt {ruling.attempt} has no unknown charge that could be settled")
    return [None] * len(rulings)


def select_tasks(
    key: int, event: TaskEvent, states: Iterable[TaskState] | None, only: Iterable[str] | None
) -> TaskSelection:
    """Tasks of a job that an event allows, or of these only those in some states and of some prompts.

    Raises:
        LedgerError: the event is not legal in one of the states.
    """
    legal = TRANSITIONS[event][0]
    wanted = legal if states is None else frozenset(states)
    if not wanted <= legal:
        raise LedgerError(f"a task that is {min(wanted - legal)} cannot {event}")
    return TaskSelection(key, event, wanted, None if only is None else dump(sorted(only)))


def amounts(connection: Connection, selection: TaskSelection) -> Amounts:
    """The tasks a selection is about, by what decides their price."""
    parameters = connection.execute(select(job.c.parameters).where(job.c.id == selection.job)).scalar()
    if parameters is None:
        raise LedgerError(f"the ledger has no job {selection.job}")
    default = json.loads(parameters).get("quality") or ""
    query = (
        select(variant.c.width, variant.c.height, task.c.quality, task.c.images, func.count())
        .join_from(task, variant, task.c.variant_id == variant.c.id)
        .where(_chosen(selection))
        .group_by(variant.c.width, variant.c.height, task.c.quality, task.c.images)
    )
    found: Amounts = {}
    for width, height, quality, images, tasks in connection.execute(query, {"only": selection.only}):
        place = Ask(Size(width, height), quality or default, images)
        found[place] = found.get(place, 0) + tasks
    return found


def _change(connection: Connection, selection: TaskSelection, now: float) -> Amounts:
    found = amounts(connection, selection)
    values = {"work": sql.target(selection.event), "scheduled_at": text("NULL"), "updated_at": now}
    if selection.event is TaskEvent.REQUEUE:
        values |= {
            "attempts": 0,
            "unknowns": 0,
            "reason": "",
            "send_width": None,
            "send_height": None,
            "send_route": "",
        }
    if found:
        connection.execute(update(task).where(_chosen(selection)).values(values), {"only": selection.only})
    return found


def _chosen(selection: TaskSelection) -> ColumnElement[bool]:
    condition = and_(task.c.job_id == selection.job, task.c.wanted == 1, sql.among(task.c.work, selection.states))
    if selection.only is None:
        return condition
    keys = select(prompt.c.id).where(prompt.c.job_id == selection.job, prompt.c.key.in_(sql.listed("only")))
    return and_(condition, task.c.prompt_id.in_(keys))
