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
from batchgen.ledger.connect import explain, explained, is_current, make_tables, version, writing_engine

GROUP = 500  # verbs per commit at most

P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Verb(Generic[P, R]):
    """A whole transaction, or part of one, for many callers at once.

    Attributes:
        run: takes the connection, the payloads and the time; returns an answer for each, in order. An answer that is
            an error is raised for its caller alone, and what was written stays.
    """

    run: Callable[[Connection, Sequence[P], float], Sequence[R | LedgerError]]


class _PendingVerb:
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

    def __init__(
        self, path: Path, clock: Clock, busy: float, check: Callable[[], None], order: Sequence[Verb[Any, Any]]
    ) -> None:
        """Open the file and bring its schema up to date.

        Args:
            path: the database file.
            clock: for the time that verbs are given.
            busy: seconds to wait for a lock that another program holds.
            check: raises `LedgerError` when what is written would be lost; asked before every commit.
            order: every verb there is; of those in one commit the earlier ones are run first.

        Raises:
            LedgerError: it is no ledger, not ours, locked or not writable.
        """
        self._path = path
        self._clock = clock
        self._check = check
        self._order = order
        self._queue: queue.SimpleQueue[_PendingVerb | None] = queue.SimpleQueue()
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
        self._put(_PendingVerb(verb, payload, waiter))
        return await waiter

    def call(self, verb: Verb[P, R], payload: P) -> R:
        """Run a verb and block until its commit."""
        waiter: futures.Future[R] = futures.Future()
        self._put(_PendingVerb(verb, payload, waiter))
        return waiter.result()

    def close(self) -> None:
        """Commit what still waits, then let go of the file."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()

    def _upgrade(self) -> None:
        """Make all tables in an empty file, else bring them up to date."""
        try:
            with self._connection.begin():
                if empty := version(self._connection) is None:
                    make_tables(self._connection)
            if not empty:
                from batchgen.ledger import migrate  # noqa: PLC0415  alembic costs a fifth of a second

                migrate.to_head(self._connection)
        except BaseException:
            self._connection.close()
            raise

    def _put(self, pending: _PendingVerb) -> None:
        if self._closed:
            raise LedgerError(f"the ledger {self._path} is closed")
        self._queue.put(pending)

    def _serve(self) -> None:
        while (first := self._queue.get()) is not None:
            pending = [first]
            last = self._drain(pending)
            self._write(pending)
            _wake(pending)
            if last:
                break
        self._connection.close()

    def _drain(self, pending: list[_PendingVerb]) -> bool:
        """Take what else waits; whether the end was among it."""
        with suppress(queue.Empty):
            while len(pending) < GROUP:
                each = self._queue.get_nowait()
                if each is None:
                    return True
                pending.append(each)
        return False

    def _write(self, pending: list[_PendingVerb]) -> None:
        try:
            self._check()
        except LedgerError as error:
            for each in pending:
                each.answer = error
        else:
            self._commit(pending)

    def _commit(self, pending: list[_PendingVerb]) -> None:
        try:
            with self._connection.begin():
                self._run(pending)
        except OperationalError as error:  # of the file, not of a verb: the answer is the same for all
            self._rolled_back()
            for each in pending:
                each.answer = explain(self._path, error)
        except BaseException as error:  # noqa: BLE001  whatever it is belongs to a caller, not to this thread
            self._rolled_back()
            if len(pending) == 1:
                pending[0].answer = explain(self._path, error) if isinstance(error, DBAPIError) else error
            else:
                for each in pending:
                    self._commit([each])

    def _run(self, pending: list[_PendingVerb]) -> None:
        now = self._clock.now()
        groups: dict[Verb[Any, Any], list[_PendingVerb]] = {}
        for each in pending:
            groups.setdefault(each.verb, []).append(each)
        for verb in sorted(groups, key=self._order.index):
            group = groups[verb]
            answers = verb.run(self._connection, [each.payload for each in group], now)
            for each, answer in zip(group, answers, strict=True):
                each.answer = answer

    def _rolled_back(self) -> None:
        """Make sure of it: SQLAlchemy rolls nothing back when it was the commit itself that failed."""
        raw = self._connection.connection.driver_connection
        if isinstance(raw, sqlite3.Connection) and raw.in_transaction:
            raw.rollback()


def _wake(pending: list[_PendingVerb]) -> None:
    """Tell everyone who waits; one call into each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_PendingVerb]] = {}
    for each in pending:
        if isinstance(each.waiter, asyncio.Future):
            loops.setdefault(each.waiter.get_loop(), []).append(each)
        else:
            _resolve([each])
    for loop, group in loops.items():
        with suppress(RuntimeError):  # the loop has ended: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, group)


def _resolve(pending: list[_PendingVerb]) -> None:
    for each in pending:
        if each.waiter.done():
            continue
        if isinstance(each.answer, BaseException):
            each.waiter.set_exception(each.answer)
        else:
            each.waiter.set_result(each.answer)
