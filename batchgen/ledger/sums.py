"""The running sums of jobs, runs and months: what holds the walls, moved in each attempt's own transaction."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from sqlalchemy.engine import Connection, RowMapping

from batchgen.domain.clock import month_of
from batchgen.domain.model import Reservation
from batchgen.domain.walls import Wall
from batchgen.ledger.mapping import dump
from batchgen.ledger.statements import hot

Key = int | str | None
"""A job's or a run's number, or a month's name; None for attempts of no known run."""


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
        names = (*hot.MONEY, "calls", "delivered")
        for wall, moves in self._moves.items():
            rows = [{"key": key, "at": at, **{name: by[name] for name in names}} for key, by in moves.items() if key]
            hot.MOVE_SUMS[wall].run(connection, rows)


class Spent:
    """What counts against the walls of some reservations, while they are taken in one after another."""

    def __init__(self, connection: Connection, owners: Iterable[dict[Wall, Key]]) -> None:
        """Look up what the owners of some reservations have spent, as `owners_of` tells them."""
        self._connection = connection
        self._sums: dict[tuple[Wall, Key], int] = {}
        self._moves = Moves()
        keys: dict[Wall, set[Key]] = {wall: set() for wall in Wall}
        for whose in owners:
            for wall, key in whose.items():
                keys[wall].add(key)
        for wall, some in keys.items():
            found = connection.execute(hot.SPENT[wall], {"keys": dump(list(some))})
            self._sums |= {(wall, row.key): row.spent for row in found}

    def take(self, wanted: Reservation, keys: dict[Wall, Key]) -> Wall | None:
        """Count a reservation in for its owners; or the first wall that it would go over, and nothing is counted."""
        most = {Wall.JOB: wanted.budget, Wall.RUN: wanted.per_run, Wall.MONTH: wanted.monthly}
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
            self._connection.execute(hot.NEW_MONTH, months)
        self._moves.write(self._connection, now)


def owners_of(wanted: Reservation) -> dict[Wall, Key]:
    """Whose sums a reservation counts in. An attempt is of the month in which it is reserved, whenever it is booked."""
    return {Wall.JOB: wanted.job, Wall.RUN: wanted.run, Wall.MONTH: month_of(wanted.reserved_at)}


def booked(connection: Connection, attempts: Iterable[int]) -> None:
    """Take booked attempts out of what is set aside and into what they turned out to be."""
    moves = Moves()
    for row in connection.execute(hot.BOOKED_SUMS, {"attempts": dump(list(attempts))}).mappings():
        moves.add(_owners(row), reserved=-row["held"], billed=row["billed"], unknown=row["unknown"])
    moves.write(connection)


def decided(connection: Connection, attempt: int, billed: int) -> None:
    """Take an attempt, before its row says so, out of what is unknown and into what is billed."""
    moves = Moves()
    for row in connection.execute(hot.BOOKED_SUMS, {"attempts": dump([attempt])}).mappings():
        moves.add(_owners(row), billed=billed, unknown=-row["unknown"])
    moves.write(connection)


def delivered(connection: Connection, attempts: Iterable[int]) -> None:
    """Count the images of some attempts for the runs that made them."""
    moves = Moves()
    for row in connection.execute(hot.DELIVERED_COUNTS, {"attempts": dump(list(attempts))}).mappings():
        moves.add({Wall.RUN: row[Wall.RUN.name]}, delivered=row["images"])
    moves.write(connection)


def _owners(row: RowMapping) -> dict[Wall, Key]:
    return {wall: row[wall.name] for wall in Wall}
