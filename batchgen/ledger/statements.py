"""The statements of the hot path, built once from the tables and compiled once.

Each is run for a whole group of verbs at a time (`executemany`), and its row count tells whether every one of them
found what it expected.
"""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    bindparam,
    case,
    column,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ClauseElement

from batchgen.domain.lifecycle import TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.ledger.tables import CLAIMABLE, DIVERTED, RETRYABLE, RUNNING, attempt, image, prompt, task, variant


class CompiledStatement:
    """A statement compiled once, so that a group of rows costs the driver's work and nothing else."""

    def __init__(self, statement: ClauseElement) -> None:
        self.sql = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Run it for every row; how many rows of the table it touched."""
        return connection.exec_driver_sql(self.sql, list(rows)).rowcount if rows else 0


def literal(value: str) -> ColumnElement[str]:
    """A constant of the program's own, written into the statement."""
    return literal_column(f"'{value}'")


def among(col: ColumnElement[str], states: Iterable[TaskState]) -> ColumnElement[bool]:
    """Whether a column has one of some states, written into the statement."""
    return col.in_([literal(state) for state in sorted(states)])


def may(event: TaskEvent) -> ColumnElement[bool]:
    """Whether the work on a task allows an event."""
    return among(task.c.work, TRANSITIONS[event][0])


def target(event: TaskEvent) -> ColumnElement[str]:
    """The state an event leads to."""
    return literal(TRANSITIONS[event][1])


def listed(name: str) -> Any:
    """The values of a JSON array that is bound as one parameter."""
    return select(column("value")).select_from(func.json_each(bindparam(name)))


# What an attempt may have cost while nobody knows: never less than was set aside, so that a budget holds.
at_most = func.max(attempt.c.billed, attempt.c.reserved)
billed_sum = func.coalesce(func.sum(case((attempt.c.charge == literal(Charge.BILLED), attempt.c.billed), else_=0)), 0)
unknown_sum = func.coalesce(func.sum(case((attempt.c.charge == literal(Charge.UNKNOWN), at_most), else_=0)), 0)

# --- reserve: the attempt is written down, then its task is taken ---------------------------------------------------

LAST_ATTEMPT = select(func.coalesce(func.max(attempt.c.id), 0))

# fmt: off
_RESERVED = (
    "estimated", "reserved", "provider", "route", "model", "endpoint", "base_url", "size_asked", "size_sent", "quality",
    "request_hash", "price_basis", "billing_unit", "key_fingerprint", "reserved_at", "queued_for", "run_id", "month",
)
_BOOKED = (
    "charge", "billed", "outcome", "detail", "status", "request_ids", "usage", "outputs", "effective", "url",
    "url_expires", "sent_at", "first_byte", "total", "finished_at",
)
_PLACED = ("path", "sha256", "bytes", "width", "height", "format", "flags", "created_at")
# fmt: on
RESERVE = CompiledStatement(
    insert(attempt).from_select(
        ["id", "task_id", "job_id", "revision", "number", "charge", "group_name", *_RESERVED],
        select(
            bindparam("attempt"),
            task.c.id,
            task.c.job_id,
            task.c.revision,
            task.c.calls + literal_column("1"),
            literal(Charge.RESERVED),
            bindparam("group"),
            *(bindparam(name) for name in _RESERVED),
        ).where(
            task.c.id == bindparam("task"),
            task.c.job_id == bindparam("job"),
            task.c.revision == bindparam("revision"),
            task.c.wanted == literal_column("1"),
            may(TaskEvent.RESERVE),
        ),
        include_defaults=False,
    )
)
TAKE = CompiledStatement(
    update(task)
    .where(task.c.id == bindparam("key"), may(TaskEvent.RESERVE))
    .values(
        work=target(TaskEvent.RESERVE),
        attempt_id=bindparam("attempt"),
        last_revision=task.c.revision,
        calls=task.c.calls + literal_column("1"),
        scheduled_at=text("NULL"),
        updated_at=bindparam("now"),
    )
)

# --- book: the money of an attempt, exactly once ---------------------------------------------------------------------

BOOK = CompiledStatement(
    update(attempt)
    .where(attempt.c.id == bindparam("key"), attempt.c.charge == literal(Charge.RESERVED))
    .values(
        price_basis=func.coalesce(func.nullif(bindparam("basis"), literal("")), attempt.c.price_basis),
        **{name: bindparam(name) for name in _BOOKED},
    )
)
SETTLE_UNKNOWN = CompiledStatement(
    update(attempt)
    .where(attempt.c.id == bindparam("key"), attempt.c.charge == literal(Charge.UNKNOWN))
    .values(charge=bindparam("charge"), billed=bindparam("billed"), settled_note=bindparam("note"))
)

# --- settle: through the fence, and only with the money booked -------------------------------------------------------

SETTLE = CompiledStatement(
    update(task)
    .where(
        task.c.id == bindparam("key"),
        text(RUNNING),
        task.c.attempt_id == bindparam("attempt"),
        select(attempt.c.charge).where(attempt.c.id == bindparam("attempt")).scalar_subquery()
        != literal(Charge.RESERVED),
    )
    .values(
        work=bindparam("work"),
        image_id=case((bindparam("image"), bindparam("attempt")), else_=task.c.image_id),
        reason=bindparam("reason"),
        attempts=case(
            (bindparam("route").is_(None), task.c.attempts + bindparam("counted")), else_=literal_column("0")
        ),
        unknowns=task.c.unknowns + bindparam("lost"),
        scheduled_at=bindparam("due"),
        send_width=func.coalesce(bindparam("width"), task.c.send_width),
        send_height=func.coalesce(bindparam("height"), task.c.send_height),
        send_route=func.coalesce(bindparam("route"), task.c.send_route),
        attempt_id=text("NULL"),
        updated_at=bindparam("now"),
    )
)
FIND_OUT = CompiledStatement(
    update(attempt)
    .where(attempt.c.id == bindparam("key"))
    .values(outcome=bindparam("outcome"), detail=bindparam("detail"))
)
DELIVER = CompiledStatement(
    insert(image).from_select(
        ["id", "task_id", "job_id", "attempt_id", "revision", "own", "shared", *_PLACED],
        select(
            attempt.c.id,
            attempt.c.task_id,
            attempt.c.job_id,
            attempt.c.id,
            attempt.c.revision,
            task.c.own,
            task.c.shared,
            *(bindparam(name) for name in _PLACED),
        )
        .join_from(attempt, task, attempt.c.task_id == task.c.id)
        .where(attempt.c.id == bindparam("attempt"), attempt.c.task_id == bindparam("task")),
        include_defaults=False,
    )
)

# --- claim: which tasks may run, oldest first, and all that is needed to buy them -------------------------------------

# Written out, because the index must be chosen: SQLite would take the one with more columns, and sort a million rows.
_OVER = "(:routes IS NULL OR send_route IN (SELECT value FROM json_each(:routes)))"
_DUE = f"{RETRYABLE} AND job_id = :job AND scheduled_at <= :now AND {_OVER} ORDER BY scheduled_at, id LIMIT :most"
READY = text(
    f"SELECT id FROM task INDEXED BY ix_task_claimable WHERE {CLAIMABLE} AND job_id = :job AND {_OVER} "
    "ORDER BY id LIMIT :most"
)
# For a route that has only what was sent to it: few, and not to be searched for among a million others.
READY_DIVERTED = text(
    f"SELECT id FROM task INDEXED BY ix_task_diverted WHERE {DIVERTED} AND {CLAIMABLE} AND job_id = :job AND {_OVER} "
    "ORDER BY id LIMIT :most"
)
DUE = text(f"SELECT id FROM task INDEXED BY ix_task_retryable WHERE {_DUE}")
DIVERSIONS = text(
    f"SELECT DISTINCT send_route FROM task INDEXED BY ix_task_diverted WHERE {DIVERTED} AND job_id = :job"
)
NEXT_DUE = text(
    "SELECT min(scheduled_at) FROM task INDEXED BY ix_task_retryable "
    f"WHERE {RETRYABLE} AND job_id = :job AND scheduled_at > :after AND {_OVER}"
)
IN_FLIGHT = text(f"SELECT id FROM task INDEXED BY ix_task_running WHERE {RUNNING} AND job_id = :job ORDER BY id")

# The same for some prompts: by their keys, then by the task's identity; a plus keeps a term away from the indexes.
_CHOSEN = (
    "FROM prompt p CROSS JOIN task t ON t.job_id = :job AND t.prompt_id = p.id "
    "WHERE p.job_id = :job AND p.key IN (SELECT value FROM json_each(:only)) AND +t.wanted = 1 "
    f"AND {_OVER} AND +t.work ="
)
READY_ONLY = text(f"SELECT t.id {_CHOSEN} 'available' ORDER BY t.id LIMIT :most")
DUE_ONLY = text(
    f"SELECT t.id {_CHOSEN} 'retryable' AND +t.scheduled_at <= :now ORDER BY t.scheduled_at, t.id LIMIT :most"
)
NEXT_DUE_ONLY = text(f"SELECT min(t.scheduled_at) {_CHOSEN} 'retryable' AND +t.scheduled_at > :after")
CLAIMS = (
    select(
        task.c.id,
        prompt.c.key,
        prompt.c.text,
        variant.c.width,
        variant.c.height,
        task.c.send_width,
        task.c.send_height,
        variant.c.sample,
        prompt.c.overrides,
        prompt.c.path,
        task.c.revision,
        task.c.attempts,
        task.c.unknowns,
        task.c.calls,
        func.coalesce(task.c.scheduled_at, task.c.updated_at).label("queued_at"),
        prompt.c.inputs,
        task.c.send_route,
        task.c.own,
        task.c.shared,
    )
    .join_from(task, prompt, task.c.prompt_id == prompt.c.id)
    .join(variant, task.c.variant_id == variant.c.id)
    .where(task.c.id.in_(listed("tasks")))
    .order_by(task.c.id)
)
