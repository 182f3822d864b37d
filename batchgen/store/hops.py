"""Threads for what waits on the disk, so that the event loop does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

_THREADS = 8

P = ParamSpec("P")
T = TypeVar("T")


class Hops:
    """Runs work in threads, given ones or eight of its own, and knows what still runs."""

    def __init__(self, executor: Executor | None) -> None:
        self._owned = executor is None
        self.executor = executor or ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._busy: set[Future[object]] = set()

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have it run; nobody needs to wait."""
        future = self.executor.submit(work, *args, **kwargs)
        self._busy.add(future)  # type: ignore[arg-type]  # only waited for
        future.add_done_callback(self._busy.discard)
        return future

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run it and wait. A cancelled caller leaves it to its end: what is paid still lands."""
        result = asyncio.wrap_future(self.start(work, *args, **kwargs))
        try:
            return await asyncio.shield(result)
        except asyncio.CancelledError:
            result.add_done_callback(_look_at)
            raise

    def wait(self) -> None:
        """Wait for all that runs."""
        wait(list(self._busy))

    def close(self) -> None:
        """Wait for all that runs and let own threads go."""
        self.wait()
        if self._owned:
            self.executor.shutdown()


def _look_at(future: asyncio.Future[T]) -> None:
    """Nobody waits for it any more; an error in it is met by the next start, which finds no receipt."""
    if not future.cancelled():
        future.exception()
