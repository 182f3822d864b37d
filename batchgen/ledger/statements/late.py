"""Images of attempts that were booked long before: written beside what the books have, never in its place."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from sqlalchemy import text

from batchgen.domain.lifecycle import TRANSITIONS, TaskEvent
from batchgen.ledger.statements.fragments import quoted
from batchgen.ledger.statements.hot import PLACED

# An attempt, its task, and the image of its revision if there is one.
PAID_IMAGE = text(
    "SELECT a.charge, a.task_id AS task, a.job_id AS job, i.id AS image FROM attempt a "
    "LEFT JOIN image i ON i.task_id = a.task_id AND i.revision = a.revision WHERE a.id = :attempt"
)
NEW_LATE_IMAGE = text(
    "INSERT INTO image (id, task_id, job_id, attempt_id, revision, own, shared, flags, created_at, "
    f"{', '.join(PLACED.names)}) SELECT a.id, a.task_id, a.job_id, a.id, a.revision, :own, :shared, :flags, :now, "
    f"{', '.join(f':{name}' for name in PLACED.names)} FROM attempt a WHERE a.id = :attempt AND a.task_id = :task"
)
# What was asked then must be what is asked now; the task points at that revision from here on.
RECOVER = text(
    f"UPDATE task SET work = '{TRANSITIONS[TaskEvent.RECOVER][1]}', image_id = a.id, revision = a.revision, "
    "shared = :shared, send_width = NULL, send_height = NULL, send_route = '', attempts = 0, unknowns = 0, hollow = 0, "
    "scheduled_at = NULL, reason = '', updated_at = :now, "
    "calls = (SELECT count(*) FROM attempt c WHERE c.task_id = task.id AND c.revision = a.revision) "
    "FROM attempt a WHERE a.id = :attempt AND task.id = a.task_id AND task.own = :own "
    f"AND task.work IN ({quoted(TRANSITIONS[TaskEvent.RECOVER][0])})"
)
IS_PRESENT = text("SELECT t.image_id IS a.id FROM attempt a JOIN task t ON t.id = a.task_id WHERE a.id = :attempt")
