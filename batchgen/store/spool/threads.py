"""Threads for what waits on the disk, so that the event loop does not."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

from batchgen.domain.errors import StoreError
from batchgen.store.affinity import use_all

_THREADS = 4
_LARGE = 4  # threads for large answers

P = ParamSpec("P")
T = TypeVar("T")

_Work = Callable[[], Any]


class DiskThreads:
    """Runs whole steps in a few threads and wakes the loop once for all that ended meanwhile.

    A thread pool wakes the loop for every result; with thousands of small steps a second that costs more than they do.

    Attributes:
        executor: a thread pool for large answers, whose bytes are worked on outside the interpreter's lock.
    """

    def __init__(self) -> None:
        """Start all threads: none is to be missing once there is something paid to write.

        Raises:
            StoreError: the system gives no more threads.
        """
        self.executor: Executor = ThreadPoolExecutor(_LARGE, thread_name_prefix="store-large", initializer=use_all)
        self._queue: SimpleQueue[tuple[_Work, asyncio.Future[Any] | None] | None] = SimpleQueue()
        self._ended: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._waking = False
        self._threads = [threading.Thread(target=self._serve, name=f"store-{n}", daemon=True) for n in range(_THREADS)]
        try:
            for thread in self._threads:
                thread.start()
            self.wait()
        except RuntimeError as error:
            self.close()
            raise StoreError(
                f"the system lets this process have no more threads ({error}); "
                "end other programs or raise the limit (`ulimit -u`), then run again"
            ) from error

    def start(self, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Begin a step that nobody waits for."""
        self._queue.put((lambda: work(*args, **kwargs), None))

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step and wait. A cancelled caller leaves it to its end: what is paid is still written."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put((lambda: work(*args, **kwargs), future))
        return await future

    async def run_large(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step that works on many bytes, and wait as `run` does."""
        loop = asyncio.get_running_loop()
        return await asyncio.shield(loop.run_in_executor(self.executor, partial(work, *args, **kwargs)))

    def wait(self) -> None:
        """Wait for all that was begun: every thread comes here with nothing before it left to do."""
        meeting = threading.Barrier(len(self._threads) + _LARGE + 1)
        try:
            for _ in self._threads:
                self._queue.put((meeting.wait, None))
            for _ in range(_LARGE):
                self.executor.submit(meeting.wait)
        except RuntimeError:  # no thread to be had
            meeting.abort()
            raise
        meeting.wait()

    def close(self) -> None:
        """Wait for all that was begun, then let the threads go."""
        started = [thread for thread in self._threads if thread.is_alive()]
        for _ in started:
            self._queue.put(None)
        for thread in started:
            thread.join()
        self.executor.shutdown()

    def _serve(self) -> None:
        while (item := self._queue.get()) is not None:
            work, future = item
            result, error = None, None
            try:
                result = work()
            except BaseException as wrong:  # noqa: BLE001 - it is the waiter's, whatever it is
                error = wrong
            if future is not None:
                self._ended.append((future, result, error))
                if not self._waking:
                    self._waking = True
                    _call_soon(future, self._wake)

    def _wake(self) -> None:
        """Run in the loop: hand every result to who waits for it."""
        self._waking = False
        while self._ended:
            future, result, error = self._ended.popleft()
            if future.done():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def _call_soon(future: asyncio.Future[Any], call: Callable[[], None]) -> None:
    try:
        future.get_loop().call_soon_threadsafe(call)
    except RuntimeError:  # the loop is closed, and with it whoever waited
        return
