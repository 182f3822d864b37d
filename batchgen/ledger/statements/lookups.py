"""What readers ask. The columns bear the names of the fields that they are read into."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, text

from batchgen.domain.model import KEPT_KINDS
from batchgen.domain.size import parse_size
from batchgen.ledger.statements.fragments import (
    billed_sum,
    cause_of_task,
    labelled,
    listed,
    quoted,
    unknown_sum,
)
from batchgen.ledger.tables import FLAGGED as FLAGGED_IMAGE
from batchgen.ledger.tables import PROBLEM, RUNNING, UNKNOWN, attempt, image, job, outage, prompt, run, task, variant

# --- tasks, each with its prompt, its variant and its image -----------------------------------------------------------

_billed = select(billed_sum).where(attempt.c.task_id == task.c.id).correlate(task).scalar_subquery()
_unknown = select(unknown_sum).where(attempt.c.task_id == task.c.id).correlate(task).scalar_subquery()
TASKS = (
    select(
        *(task.c.id, task.c.job_id.label("job"), job.c.name.label("job_name"), job.c.parameters),
        *(prompt.c.key, prompt.c.text, prompt.c.path.label("pattern"), prompt.c.inputs),
        *(variant.c.width, variant.c.height, variant.c.sample, task.c.send_width, task.c.send_height),
        *(task.c.quality, task.c.images, task.c.state, task.c.work, task.c.wanted, task.c.revision),
        *(task.c.attempts, task.c.unknowns, task.c.calls, task.c.scheduled_at, task.c.reason, task.c.updated_at),
        *(cause_of_task.label("cause"), _billed.label("billed"), _unknown.label("unknown")),
        *labelled(image, "image_"),
    )
    .join_from(task, prompt, task.c.prompt_id == prompt.c.id)
    .join(variant, task.c.variant_id == variant.c.id)
    .join(job, task.c.job_id == job.c.id)
    .outerjoin(image, image.c.id == task.c.image_id)
)
IN_ORDER = (prompt.c.position, task.c.variant_id)
"""The order of a job's manifest."""

FLAGGED = TASKS.where(text(f"image.id IN (SELECT id FROM image INDEXED BY ix_image_flagged WHERE {FLAGGED_IMAGE})"))
OUTDATED = TASKS.where(text("task.state = 'completed' AND task.work <> 'completed'"))
TASKS_BY_NUMBER = TASKS.where(task.c.id.in_(listed("tasks")))
VARIANTS = select(variant)
COUNTS = text(
    "SELECT state, work, variant_id, quality, count(*) AS tasks FROM task INDEXED BY ix_task_counts "
    "WHERE job_id = :job AND wanted = 1 GROUP BY state, work, variant_id, quality"
)
STATES = text(
    "SELECT wanted, state, work, count(*) AS tasks FROM task INDEXED BY ix_task_counts WHERE job_id = :job "
    "GROUP BY 1, 2, 3"
)
OPEN_TASKS = text(
    "SELECT t.job_id AS job, t.attempt_id AS attempt, t.revision, j.output, p.path, v.width, v.height, v.sample "
    "FROM task t INDEXED BY ix_task_running JOIN job j ON j.id = t.job_id JOIN prompt p ON p.id = t.prompt_id "
    f"JOIN variant v ON v.id = t.variant_id WHERE t.{RUNNING}"
)


def meant(reference: str) -> ColumnElement[bool]:
    """The tasks that `7`, `KEY`, `KEY/SIZE` or `KEY/SIZE/SAMPLE` may mean; keys may hold slashes themselves."""
    meanings: list[ColumnElement[bool]] = [prompt.c.key == reference]
    if reference.isascii() and reference.isdecimal() and len(reference) < 19:
        meanings.append(task.c.id == int(reference))
    front, _, last = reference.rpartition("/")
    key, _, size = front.rpartition("/")
    meanings.extend(_sized(front, last))
    if last.isascii() and last.isdecimal():
        meanings.extend(and_(found, variant.c.sample == int(last)) for found in _sized(key, size))
    return or_(*meanings)


def _sized(key: str, size: str) -> list[ColumnElement[bool]]:
    try:
        wanted = parse_size(size)
    except ValueError:
        return []  # no size: the slash is part of the key
    return [and_(prompt.c.key == key, variant.c.width == wanted.width, variant.c.height == wanted.height)]


# --- attempts ---------------------------------------------------------------------------------------------------------

ATTEMPTS = select(*labelled(attempt)).order_by(attempt.c.id)
ATTEMPTS_OF_TASK = ATTEMPTS.where(attempt.c.task_id == bindparam("task"))
ATTEMPTS_BY_NUMBER = select(*labelled(attempt)).where(attempt.c.id.in_(listed("attempts")))
# The attempts that brought the images which these tasks have now.
ATTEMPTS_OF_IMAGES = (
    select(*labelled(attempt)).join(task, task.c.image_id == attempt.c.id).where(task.c.id.in_(listed("tasks")))
)
_TASK_ATTEMPTS = (
    select(
        *(prompt.c.key, variant.c.width, variant.c.height, variant.c.sample, task.c.state),
        *labelled(attempt, "attempt_"),
    )
    .join_from(attempt, task, attempt.c.task_id == task.c.id)
    .join(prompt, task.c.prompt_id == prompt.c.id)
    .join(variant, task.c.variant_id == variant.c.id)
    .order_by(attempt.c.id)
)
CALLS = _TASK_ATTEMPTS.where(attempt.c.reserved_at.between(bindparam("first"), bindparam("last")))
PROBLEMS = _TASK_ATTEMPTS.where(
    text(f"attempt.id IN (SELECT id FROM attempt INDEXED BY ix_attempt_problem WHERE {PROBLEM})")
)
UNKNOWNS = _TASK_ATTEMPTS.where(
    text(f"attempt.id IN (SELECT id FROM attempt INDEXED BY ix_attempt_unknown WHERE {UNKNOWN})")
)
KEPT_CALLS = text(
    "SELECT count(*) FROM attempt INDEXED BY ix_attempt_problem "
    f"WHERE {PROBLEM} AND job_id = :job AND outcome IN ({quoted(KEPT_KINDS)})"
)
SPAN = select(func.min(attempt.c.reserved_at).label("first"), func.max(attempt.c.reserved_at).label("last")).where(
    attempt.c.job_id == bindparam("job")
)
_what = (attempt.c.route, attempt.c.size_sent, attempt.c.outcome)
SPENDING = (
    select(
        *(attempt.c.route, attempt.c.size_sent.label("size"), attempt.c.outcome, func.count().label("calls")),
        *(billed_sum.label("billed"), unknown_sum.label("unknown")),
    )
    .where(attempt.c.job_id == bindparam("job"))
    .group_by(*_what)
    .order_by(*_what)
)
UNPRICED = text(
    f"SELECT count(*) FROM attempt INDEXED BY ix_attempt_unknown WHERE {UNKNOWN} AND job_id = :job "
    "AND billed = 0 AND reserved = 0"
)

# --- images -----------------------------------------------------------------------------------------------------------

IMAGES = select(*labelled(image)).order_by(image.c.id)
DIGESTS = (
    select(image.c.sha256, image.c.task_id.label("task")).where(image.c.job_id == bindparam("job")).order_by(image.c.id)
)
IMAGES_OF_FOLDER = (
    select(*labelled(image))
    .join(job, image.c.job_id == job.c.id)
    .where(job.c.output == bindparam("output"))
    .order_by(image.c.id)
)
# Of these, the ones that serve again although a later image of their task was bought.
IMAGES_THAT_SERVE_AGAIN = IMAGES_OF_FOLDER.join(task, task.c.id == image.c.task_id).where(
    text("task.image_id = image.id AND EXISTS (SELECT 1 FROM image i WHERE i.task_id = task.id AND i.id > image.id)")
)
_SHOWN = "SELECT t.id AS task, i.path, i.bytes FROM image i JOIN task t ON t.id = i.task_id AND t.image_id = i.id"
_MINE = "WHERE i.job_id = :job AND t.wanted = 1"
DELIVERED_FILES = text(f"{_SHOWN} {_MINE} ORDER BY i.id")
SOME_DELIVERED_FILES = text(f"{_SHOWN} JOIN json_each(:numbers) n ON n.value = i.id {_MINE} ORDER BY i.id")
IMAGE_SPAN = text("SELECT min(id) AS first, max(id) AS last, count(*) AS images FROM image WHERE job_id = :job")

# --- runs and months --------------------------------------------------------------------------------------------------

# With when its last call was made; newest first.
RUNS = (
    select(
        *labelled(run),
        func.coalesce(
            select(func.max(attempt.c.reserved_at)).where(attempt.c.run_id == run.c.id).scalar_subquery(),
            run.c.started_at,
        ).label("seen_at"),
    )
    .where(run.c.job_id == bindparam("job"))
    .order_by(run.c.id.desc())
    .limit(bindparam("most"))
)
OUTAGES = select(*labelled(outage)).where(outage.c.run_id.in_(listed("runs"))).order_by(outage.c.id)
EARLIER_RUNS = text(
    "SELECT count(*) AS earlier, coalesce(sum(calls), 0) AS calls, coalesce(sum(delivered), 0) AS delivered, "
    "coalesce(sum(billed), 0) AS billed, coalesce(sum(unknown), 0) AS unknown FROM run "
    "WHERE job_id = :job AND id < :before"
)
MONTH = text("SELECT billed, unknown, reserved FROM month WHERE name = :name")
CEILING = text("SELECT monthly FROM ledger")
