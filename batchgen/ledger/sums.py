"""The running sums of jobs, runs and months: what holds the walls, moved in each attempt's own transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Connection

from batchgen.domain.clock import month_of
from batchgen.domain.model import Reservation
from batchgen.domain.walls import Wall
from batchgen.ledger.mapping import dump
from batchgen.ledger.statements import CompiledStatement, billed_sum, listed, unknown_sum
from batchgen.ledger.tables import attempt, job, month, run

Key = int | str | None
"""A job's or a run's number, or a month's name; None for attempts of no known run."""

_KEYS = {Wall.JOB: job.c.id, Wall.RUN: run.c.id, Wall.MONTH: month.c.name}
_MONEY = ("billed", "unknown", "reserved")


def _move(wall: Wall, *more: str, **others: Any) -> CompiledStatement:
    key = _KEYS[wall]
    sums = {name: key.table.c[name] + bindparam(name) for name in (*_MONEY, *more)}
    return CompiledStatement(update(key.table).where(key == bindparam("key")).values(**sums, **others))


_SPENT = {
    wall: select(key, key.table.c.billed + key.table.c.unknown + key.table.c.reserved).where(key.in_(listed("keys")))
    for wall, key in _KEYS.items()
}
_MOVE = {
    Wall.JOB: _move(Wall.JOB, updated_at=func.coalesce(bindparam("at"), job.c.updated_at)),
    Wall.RUN: _move(Wall.RUN, "calls", "delivered"),
    Wall.MONTH: _move(Wall.MONTH),
}
_NEW_MONTH = insert(month).values(billed=0, unknown=0, reserved=0).on_conflict_do_nothing()
_WHOSE = (attempt.c.job_id, attempt.c.run_id, attempt.c.month)
_BOOKED = (
    select(*_WHOSE, func.sum(attempt.c.reserved), billed_sum, unknown_sum)
    .where(attempt.c.id.in_(listed("attempts")))
    .group_by(*_WHOSE)
)
_DELIVERED = select(*_WHOSE, func.count()).where(attempt.c.id.in_(listed("attempts"))).group_by(*_WHOSE)


class Moves:
    """What goes into the sums, and out of them, gathered for a group of attempts and written at once."""

    def __init__(self) -> None:
        self._moves: dict[Wall, defaultdict[Key, Counter[str]]] = {wall: defaultdict(Counter) for wall in Wall}

    def add(self, keys: dict[Wall, Key], **amounts: int) -> None:
        """Move the sums of one job, run and month; money in micro-dollars."""
        for wall, key in keys.items():
            self._moves[wall][key].update(amounts)

    def write(self, connection: Connection, at: float | None = None) -> None:
        """Do it; `at` is when the jobs have changed, None where that is not to be said."""
        names = (*_MONEY, "calls", "delivered")
        for wall, moves in self._moves.items():
            rows = [{"key": key, "at": at, **{name: by[name] for name in names}} for key, by in moves.items() if key]
            _MOVE[wall].run(connection, rows)


class Spent:
    """What counts against the walls of some reservations, while they are taken in one after another."""

    def __init__(self, connection: Connection, wanted: Sequence[Reservation]) -> None:
        self._connection = connection
        self._sums: dict[tuple[Wall, Key], int] = {}
        self._moves = Moves()
        keys: dict[Wall, set[Key]] = {wall: set() for wall in Wall}
        for reservation in wanted:
            for wall, key in keys_of(reservation).items():
                keys[wall].add(key)
        for wall, some in keys.items():
            found = connection.execute(_SPENT[wall], {"keys": dump(list(some))})
            self._sums |= {(wall, key): spent for key, spent in found}

    def take(self, wanted: Reservation) -> Wall | None:
        """Count a reservation in; or the first wall that it would go over, and nothing is counted."""
        keys, most = keys_of(wanted), {Wall.JOB: wanted.budget, Wall.RUN: wanted.per_run, Wall.MONTH: wanted.monthly}
        after = {wall: self._sums.get((wall, key), 0) + wanted.reserved for wall, key in keys.items()}
        for wall, limit in most.items():
            if limit is not None and after[wall] > limit:
                return wall
        self._sums |= {(wall, keys[wall]): amount for wall, amount in after.items()}
        self._moves.add(keys, reserved=wanted.reserved, calls=1)
        return None

    def write(self, now: float) -> None:
        """Set aside what was counted in."""
        if months := [{"name": key} for wall, key in self._sums if wall is Wall.MONTH]:
            self._connection.execute(_NEW_MONTH, months)
        self._moves.write(self._connection, now)


def keys_of(wanted: Reservation) -> dict[Wall, Key]:
    """Whose sums a reservation counts in. An attempt is of the month in which it is reserved, whenever it is booked."""
    return {Wall.JOB: wanted.job, Wall.RUN: wanted.run, Wall.MONTH: month_of(wanted.reserved_at)}


def booked(connection: Connection, attempts: Iterable[int]) -> None:
    """Take booked attempts out of what is set aside and into what they turned out to be."""
    moves = Moves()
    for keys, held, billed, unknown in _found(connection, _BOOKED, attempts):
        moves.add(keys, reserved=-held, billed=billed, unknown=unknown)
    moves.write(connection)


def decided(connection: Connection, attempt: int, billed: int) -> None:
    """Take an attempt, before its row says so, out of what is unknown and into what is billed."""
    moves = Moves()
    for keys, _held, _billed, unknown in _found(connection, _BOOKED, [attempt]):
        moves.add(keys, billed=billed, unknown=-unknown)
    moves.write(connection)


def delivered(connection: Connection, attempts: Iterable[int]) -> None:
    """Count the images of some attempts for the runs that made them."""
    moves = Moves()
    for keys, images in _found(connection, _DELIVERED, attempts):
        moves.add({Wall.RUN: keys[Wall.RUN]}, delivered=images)
    moves.write(connection)


def _found(connection: Connection, query: Any, attempts: Iterable[int]) -> list[tuple[Any, ...]]:
    rows = connection.execute(query, {"attempts": dump(list(attempts))})
    return [(dict(zip(Wall, row[:3], strict=True)), *row[3:]) for row in rows]
