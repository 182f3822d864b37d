"""What readers ask, built once."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, text

from batchgen.domain.size import parse_size
from batchgen.ledger import statements as sql
from batchgen.ledger.mapping import ATTEMPT_COLUMNS, IMAGE_COLUMNS
from batchgen.ledger.tables import (
    FLAGGED as FLAGGED_IMAGE,
)
from batchgen.ledger.tables import (
    PROBLEM,
    RUNNING,
    UNKNOWN,
    attempt,
    image,
    job,
    prompt,
    task,
    variant,
)

_billed = select(sql.billed_sum).where(attempt.c.task_id == task.c.id).correlate(task).scalar_subquery()
_unknown = select(sql.unknown_sum).where(attempt.c.task_id == task.c.id).correlate(task).scalar_subquery()
TASKS = (
    select(
        *(task.c.id.label("task_id"), task.c.job_id, job.c.name.label("job_name"), job.c.parameters, prompt.c.key),
        *(prompt.c.text, prompt.c.path.label("output_path"), variant.c.width.label("variant_width")),
        *(variant.c.height.label("variant_height"), variant.c.sample, task.c.send_width, task.c.send_height),
        task.c.quality,
        *(task.c.images, prompt.c.inputs),
        *(task.c.state, task.c.work, task.c.wanted, task.c.revision, task.c.attempts, task.c.unknowns, task.c.calls),
        *(task.c.scheduled_at, task.c.reason, task.c.updated_at, _billed.label("task_billed")),
        *(_unknown.label("task_unknown"), *IMAGE_COLUMNS),
    )
    .join_from(task, prompt, task.c.prompt_id == prompt.c.id)
    .join(variant, task.c.variant_id == variant.c.id)
    .join(job, task.c.job_id == job.c.id)
    .outerjoin(image, image.c.id == task.c.image_id)
)
FLAGGED = TASKS.where(text(f"image.id IN (SELECT id FROM image INDEXED BY ix_image_flagged WHERE {FLAGGED_IMAGE})"))
_ATTEMPTS = (
    select(prompt.c.key, variant.c.width, variant.c.height, variant.c.sample, task.c.state, *ATTEMPT_COLUMNS)
    .join_from(attempt, task, attempt.c.task_id == task.c.id)
    .join(prompt, task.c.prompt_id == prompt.c.id)
    .join(variant, task.c.variant_id == variant.c.id)
    .order_by(attempt.c.id)
)
CALLS = _ATTEMPTS.where(attempt.c.reserved_at.between(bindparam("first"), bindparam("last")))
SPAN = select(func.min(attempt.c.reserved_at), func.max(attempt.c.reserved_at)).where(
    attempt.c.job_id == bindparam("job")
)
PROBLEMS = _ATTEMPTS.where(
    text(f"attempt.id IN (SELECT id FROM attempt INDEXED BY ix_attempt_problem WHERE {PROBLEM})")
)
UNKNOWNS = _ATTEMPTS.where(
    text(f"attempt.id IN (SELECT id FROM attempt INDEXED BY ix_attempt_unknown WHERE {UNKNOWN})")
)

_what = (attempt.c.route, attempt.c.size_sent, attempt.c.outcome)
SPENDING = (
    select(*_what, func.count(), sql.billed_sum, sql.unknown_sum)
    .where(attempt.c.job_id == bindparam("job"))
    .group_by(*_what)
    .order_by(*_what)
)
COUNTS = text(
    "SELECT state, work, variant_id, quality, count(*) FROM task INDEXED BY ix_task_counts "
    "WHERE job_id = :job AND wanted = 1 GROUP BY state, work, variant_id, quality"
)
OUTDATED = "task.state = 'completed' AND task.work <> 'completed'"
UNPRICED = text(
    f"SELECT count(*) FROM attempt INDEXED BY ix_attempt_unknown WHERE {UNKNOWN} AND job_id = :job "
    "AND billed = 0 AND reserved = 0"
)
STATES = text(
    "SELECT wanted, state, work, count(*) FROM task INDEXED BY ix_task_counts WHERE job_id = :job GROUP BY 1, 2, 3"
)

# With when its last call was made; newest first.
RUNS = text(
    "SELECT id, job_id AS job, pid, host, started_at, ended_at, reason, exit_code, most, calls, delivered, billed, "
    "unknown, reserved, coalesce((SELECT max(reserved_at) FROM attempt WHERE run_id = run.id), started_at) AS seen_at "
    "FROM run WHERE job_id = :job ORDER BY id DESC LIMIT :most"
)
EARLIER_RUNS = text(
    "SELECT count(*), coalesce(sum(calls), 0), coalesce(sum(delivered), 0), coalesce(sum(billed), 0), "
    "coalesce(sum(unknown), 0) FROM run WHERE job_id = :job AND id < :before"
)
OPEN_TASKS = text(
    "SELECT t.job_id, t.attempt_id, t.revision, j.output, p.path, v.width, v.height, v.sample "
    "FROM task t INDEXED BY ix_task_running JOIN job j ON j.id = t.job_id JOIN prompt p ON p.id = t.prompt_id "
    f"JOIN variant v ON v.id = t.variant_id WHERE t.{RUNNING}"
)
MONTH = text("SELECT billed, unknown, reserved FROM month WHERE name = :name")
CEILING = text("SELECT monthly FROM ledger")


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
