"""What a person decides: again, no more, what a lost answer cost, or that an image that is gone is bought anew."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from sqlalchemy import bindparam, case, func, literal_column, select, text, update

from batchgen.domain.lifecycle import TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.model import KEPT_KINDS
from batchgen.ledger.statements.fragments import CompiledStatement, among, listed, literal, quoted, target
from batchgen.ledger.tables import attempt, prompt, task, variant

SETTLE_UNKNOWN = CompiledStatement(
    update(attempt)
    .where(attempt.c.id == bindparam("key"), attempt.c.charge == literal(Charge.UNKNOWN))
    .values(charge=bindparam("charge"), billed=bindparam("billed"), settled_note=bindparam("note"))
)

# These three are for the tasks that a `TaskSelection` means.
AMOUNTS = (
    select(variant.c.width, variant.c.height, task.c.quality, task.c.images, func.count().label("tasks"))
    .join_from(task, variant, task.c.variant_id == variant.c.id)
    .group_by(variant.c.width, variant.c.height, task.c.quality, task.c.images)
)
# An answer that is kept may turn out to be the image of its revision: what is bought beside it is another one.
_has_kept = (
    select(attempt.c.id)
    .where(
        attempt.c.task_id == task.c.id,
        attempt.c.revision == task.c.revision,
        among(attempt.c.outcome, KEPT_KINDS),
    )
    .correlate(task)
    .exists()
)
CANCEL = update(task).values(work=target(TaskEvent.CANCEL), scheduled_at=text("NULL"), updated_at=bindparam("now"))
REQUEUE = update(task).values(
    work=target(TaskEvent.REQUEUE),
    scheduled_at=text("NULL"),
    attempts=0,
    unknowns=0,
    hollow=0,
    revision=case((_has_kept, task.c.last_revision + literal_column("1")), else_=task.c.revision),
    calls=case((_has_kept, literal_column("0")), else_=task.c.calls),
    reason="",
    send_width=None,
    send_height=None,
    send_route="",
    updated_at=bindparam("now"),
)
SELECTED_PROMPTS = select(prompt.c.id).where(prompt.c.job_id == bindparam("job"), prompt.c.key.in_(listed("only")))

_AGAIN = quoted(TRANSITIONS[TaskEvent.REVISE][0] - {TaskState.CANCELLED})
BUY_ANEW = text(
    f"UPDATE task SET work = '{TRANSITIONS[TaskEvent.REVISE][1]}', image_id = NULL, revision = last_revision + 1, "
    "send_width = NULL, send_height = NULL, send_route = '', attempts = 0, unknowns = 0, hollow = 0, calls = 0, "
    "scheduled_at = NULL, reason = '', updated_at = :now WHERE job_id = :job AND wanted = 1 AND image_id IS NOT NULL "
    f"AND work IN ({_AGAIN}) AND id IN (SELECT value FROM json_each(:tasks))"
)
