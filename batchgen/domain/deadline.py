"""A time-out that does not blame the other side for what this process slept through.

A process that was stopped (Ctrl-Z, a laptop's lid, a paused machine) wakes up with every timer overdue, and the answers
it waits for lying in its sockets. So a deadline here is counted down in short steps, and a step that took much longer
than it should is our own sleep, whatever the monotonic clock does meanwhile. It also lets the event loop read what has
arrived already before it gives up: a timer that is due and a socket that is readable come in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_STEP = 1.0  # seconds; at most so much is counted of a sleep
_STALL = 1.0  # seconds, at least, by which a step is longer when we slept; a busy loop is late as well
_STEPS = 8  # at least so many, so that a short deadline is not used up by one sleep
_AFTER_SLEEP = 15.0  # seconds, at least: the other side may have been waiting for us to read
_EXTENSIONS = 4  # a machine that always stalls must come to an end as well
_TURNS = 2  # of the loop: what lies in a socket is read in the first, and its reader woken in the next


class Deadline:
    """So many seconds for waiting, over any number of waits; only those count in which this process ran.

    Attributes:
        rang: whether a wait was given up because the time was over.
    """

    def __init__(self, seconds: float, *, silence: float = math.inf) -> None:
        """Set a deadline; it runs only within `waiting`.

        Args:
            seconds: for all waits together.
            silence: seconds for each single wait.
        """
        self.rang = False
        self._left = seconds
        self._silence = silence
        self._least = min(seconds, silence, _AFTER_SLEEP)
        self._step = min(_STEP, seconds / _STEPS, silence / _STEPS)
        self._extensions = _EXTENSIONS

    @property
    def over(self) -> bool:
        """Whether nothing is left, so that nothing new may be begun."""
        return self._left <= 0

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Bound what is awaited in the block.

        Raises:
            TimeoutError: the time is over, and what was awaited has not arrived.
        """
        scope = asyncio.timeout(None)
        try:
            async with scope:
                wait = _Wait(self, scope, self._silence)
                try:
                    yield
                finally:
                    wait.end()
        finally:
            self.rang |= scope.expired()

    def spend(self, seconds: float, planned: float, silence: float) -> float:
        """Count one step of a wait, and return what is left of the single wait."""
        late = seconds > planned + max(self._step, _STALL)
        spent = min(seconds, planned) if late else seconds
        self._left -= spent
        silence -= spent
        if late and self._extensions:
            self._extensions -= 1
            self._left = max(self._left, self._least)
            silence = max(silence, self._least)
        return silence

    def next_step(self, silence: float) -> float:
        """Return the seconds of the next step; 0 when the time is over."""
        return max(0.0, min(self._step, self._left, silence))


class _Wait:
    """One wait under a deadline: the timer, and how it ends."""

    def __init__(self, deadline: Deadline, scope: asyncio.Timeout, silence: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._scope = scope
        self._silence = silence
        self._begin()

    def end(self) -> None:
        """Count what was waited since the last step."""
        self._timer.cancel()
        self._spend()

    def _begin(self) -> None:
        self._since = self._loop.time()
        self._planned = self._deadline.next_step(self._silence)
        if self._planned:
            self._timer: asyncio.Handle = self._loop.call_at(self._since + self._planned, self._tick)
        else:
            self._give_up(_TURNS)

    def _tick(self) -> None:
        self._spend()
        self._begin()

    def _spend(self) -> None:
        self._silence = self._deadline.spend(self._loop.time() - self._since, self._planned, self._silence)

    def _give_up(self, turns: int) -> None:
        if turns:
            self._timer = self._loop.call_soon(self._give_up, turns - 1)
        else:
            self._scope.reschedule(self._loop.time())
