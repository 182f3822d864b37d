"""The one thread that writes, and how many verbs share one commit.

The thread takes one verb, drains what else waits, runs all of them in one `BEGIN IMMEDIATE` and commits once. When
that fails it rolls back and runs them one by one, so that only the faulty verb gets its error. When the file itself is
the trouble (a disk that reports errors or is full, a lock), all of them are told so: what failed once to reach the disk
is not tried again behind a caller's back. A verb that is under way cannot be cancelled: who stops waiting loses the
answer, never the write.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError, OperationalError

from batchgen.domain.clock import Clock
from batchgen.domain.errors import LedgerError
from batchgen.ledger.connect import explain, explained, is_current, writing_engine

GROUP = 500  # verbs per commit at most

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Verb(Generic[P, R]):
    """A whole transaction, or part of one, for many callers at once.

    Attributes:
        rank: its place within a group; lower runs first.
        run: takes the connection, the payloads and the time; returns an answer for each, in order. An answer that is
            an error is raised for its caller alone, and what was written stays.
    """

    rank: int
    run: Callable[[Connection, Sequence[P], float], Sequence[R | LedgerError]]


class _Order:
    """A verb on its way, and who waits for it."""

    __slots__ = ("answer", "payload", "verb", "waiter")

    def __init__(self, verb: Verb[Any, Any], payload: Any, waiter: _Waiter) -> None:
        self.verb = verb
        self.payload = payload
        self.waiter = waiter
        self.answer: Any = None


_Waiter = asyncio.Future[Any] | futures.Future[Any]


class Database:
    """The connection that writes, and its thread."""

    def __init__(self, path: Path, clock: Clock, busy: float, check: Callable[[], None]) -> None:
        """Open the file and bring its schema up to date.

        Args:
            path: the database file.
            clock: for the time that verbs are given.
            busy: seconds to wait for a lock that another program holds.
            check: raises `LedgerError` when what is written would be lost; asked before every commit.

        Raises:
            LedgerError: it is no ledger, not ours, locked or not writable.
        """
        self._path = path
        self._clock = clock
        self._check = check
        self._queue: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._closed = False
        current = is_current(path, busy)
        with explained(path):
            self._connection = writing_engine(path, busy).connect()
            if not current:
                self._upgrade()
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._thread.start()

    async def do(self, verb: Verb[P, R], payload: P) -> R:
        """Run a verb and wait for its commit without holding up the loop."""
        waiter: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._put(_Order(verb, payload, waiter))
        return await waiter

    def call(self, verb: Verb[P, R], payload: P) -> R:
        """Run a verb and block until its commit."""
        waiter: futures.Future[R] = futures.Future()
        self._put(_Order(verb, payload, waiter))
        return waiter.result()

    def close(self) -> None:
        """Commit what still waits, then let go of the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _upgrade(self) -> None:
        from batchgen.ledger import migrate  # noqa: PLC0415  alembic costs a tenth of a second, and is rarely needed

        try:
            migrate.to_head(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def _put(self, order: _Order) -> None:
        if self._closed:
            raise LedgerError(f"the ledger {self._path} is closed")
        self._queue.put(order)

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            orders = [first]
            last = self._drain(orders)
            self._write(orders)
            _wake(orders)
            if last:
                break
        self._connection.close()

    def _drain(self, orders: list[_Order]) -> bool:
        """Take what else waits; whether the end was among it."""
        with suppress(queue.Empty):
            while len(orders) < GROUP:
                order = self._queue.get_nowait()
                if order is None:
                    return True
                orders.append(order)
        return False

    def _write(self, orders: list[_Order]) -> None:
        try:
            self._check()
        except LedgerError as error:
            for order in orders:
                order.answer = error
        else:
            self._commit(orders)

    def _commit(self, orders: list[_Order]) -> None:
        try:
            with self._connection.begin():
                self._run(orders)
        except OperationalError as error:  # of the file, not of a verb: the answer is the same for all
            self._rolled_back()
            for order in orders:
                order.answer = explain(self._path, error)
        except BaseException as error:  # noqa: BLE001  whatever it is belongs to a caller, not to this thread
            self._rolled_back()
            if len(orders) == 1:
                orders[0].answer = explain(self._path, error) if isinstance(error, DBAPIError) else error
            else:
                for order in orders:
                    self._commit([order])

    def _run(self, orders: list[_Order]) -> None:
        now = self._clock.now()
        groups: dict[Verb[Any, Any], list[_Order]] = {}
        for order in orders:
            groups.setdefault(order.verb, []).append(order)
        for verb in sorted(groups, key=lambda verb: verb.rank):
            group = groups[verb]
            answers = verb.run(self._connection, [order.payload for order in group], now)
            for order, answer in zip(group, answers, strict=True):
                order.answer = answer

    def _rolled_back(self) -> None:
        """Make sure of it: SQLAlchemy rolls nothing back when it was the commit itself that failed."""
        raw = self._connection.connection.driver_connection
        if isinstance(raw, sqlite3.Connection) and raw.in_transaction:
            raw.rollback()


def _wake(orders: list[_Order]) -> None:
    """Tell everyone who waits; one call into each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Order]] = {}
    for order in orders:
        if isinstance(order.waiter, asyncio.Future):
            loops.setdefault(order.waiter.get_loop(), []).append(order)
        else:
            _resolve([order])
    for loop, group in loops.items():
        with suppress(RuntimeError):  # the loop has ended: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, group)


def _resolve(orders: list[_Order]) -> None:
    for order in orders:
        if order.waiter.done():
            continue
        if isinstance(order.answer, BaseException):
            order.waiter.set_exception(order.answer)
        else:
            order.waiter.set_result(order.answer)
