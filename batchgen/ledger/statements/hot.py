"""What a run does for every call: claim, reserve, book, settle, deliver, and the running sums that hold the walls.

The statements that write are compiled once and run for a whole group of verbs at a time (`executemany`); the row count
tells whether every one of them found what it expected.
"""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, case, func, insert, literal_column, select, text, update
from sqlalchemy.dialects import sqlite

from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Booking, Reservation
from batchgen.domain.output_image import Image
from batchgen.domain.walls import Wall
from batchgen.ledger.statements.fragments import (
    Columns,
    CompiledStatement,
    billed_sum,
    bound,
    labelled,
    listed,
    literal,
    may,
    target,
    unknown_sum,
)
from batchgen.ledger.tables import (
    CLAIMABLE,
    DIVERTED,
    RETRYABLE,
    RUNNING,
    attempt,
    image,
    job,
    month,
    prompt,
    run,
    task,
    variant,
)

RESERVED = Columns(Reservation, without={"budget", "per_run", "monthly"})
"""What is known of an attempt before its call."""

BOOKED = Columns(Booking, without={"attempt", "kind", "doubt", "price_basis"})
"""What a booking writes of its attempt as it has it; `hot.BOOK` takes more."""

PLACED = Columns(Image, without={"blank"})
"""What an image in the books has from the file that was placed."""

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

# Of each task by its number the fields of a `Claim` that are its own; what all have from their job is `OWNER`.
CLAIMS = (
    select(
        task.c.id.label("task"),
        prompt.c.key,
        prompt.c.text,
        variant.c.width,
        variant.c.height,
        task.c.send_width,
        task.c.send_height,
        variant.c.sample,
        prompt.c.overrides,
        prompt.c.path.label("pattern"),
        task.c.revision,
        task.c.attempts,
        task.c.unknowns,
        task.c.hollow,
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
OWNER = select(job.c.id.label("job"), job.c.name.label("job_name"), job.c.parameters).where(
    job.c.id == bindparam("job")
)
# The attempts that hold these tasks.
HOLDERS = select(*labelled(attempt)).join(task, task.c.attempt_id == attempt.c.id).where(task.c.id.in_(listed("tasks")))

# Attempts that have an end, by their numbers.
BOOKED_CALLS = (
    select(*labelled(attempt))
    .where(
        attempt.c.id.in_(listed("numbers")),
        attempt.c.job_id == bindparam("job"),
        attempt.c.charge != literal(Charge.RESERVED),
    )
    .order_by(attempt.c.id)
)

# --- reserve: the attempt is written down, then its task is taken -----------------------------------------------------

LAST_ATTEMPT = select(func.coalesce(func.max(attempt.c.id), 0))
RESERVE = CompiledStatement(
    insert(attempt).from_select(
        ["id", "number", "charge", "month", *RESERVED.names],
        select(
            bindparam("attempt"),
            task.c.calls + literal_column("1"),
            literal(Charge.RESERVED),
            bindparam("month"),
            *bound(RESERVED.names).values(),
        ).where(
            task.c.id == bindparam("task_id"),
            task.c.job_id == bindparam("job_id"),
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

# --- follow: the number of a call that is under way, before anybody asks by it ---------------------------------------

FOLLOW = CompiledStatement(
    update(attempt)
    .where(attempt.c.id == bindparam("key"), attempt.c.charge == literal(Charge.RESERVED))
    .values(bound(("remote_task",)))
)

# --- book: the money of an attempt, exactly once ----------------------------------------------------------------------

BOOK = CompiledStatement(
    update(attempt)
    .where(attempt.c.id == bindparam("key"), attempt.c.charge == literal(Charge.RESERVED))
    .values(
        outcome=bindparam("outcome"),
        price_basis=func.coalesce(func.nullif(bindparam("price_basis"), literal("")), attempt.c.price_basis),
        **bound(BOOKED.names),
    )
)
BOOKED_AS = select(attempt.c.charge, attempt.c.billed, attempt.c.outcome, attempt.c.url).where(
    attempt.c.id == bindparam("attempt")
)

# --- settle: through the fence, and only with the money booked --------------------------------------------------------

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
        hollow=task.c.hollow + bindparam("hollow"),
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
    .values(outcome=bindparam("outcome"), cause=bindparam("cause"), detail=bindparam("detail"))
)
DELIVER = CompiledStatement(
    insert(image).from_select(
        ["id", "task_id", "job_id", "attempt_id", "revision", "own", "shared", "flags", "created_at", *PLACED.names],
        select(
            attempt.c.id,
            attempt.c.task_id,
            attempt.c.job_id,
            attempt.c.id,
            attempt.c.revision,
            task.c.own,
            task.c.shared,
            bindparam("flags"),
            bindparam("created_at"),
            *bound(PLACED.names).values(),
        )
        .join_from(attempt, task, attempt.c.task_id == task.c.id)
        .where(attempt.c.id == bindparam("attempt"), attempt.c.task_id == bindparam("task")),
        include_defaults=False,
    )
)
# The charge of an attempt, if it is one at this task.
CHARGE_AT_TASK = select(attempt.c.charge).where(
    attempt.c.id == bindparam("attempt"), attempt.c.task_id == bindparam("task")
)

# --- give back: attempts that a gateway answered with errors while it was down do not count --------------------------

# Those of the revision that the attempts were made at, unless they have gone on to another route since.
_THEIRS = (
    task.c.id == bindparam("key"),
    task.c.send_route == bindparam("route"),
    select(attempt.c.revision).where(attempt.c.id == bindparam("last")).scalar_subquery() == task.c.revision,
)
GIVE_BACK = CompiledStatement(
    update(task)
    .where(*_THEIRS)
    .values(
        attempts=func.max(task.c.attempts - bindparam("count"), literal_column("0")),
        send_width=bindparam("width"),
        send_height=bindparam("height"),
        updated_at=bindparam("now"),
    )
)
# What the last of them sent somewhere goes back to where it was; what was called again since stays there.
PUT_BACK = CompiledStatement(
    update(task)
    .where(
        *_THEIRS,
        may(TaskEvent.GIVE_BACK),
        select(attempt.c.number).where(attempt.c.id == bindparam("last")).scalar_subquery() == task.c.calls,
    )
    .values(work=target(TaskEvent.GIVE_BACK), scheduled_at=text("NULL"))
)

# --- the sums that hold the walls: of jobs, runs and months -----------------------------------------------------------

_KEYS = {Wall.JOB: job.c.id, Wall.RUN: run.c.id, Wall.MONTH: month.c.name}
MONEY = ("billed", "unknown", "reserved")


def _move(wall: Wall, *more: str, **others: Any) -> CompiledStatement:
    key = _KEYS[wall]
    sums = {name: key.table.c[name] + bindparam(name) for name in (*MONEY, *more)}
    return CompiledStatement(update(key.table).where(key == bindparam("key")).values(**sums, **others))


# What counts against each wall now, of these jobs, runs or months.
SPENT = {
    wall: select(
        key.label("key"), (key.table.c.billed + key.table.c.unknown + key.table.c.reserved).label("spent")
    ).where(key.in_(listed("keys")))
    for wall, key in _KEYS.items()
}
MOVE_SUMS = {
    Wall.JOB: _move(Wall.JOB, updated_at=func.coalesce(bindparam("at"), job.c.updated_at)),
    Wall.RUN: _move(Wall.RUN, "calls", "delivered"),
    Wall.MONTH: _move(Wall.MONTH),
}
NEW_MONTH = sqlite.insert(month).values(billed=0, unknown=0, reserved=0).on_conflict_do_nothing()

# Whose sums attempts count in, under the names of the walls.
_WHOSE = {Wall.JOB: attempt.c.job_id, Wall.RUN: attempt.c.run_id, Wall.MONTH: attempt.c.month}
_owners = [each.label(wall.name) for wall, each in _WHOSE.items()]
BOOKED_SUMS = (
    select(
        *_owners,
        func.sum(attempt.c.reserved).label("held"),
        billed_sum.label("billed"),
        unknown_sum.label("unknown"),
    )
    .where(attempt.c.id.in_(listed("attempts")))
    .group_by(*_WHOSE.values())
)
DELIVERED_COUNTS = (
    select(*_owners, func.count().label("images"))
    .where(attempt.c.id.in_(listed("attempts")))
    .group_by(*_WHOSE.values())
)
