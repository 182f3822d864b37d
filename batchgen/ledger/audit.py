"""Whether the books agree with themselves: sums with attempts, images with tasks, fences with what they hold."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import CheckConstraint, Table, text
from sqlalchemy.engine import Connection

from batchgen.ledger.connect import reading
from batchgen.ledger.records import Finding
from batchgen.ledger.tables import metadata

MOST = 100  # findings of one kind that are told one by one

_TASK = (
    "(SELECT j.name || ' ' || p.key || '/' || v.size || '/' || v.sample FROM job j, prompt p, variant v "
    "WHERE j.id = t.job_id AND p.id = t.prompt_id AND v.id = t.variant_id)"
)
_MONEY = (
    "s.billed, s.unknown, s.reserved, coalesce(sum(a.billed * (a.charge = 'billed')), 0), "
    "coalesce(sum(max(a.billed, a.reserved) * (a.charge = 'unknown')), 0), "
    "coalesce(sum(a.reserved * (a.charge = 'reserved')), 0)"
)
# Who has sums of its attempts, and by what name; those of a month are of all jobs.
_SUMS = (
    f"SELECT s.name, {_MONEY} FROM job s LEFT JOIN attempt a ON a.job_id = s.id "
    "WHERE :job IS NULL OR s.id = :job GROUP BY s.id",
    f"SELECT j.name || ', run ' || s.id, {_MONEY} FROM run s JOIN job j ON j.id = s.job_id "
    "LEFT JOIN attempt a ON a.run_id = s.id WHERE :job IS NULL OR s.job_id = :job GROUP BY s.id",
    f"SELECT 'month ' || s.name, {_MONEY} FROM month s LEFT JOIN attempt a ON a.month = s.name "
    "WHERE :job IS NULL GROUP BY s.id",
)
_RUNS = text(
    "SELECT j.name || ', run ' || r.id, r.calls, (SELECT count(*) FROM attempt a WHERE a.run_id = r.id), r.delivered, "
    "(SELECT count(*) FROM image i JOIN attempt a ON a.id = i.attempt_id WHERE a.run_id = r.id) "
    "FROM run r JOIN job j ON j.id = r.job_id WHERE :job IS NULL OR r.job_id = :job"
)
_STRAYS = text(
    "SELECT DISTINCT j.name, CASE WHEN r.id IS NULL OR r.job_id <> a.job_id "
    "THEN 'has calls of run ' || a.run_id || ' that is none of its own' "
    "ELSE 'has calls of the month ' || a.month || ', which has no sum' END "
    "FROM attempt a JOIN job j ON j.id = a.job_id LEFT JOIN run r ON r.id = a.run_id "
    "LEFT JOIN month m ON m.name = a.month WHERE (:job IS NULL OR a.job_id = :job) "
    "AND ((a.run_id IS NOT NULL AND (r.id IS NULL OR r.job_id <> a.job_id)) OR (a.month <> '' AND m.id IS NULL))"
)

# Each names the offender and says what is wrong with it; `{task}` is the name of task t.
_RULES: tuple[tuple[str, str], ...] = (
    (
        "fence",
        "SELECT {task}, 'is running, but attempt ' || t.attempt_id || ' that should hold it is none of its own' "
        "FROM task t LEFT JOIN attempt a ON a.id = t.attempt_id AND a.task_id = t.id AND a.revision = t.revision "
        "WHERE t.work = 'running' AND a.id IS NULL",
    ),
    (
        "fence",
        "SELECT {task}, 'has attempt ' || a.id || ' still reserved, but is not held by it' "
        "FROM attempt a JOIN task t ON t.id = a.task_id "
        "WHERE a.charge = 'reserved' AND (t.work <> 'running' OR t.attempt_id <> a.id)",
    ),
    (
        "images",
        "SELECT {task}, 'is completed, but no image of revision ' || t.revision || ' is recorded' FROM task t "
        "WHERE t.work = 'completed' AND NOT EXISTS "
        "(SELECT 1 FROM image i WHERE i.task_id = t.id AND i.revision = t.revision AND i.id = t.image_id)",
    ),
    (
        "images",
        "SELECT {task}, 'has image ' || i.path || ' of its present revision, but is ' || t.work "
        "FROM image i JOIN task t ON t.id = i.task_id WHERE i.revision = t.revision AND t.work <> 'completed'",
    ),
    (
        "images",
        "SELECT {task}, 'points at image ' || t.image_id || ' that is none of its own' FROM task t "
        "WHERE t.image_id IS NOT NULL "
        "AND NOT EXISTS (SELECT 1 FROM image i WHERE i.id = t.image_id AND i.task_id = t.id)",
    ),
    (
        "images",
        "SELECT {task}, 'has image ' || i.path || ', but was bought for something else than it asks now' "
        "FROM task t JOIN image i ON i.id = t.image_id WHERE t.work = 'completed' AND i.own <> t.own",
    ),
    (
        "images",
        "SELECT {task}, 'has image ' || i.path || ' from attempt ' || i.attempt_id || ' that was not made for it' "
        "FROM image i JOIN task t ON t.id = i.task_id JOIN attempt a ON a.id = i.attempt_id "
        "WHERE (a.id <> i.id OR a.task_id <> i.task_id OR a.revision <> i.revision OR a.job_id <> i.job_id "
        "OR a.job_id <> t.job_id)",
    ),
    (
        "counters",
        "SELECT {task}, 'counts ' || t.calls || ' calls, but has other attempts recorded for revision ' || t.revision "
        "FROM task t WHERE t.calls <> "
        "(SELECT count(*) FROM attempt a WHERE a.task_id = t.id AND a.revision = t.revision)",
    ),
    (
        "counters",
        "SELECT {task}, 'counts ' || t.last_revision || ' as its last revision, but has other attempts' FROM task t "
        "WHERE t.last_revision <> (SELECT coalesce(max(a.revision), 0) FROM attempt a WHERE a.task_id = t.id)",
    ),
)
_TOTALS = text(
    "SELECT j.name, j.tasks, (SELECT count(*) FROM task t WHERE t.job_id = j.id AND t.wanted = 1) "
    "FROM job j WHERE :job IS NULL OR j.id = :job"
)


def check(path: Path, job: int | None = None) -> list[Finding]:
    """Everything wrong in a ledger's own books, of one job or of all; empty when all is well.

    Open `unknown` charges are no finding. The files that images name are not looked at.

    Raises:
        LedgerError: the file cannot be read at all.
    """
    with reading(path) as connection:
        return findings(connection, job)


def findings(connection: Connection, job: int | None) -> list[Finding]:
    """The same of a ledger that is open, at its present moment."""
    return [*_file(connection), *_sums(connection, job), *_rules(connection, job), *_totals(connection, job)]


def _file(connection: Connection) -> Iterator[Finding]:
    for (message,) in connection.exec_driver_sql(f"PRAGMA integrity_check({MOST})"):
        if message != "ok":
            yield Finding("file", "", str(message))
    for table in metadata.sorted_tables:
        yield from _constraints(connection, table)
    for table, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(MOST):
        yield Finding("file", "", f"row {row} of {table} refers to a row of {parent} that is not there")


def _constraints(connection: Connection, table: Table) -> Iterator[Finding]:
    """Rows that a table's own CHECKs forbid: SQLite leaves those out when a file is opened read-only."""
    checks = {str(each.name): each.sqltext for each in table.constraints if isinstance(each, CheckConstraint)}
    broken = " || ".join(f"CASE WHEN NOT ({checks[name]}) THEN ' {name}' ELSE '' END" for name in sorted(checks))
    query = f"SELECT * FROM (SELECT id, {broken} AS names FROM {table.name}) WHERE names <> '' LIMIT {MOST}"
    for row, names in connection.exec_driver_sql(query):
        yield Finding("file", "", f"row {row} of {table.name} breaks {', '.join(names.split())}")


def _sums(connection: Connection, job: int | None) -> Iterator[Finding]:
    for query in _SUMS:
        for name, *amounts in connection.execute(text(query), {"job": job}):
            for charge, written, found in zip(("billed", "unknown", "reserved"), amounts[:3], amounts[3:], strict=True):
                if written != found:
                    yield Finding(
                        "sums", name, f"{charge} is {written} micro-dollars, but its attempts come to {found}"
                    )
    for name, detail in connection.execute(_STRAYS, {"job": job}):
        yield Finding("sums", name, detail)


def _rules(connection: Connection, job: int | None) -> Iterator[Finding]:
    for name, rule in _RULES:
        query = text(f"{rule.format(task=_TASK)} AND (:job IS NULL OR t.job_id = :job) LIMIT {MOST}")
        for where, detail in connection.execute(query, {"job": job}):
            yield Finding(name, str(where), str(detail))


def _totals(connection: Connection, job: int | None) -> Iterator[Finding]:
    for name, written, found in connection.execute(_TOTALS, {"job": job}):
        if written != found:
            yield Finding("counters", name, f"has {found} tasks of its manifest, but counts {written}")
    for name, calls, made, images, brought in connection.execute(_RUNS, {"job": job}):
        if calls != made:
            yield Finding("counters", name, f"made {made} calls, but counts {calls}")
        if images != brought:
            yield Finding("counters", name, f"brought {brought} images, but counts {images}")
