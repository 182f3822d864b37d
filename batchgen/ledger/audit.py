"""Whether the books agree with themselves: sums with attempts, images with tasks, fences with what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import Connection

from batchgen.ledger.connect import reading
from batchgen.ledger.statements import consistency
from batchgen.ledger.statements.hot import MONEY
from batchgen.ledger.tables import metadata


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in the books, or in the folders they name, that should not be so.

    Attributes:
        check: which rule, in one word: `sums`, `images`, `fence`, `counters`, `file`.
        where: the job's name, a task or an attempt; "" for the whole ledger.
        detail: what is wrong.
    """

    check: str
    where: str
    detail: str


def check(path: Path, job: int | None = None) -> list[Finding]:
    """Everything wrong in a ledger's own books, of one job or of all; empty when all is well.

    Open `unknown` charges are no finding. The files that images name are not looked at.

    Raises:
        LedgerError: the file cannot be read at all.
    """
    with reading(path) as connection:
        return findings(connection, job)


def findings(connection: Connection, job: int | None) -> list[Finding]:
    """Find what is wrong in an open ledger, at its present moment; see `check`."""
    return [*_file(connection), *_sums(connection, job), *_rules(connection, job), *_totals(connection, job)]


def _file(connection: Connection) -> Iterator[Finding]:
    for message in connection.exec_driver_sql(consistency.INTEGRITY_CHECK).scalars():
        if message != "ok":
            yield Finding("file", "", str(message))
    for table in metadata.sorted_tables:
        for row in connection.exec_driver_sql(consistency.broken_constraints(table)):
            yield Finding("file", "", f"row {row.id} of {table.name} breaks {', '.join(row.names.split())}")
    for lost in connection.exec_driver_sql(consistency.FOREIGN_KEY_CHECK).fetchmany(consistency.MOST):
        detail = f"row {lost.rowid} of {lost.table} refers to a row of {lost.parent} that is not there"
        yield Finding("file", "", detail)


def _sums(connection: Connection, job: int | None) -> Iterator[Finding]:
    for query in consistency.SUMS:
        for row in connection.execute(query, {"job": job}).mappings():
            for charge in MONEY:
                written, found = row[charge], row[f"{charge}_found"]
                if written != found:
                    detail = f"{charge} is {written} micro-dollars, but its attempts come to {found}"
                    yield Finding("sums", row["owner"], detail)
    for row in connection.execute(consistency.STRAYS, {"job": job}).mappings():
        yield Finding("sums", row["owner"], row["detail"])


def _rules(connection: Connection, job: int | None) -> Iterator[Finding]:
    for check, query in consistency.RULES:
        for row in connection.execute(query, {"job": job}).mappings():
            yield Finding(check, str(row["owner"]), str(row["detail"]))


def _totals(connection: Connection, job: int | None) -> Iterator[Finding]:
    for row in connection.execute(consistency.TASK_TOTALS, {"job": job}):
        if row.tasks != row.found:
            yield Finding("counters", row.owner, f"has {row.found} tasks of its manifest, but counts {row.tasks}")
    for row in connection.execute(consistency.RUN_TOTALS, {"job": job}):
        if row.calls != row.calls_found:
            yield Finding("counters", row.owner, f"made {row.calls_found} calls, but counts {row.calls}")
        if row.delivered != row.delivered_found:
            yield Finding("counters", row.owner, f"brought {row.delivered_found} images, but counts {row.delivered}")
