"""An event loop whose time is a number: when nothing is ready it jumps to the next timer, so a night takes a moment."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from itertools import count
from typing import Any

START = 1_800_000_000.0


class Crash(KeyboardInterrupt):
    """The process ends here. Of a kind that nothing in the program may catch and go on after."""


class Stuck(RuntimeError):
    """Everything waits, and nothing will ever wake it."""


class _Selector(selectors.DefaultSelector):
    """Never waits: the seconds it was asked to wait are added to the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Stuck("everything waits for everything else")
        if not ready and timeout:
            self.now += timeout
        return ready


class _Task(asyncio.Task[Any]):
    """Hashed by its number, so that a set of tasks has the same order in every process."""

    _numbers = count()

    def __init__(self, coro: Coroutine[Any, Any, Any], **others: Any) -> None:
        self._number = next(_Task._numbers)
        super().__init__(coro, **others)

    def __hash__(self) -> int:
        return self._number


class VirtualLoop(asyncio.SelectorEventLoop):
    """One life of the program on virtual time.

    Attributes:
        complaints: what the loop was told of: errors that nobody ever looked at.
    """

    def __init__(self, now: float) -> None:
        self._ticks = _Selector()
        self._ticks.now = now
        self.complaints: list[str] = []
        super().__init__(self._ticks)
        _Task._numbers = count()
        self.set_task_factory(lambda loop, coro, **others: _Task(coro, loop=loop, **others))
        self.set_exception_handler(lambda _loop, context: self.complaints.append(str(context.get("exception"))))

    def time(self) -> float:
        return self._ticks.now

    def abandon(self) -> None:
        """End as a killed process does: nobody is told, nothing is cleaned up that the disk could see."""
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine = task.get_coro()
            if coroutine is not None:
                try:
                    coroutine.close()
                except (RuntimeError, Crash):  # it did something on its way out, which a dead process cannot
                    continue
        self.complaints.clear()
        self.close()


class SimClock:
    """The clock of the engine: monotonic time is the loop's, the wall clock may jump beside it."""

    def __init__(self, loop: VirtualLoop, jumped: float) -> None:
        self.jumped = jumped
        self._loop = loop

    def now(self) -> float:
        """Seconds since the epoch."""
        return START + self._loop.time() + self.jumped

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait, virtually."""
        await asyncio.sleep(seconds)
