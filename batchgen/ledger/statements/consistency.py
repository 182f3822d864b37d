"""What `verify` asks of the books alone: sums beside what their attempts come to, and rows that break a rule."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from sqlalchemy import CheckConstraint, Table, TextClause, text

from batchgen.ledger.statements.hot import MONEY

MOST = 100
"""Findings of one kind that are told one by one."""

# --- the file ---------------------------------------------------------------------------------------------------------

INTEGRITY_CHECK = f"PRAGMA integrity_check({MOST})"
FOREIGN_KEY_CHECK = "PRAGMA foreign_key_check"


def broken_constraints(table: Table) -> str:
    """Asks for rows that a table's own CHECKs forbid: SQLite leaves those out when a file is opened read-only."""
    checks = {str(each.name): each.sqltext for each in table.constraints if isinstance(each, CheckConstraint)}
    broken = " || ".join(f"CASE WHEN NOT ({checks[name]}) THEN ' {name}' ELSE '' END" for name in sorted(checks))
    return f"SELECT id, names FROM (SELECT id, {broken} AS names FROM {table.name}) WHERE names <> '' LIMIT {MOST}"


# --- sums -------------------------------------------------------------------------------------------------------------

_FOUND = {
    "billed": "coalesce(sum(a.billed * (a.charge = 'billed')), 0)",
    "unknown": "coalesce(sum(max(a.billed, a.reserved) * (a.charge = 'unknown')), 0)",
    "reserved": "coalesce(sum(a.reserved * (a.charge = 'reserved')), 0)",
}
_SUMS = ", ".join(f"s.{name} AS {name}, {_FOUND[name]} AS {name}_found" for name in MONEY)
# Who has sums of its attempts, and by what name; those of a month are of all jobs.
SUMS = (
    text(
        f"SELECT s.name AS owner, {_SUMS} FROM job s LEFT JOIN attempt a ON a.job_id = s.id "
        "WHERE :job IS NULL OR s.id = :job GROUP BY s.id"
    ),
    text(
        f"SELECT j.name || ', run ' || s.id AS owner, {_SUMS} FROM run s JOIN job j ON j.id = s.job_id "
        "LEFT JOIN attempt a ON a.run_id = s.id WHERE :job IS NULL OR s.job_id = :job GROUP BY s.id"
    ),
    text(
        f"SELECT 'month ' || s.name AS owner, {_SUMS} FROM month s LEFT JOIN attempt a ON a.month = s.name "
        "WHERE :job IS NULL GROUP BY s.id"
    ),
)
STRAYS = text(
    "SELECT DISTINCT j.name AS owner, CASE WHEN r.id IS NULL OR r.job_id <> a.job_id "
    "THEN 'has calls of run ' || a.run_id || ' that is none of its own' "
    "ELSE 'has calls of the month ' || a.month || ', which has no sum' END AS detail "
    "FROM attempt a JOIN job j ON j.id = a.job_id LEFT JOIN run r ON r.id = a.run_id "
    "LEFT JOIN month m ON m.name = a.month WHERE (:job IS NULL OR a.job_id = :job) "
    "AND ((a.run_id IS NOT NULL AND (r.id IS NULL OR r.job_id <> a.job_id)) OR (a.month <> '' AND m.id IS NULL))"
)

# --- rules ------------------------------------------------------------------------------------------------------------

_TASK = (
    "(SELECT j.name || ' ' || p.key || '/' || v.size || '/' || v.sample FROM job j, prompt p, variant v "
    "WHERE j.id = t.job_id AND p.id = t.prompt_id AND v.id = t.variant_id)"
)


def _rule(detail: str, found: str) -> TextClause:
    """What is wrong with the tasks `t` that are found, a row each."""
    return text(
        f"SELECT {_TASK} AS owner, {detail} AS detail FROM {found} AND (:job IS NULL OR t.job_id = :job) LIMIT {MOST}"
    )


RULES = (
    (
        "fence",
        _rule(
            "'is running, but attempt ' || t.attempt_id || ' that should hold it is none of its own'",
            "task t LEFT JOIN attempt a ON a.id = t.attempt_id AND a.task_id = t.id AND a.revision = t.revision "
            "WHERE t.work = 'running' AND a.id IS NULL",
        ),
    ),
    (
        "fence",
        _rule(
            "'has attempt ' || a.id || ' still reserved, but is not held by it'",
            "attempt a JOIN task t ON t.id = a.task_id "
            "WHERE a.charge = 'reserved' AND (t.work <> 'running' OR t.attempt_id <> a.id)",
        ),
    ),
    (
        "images",
        _rule(
            "'is completed, but no image of revision ' || t.revision || ' is recorded'",
            "task t WHERE t.work = 'completed' AND NOT EXISTS "
            "(SELECT 1 FROM image i WHERE i.task_id = t.id AND i.revision = t.revision AND i.id = t.image_id)",
        ),
    ),
    (
        "images",
        _rule(
            "'has image ' || i.path || ' of its present revision, but is ' || t.work",
            "image i JOIN task t ON t.id = i.task_id WHERE i.revision = t.revision AND t.work <> 'completed'",
        ),
    ),
    (
        "images",
        _rule(
            "'points at image ' || t.image_id || ' that is none of its own'",
            "task t WHERE t.image_id IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM image i WHERE i.id = t.image_id AND i.task_id = t.id)",
        ),
    ),
    (
        "images",
        _rule(
            "'has image ' || i.path || ', but was bought for something else than it asks now'",
            "task t JOIN image i ON i.id = t.image_id WHERE t.work = 'completed' AND i.own <> t.own",
        ),
    ),
    (
        "images",
        _rule(
            "'has image ' || i.path || ' from attempt ' || i.attempt_id || ' that was not made for it'",
            "image i JOIN task t ON t.id = i.task_id JOIN attempt a ON a.id = i.attempt_id "
            "WHERE (a.id <> i.id OR a.task_id <> i.task_id OR a.revision <> i.revision OR a.job_id <> i.job_id "
            "OR a.job_id <> t.job_id)",
        ),
    ),
    (
        "counters",
        _rule(
            "'counts ' || t.calls || ' calls, but has other attempts recorded for revision ' || t.revision",
            "task t WHERE t.calls <> "
            "(SELECT count(*) FROM attempt a WHERE a.task_id = t.id AND a.revision = t.revision)",
        ),
    ),
    (
        "counters",
        _rule(
            "'counts ' || t.last_revision || ' as its last revision, but has other attempts'",
            "task t WHERE t.last_revision <> "
            "(SELECT coalesce(max(a.revision), 0) FROM attempt a WHERE a.task_id = t.id)",
        ),
    ),
)
"""The name of each check, and the statement that asks for what breaks it."""

# --- counters ---------------------------------------------------------------------------------------------------------

TASK_TOTALS = text(
    "SELECT j.name AS owner, j.tasks, (SELECT count(*) FROM task t WHERE t.job_id = j.id AND t.wanted = 1) AS found "
    "FROM job j WHERE :job IS NULL OR j.id = :job"
)
RUN_TOTALS = text(
    "SELECT j.name || ', run ' || r.id AS owner, r.calls, "
    "(SELECT count(*) FROM attempt a WHERE a.run_id = r.id) AS calls_found, r.delivered, "
    "(SELECT count(*) FROM image i JOIN attempt a ON a.id = i.attempt_id WHERE a.run_id = r.id) AS delivered_found "
    "FROM run r JOIN job j ON j.id = r.job_id WHERE :job IS NULL OR r.job_id = :job"
)
