"""The parts of the program that have threads of their own, without them: each step happens on the loop, a little later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, Protocol

from batchgen.domain.clock import Clock
from batchgen.domain.errors import LedgerError
from batchgen.ledger.connect import is_current, writing_engine
from batchgen.ledger.database import GROUP, Database, Verb, _PendingVerb, _wake
from batchgen.store.spool.commit import commit_answer
from batchgen.store.spool.threads import DiskThreads


class Watcher(Protocol):
    """Who is told what happens, and decides how long it takes and whether the process survives it."""

    @property
    def dead(self) -> bool: ...

    def step(self, what: str) -> None: ...

    def soon(self) -> float: ...

    def committed(self, verbs: list[str]) -> None: ...

    def landed(self, attempt: int) -> None: ...


class SimDatabase(Database):
    """The ledger's writer: what waits is written in one commit when a timer says so, as the thread would."""

    def __init__(
        self,
        watcher: Watcher,
        path: Path,
        clock: Clock,
        busy: float,
        check: Callable[[], None],
        order: Sequence[Verb[Any, Any]],
    ) -> None:
        if not is_current(path):
            raise LedgerError("the simulation starts with a ledger of the present schema")
        self._path = path
        self._clock = clock
        self._check = check
        self._order = order
        self._closed = False
        self._watcher = watcher
        self._waiting: list[_PendingVerb] = []
        self._connection = writing_engine(path, busy).connect()

    def close(self) -> None:
        if not self._closed:
            if not self._watcher.dead:
                self._flush()
            self.abandon()

    def abandon(self) -> None:
        """As the end of the process does: what was not committed never was."""
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._connection.close()

    def _put(self, pending: _PendingVerb) -> None:
        if self._closed:
            raise LedgerError(f"the ledger {self._path} is closed")
        self._waiting.append(pending)
        if isinstance(pending.waiter, futures.Future):
            self._flush()
        elif len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(self._watcher.soon(), self._flush)

    def _flush(self) -> None:
        pending, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
        if not pending:
            return
        names = [each.verb.run.__name__ for each in pending]
        self._watcher.step(f"commit {' '.join(names)}")
        self._write(pending)
        self._watcher.committed(names)
        _wake(pending)


class InlineExecutor(futures.Executor):
    """Runs at once what a thread would."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> futures.Future[Any]:
        future: futures.Future[Any] = futures.Future()
        try:
            future.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it is the waiter's
            future.set_exception(error)
        return future


class SimDiskThreads(DiskThreads):
    """The store's threads: whole steps, one after the other, each a little later."""

    def __init__(self, watcher: Watcher) -> None:
        self.executor = InlineExecutor()
        self._watcher = watcher
        self._left: list[Callable[[], object]] = []

    def start(self, work: Callable[..., object], *args: Any, **kwargs: Any) -> None:
        if self._watcher.dead:
            return
        self._left.append(lambda: work(*args, **kwargs))
        asyncio.get_running_loop().call_later(self._watcher.soon(), self._next)

    async def run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def step() -> None:
            try:
                result = self._do(work, *args, **kwargs)
            except Exception as error:  # noqa: BLE001 - it is the waiter's
                if not future.done():
                    future.set_exception(error)
                return
            if not future.done():
                future.set_result(result)

        self._left.append(step)
        asyncio.get_running_loop().call_later(self._watcher.soon(), self._next)
        return await future

    run_large = run

    def wait(self) -> None:
        while self._left and not self._watcher.dead:
            self._next()

    def close(self) -> None:
        self.wait()

    def _next(self) -> None:
        if self._left:
            self._left.pop(0)()

    def _do(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._watcher.step(f"hop {work.__name__}")
        result = work(*args, **kwargs)
        if work is commit_answer:
            self._watcher.landed(args[2].attempt)
        return result
