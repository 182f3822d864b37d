"""Ways to watch a run that is not shown live: plain lines, and JSON lines for machines."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

from batchgen.app.progress import Progress
from batchgen.cli.output import print_json, say
from batchgen.cli.text.progress import progress_line
from batchgen.domain.clock import Clock, stamp
from batchgen.domain.events import (
    CallEnded,
    GatewayBack,
    GatewayDown,
    GatewayGivenUp,
    LanePaused,
    Notice,
    RunEvent,
    RunStopped,
)
from batchgen.report.event_fields import event_fields

_PLAIN_EVERY = 15.0


class Display(Protocol):
    """Shows a run while it lasts; entered before the first event, left after the last."""

    def on_event(self, event: RunEvent) -> None:
        """Take one event in."""
        ...

    async def run(self) -> None:
        """Refresh until cancelled."""
        ...

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainDisplay(AbstractContextManager["PlainDisplay"]):
    """A line now and then, and one for whatever a person would want to know at once."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_event(self, event: RunEvent) -> None:
        """Say at once what cannot wait for the next line."""
        before = self._progress.last_problem
        self._progress.on_event(event)
        match event:
            case Notice(text) | RunStopped(text):
                self._say(text)
            case GatewayDown() | GatewayBack() | GatewayGivenUp():
                self._say(str(event))
            case LanePaused(lane, seconds, reason) if seconds >= 1:
                self._say(f"{lane}: pause of {seconds:.0f} s: {reason[:160]}")
            case CallEnded() if self._progress.last_problem != before:
                self._say(self._progress.last_problem)
            case _:
                pass

    async def run(self) -> None:
        """Print a line every so often until cancelled."""
        while True:
            await asyncio.sleep(_PLAIN_EVERY)
            self._say(progress_line(self._progress))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._say(progress_line(self._progress))

    def _say(self, text: str) -> None:
        say(f"{stamp(self._progress.clock.now())} {text}")


class JsonDisplay(AbstractContextManager["JsonDisplay"]):
    """One JSON object a line on stdout, for every event."""

    def __init__(self, progress: Progress, clock: Clock) -> None:
        self._progress = progress
        self._clock = clock

    def on_event(self, event: RunEvent) -> None:
        """Print it."""
        self._progress.on_event(event)
        print_json({"at": stamp(self._clock.now()), **event_fields(event)}, indent=None)

    async def run(self) -> None:
        """Do nothing: every event is printed as it comes."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None
