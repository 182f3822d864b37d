"""Parts that statements are made of, and which columns the fields of values are kept in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import fields
from enum import StrEnum
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Label, Table, bindparam, case, column, func, literal_column, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ClauseElement

from batchgen.domain.lifecycle import TRANSITIONS, Charge, TaskEvent
from batchgen.ledger.tables import attempt, task

FIELDS = {
    "task_id": "task",
    "job_id": "job",
    "attempt_id": "attempt",
    "group_name": "group",
    "batch_id": "batch",
    "run_id": "run",
}
"""The fields of values for columns that have another name than their field."""

_COLUMNS = {field: name for name, field in FIELDS.items()}


class Columns:
    """The columns that the fields of a dataclass are kept in.

    Attributes:
        names: of the columns, in the order of the fields.
        values: gives the fields of a value in this order.
    """

    def __init__(self, kind: type, *, without: Collection[str] = ()) -> None:
        """Take every field of a dataclass, but for those that are not kept as they are."""
        kept = [each.name for each in fields(kind) if each.name not in without]
        self.names = tuple(_COLUMNS.get(name, name) for name in kept)
        self.values: Callable[[object], tuple[Any, ...]] = attrgetter(*kept)

    def of(self, value: object) -> dict[str, Any]:
        """The fields of a value by their columns."""
        return dict(zip(self.names, self.values(value), strict=True))


class CompiledStatement:
    """A statement compiled once, so that a group of rows costs the driver's work and nothing else."""

    def __init__(self, statement: ClauseElement) -> None:
        self.sql = str(statement.compile(dialect=sqlite.dialect(paramstyle="named")))

    def run(self, connection: Connection, rows: Sequence[dict[str, Any]]) -> int:
        """Run it for every row; how many rows of the table it touched."""
        return connection.exec_driver_sql(self.sql, list(rows)).rowcount if rows else 0


def first_free(connection: Connection, table: Table) -> int:
    """The first number above all that a table has used."""
    return int(connection.execute(select(func.coalesce(func.max(table.c.id), 0) + literal_column("1"))).scalar_one())


def labelled(table: Table, prefix: str = "") -> list[Label[Any]]:
    """Every column of a table under the name of its field, behind a prefix where another table has the same names."""
    return [each.label(prefix + FIELDS.get(each.name, each.name)) for each in table.c]


def bound(columns: Iterable[str]) -> dict[str, Any]:
    """Columns, each set to the parameter of its name."""
    return {name: bindparam(name) for name in columns}


def literal(value: str) -> ColumnElement[str]:
    """A constant of the program's own, written into the statement."""
    return literal_column(f"'{value}'")


def among(col: ColumnElement[str], values: Iterable[StrEnum]) -> ColumnElement[bool]:
    """Whether a column has one of some states or outcomes, written into the statement."""
    return col.in_([literal(value) for value in sorted(values)])


def quoted(states: Iterable[StrEnum]) -> str:
    """States or outcomes as they stand in the brackets of an `IN`, for statements that are written out."""
    return ", ".join(f"'{state}'" for state in sorted(states))


def may(event: TaskEvent) -> ColumnElement[bool]:
    """Whether the work on a task allows an event."""
    return among(task.c.work, TRANSITIONS[event][0])


def target(event: TaskEvent) -> ColumnElement[str]:
    """The state an event leads to."""
    return literal(TRANSITIONS[event][1])


def listed(name: str) -> Any:
    """The values of a JSON array that is bound as one parameter."""
    return select(column("value")).select_from(func.json_each(bindparam(name)))


cause_of_task = func.coalesce(
    select(func.coalesce(func.nullif(attempt.c.cause, literal("")), attempt.c.outcome))
    .where(attempt.c.task_id == task.c.id, attempt.c.revision == task.c.revision)
    .order_by(attempt.c.number.desc())
    .limit(1)
    .correlate(task)
    .scalar_subquery(),
    literal(""),
)
"""What came of the last attempt at the present revision of a task; "" before any has an end."""

has_cause = func.substr(cause_of_task.concat(literal(":")), 1, func.length(bindparam("cause"))) == bindparam("cause")
"""Whether a task has the cause that is bound, or one that begins with it; see `cause_bound`."""


def cause_bound(cause: str) -> dict[str, str]:
    """A cause, or its first part such as `content`, as `has_cause` takes it: with the colon behind it."""
    return {"cause": f"{cause}:"}


at_most = func.max(attempt.c.billed, attempt.c.reserved)
"""What an attempt may have cost while nobody knows: never less than was set aside, so that a budget holds."""

billed_sum = func.coalesce(func.sum(case((attempt.c.charge == literal(Charge.BILLED), attempt.c.billed), else_=0)), 0)
unknown_sum = func.coalesce(func.sum(case((attempt.c.charge == literal(Charge.UNKNOWN), at_most), else_=0)), 0)
