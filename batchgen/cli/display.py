"""Three ways to watch a run: a live table in a terminal, plain lines elsewhere, JSON lines for machines."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from batchgen.app.progress import Progress
from batchgen.cli.output import print_json, say
from batchgen.domain.clock import Clock, stamp
from batchgen.domain.events import CallEnded, LanePaused, Notice, RunEvent, RunStopped
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted, plain
from batchgen.report.event_fields import event_fields

if TYPE_CHECKING:
    from rich.console import RenderableType

_LIVE_EVERY = 0.25
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


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """A table that is drawn four times a second from counters, never per event."""

    def __init__(self, progress: Progress) -> None:
        from rich.console import Console
        from rich.live import Live

        self._progress = progress
        self._over = False
        self._live = Live(
            console=Console(stderr=True), auto_refresh=False, get_renderable=self._draw, vertical_overflow="visible"
        )

    def on_event(self, event: RunEvent) -> None:
        """Count it; the next refresh shows it."""
        self._progress.on_event(event)
        if isinstance(event, RunStopped):
            self._live.console.print(f"[bold]no new calls:[/] {_markup(event.reason)}")
        elif isinstance(event, Notice):
            self._live.console.print(_markup(event.text))

    async def run(self) -> None:
        """Redraw until cancelled."""
        while True:
            self._live.refresh()
            await asyncio.sleep(_LIVE_EVERY)

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._live.refresh()
        self._live.__exit__(kind, error, trace)

    def _draw(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        progress = self._progress
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("size")
        for name in ("done", "running", "waiting", "failed", "parked"):
            table.add_column(name, justify="right")
        rows = sorted(progress.rows.items())
        if len(rows) != 1:
            rows.append(("all", progress.total()))
        for size, row in rows:
            table.add_row(
                size,
                f"[green]{row.done}[/]",
                str(row.running),
                str(row.waiting),
                f"[red]{row.failed}[/]" if row.failed else "0",
                f"[yellow]{row.parked}[/]" if row.parked else "0",
            )
        lines: list[RenderableType] = [Text(plain(progress.job), style="bold"), table]
        lines += [Text(_pace_line(progress)), Text(_money_line(progress))]
        if not self._over and (pause := progress.current_pause()):
            lines.append(Text(plain(pause), style="yellow", overflow="ellipsis", no_wrap=True))
        if progress.last_problem:
            lines.append(Text(plain(f"last problem: {progress.last_problem}"), overflow="ellipsis", no_wrap=True))
        if progress.stopping and not self._over and (running := progress.total().running):
            lines.append(Text(f"stopping: waiting for {running} in flight"))
        return Group(*lines)


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
            case LanePaused(_, seconds, reason) if seconds >= 1:
                self._say(f"pause of {seconds:.0f} s: {reason[:160]}")
            case CallEnded() if self._progress.last_problem != before:
                self._say(self._progress.last_problem)
            case _:
                pass

    async def run(self) -> None:
        """A line every so often until cancelled."""
        while True:
            await asyncio.sleep(_PLAIN_EVERY)
            self._say(_one_line(self._progress))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._say(_one_line(self._progress))

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
        """Nothing to refresh."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _pace_line(progress: Progress) -> str:
    finish = progress.finish()
    left = "" if finish is None else f" · done about {_local(finish)}"
    return f"{progress.per_minute():.1f} images/min{left}"


def _money_line(progress: Progress) -> str:
    maybe = f" + maybe {format_usd(progress.maybe)}" if progress.maybe else ""
    budget = f" of {format_usd(progress.budget)}" if progress.budget is not None else ""
    return f"spent {format_usd(progress.billed)}{maybe}{budget} · {counted(progress.calls, 'call')} in this run"


def _one_line(progress: Progress) -> str:
    row = progress.total()
    return (
        f"{row.done} done, {row.running} running, {row.waiting} waiting, {row.failed} failed, {row.parked} parked · "
        f"{_pace_line(progress)} · {_money_line(progress)}"
    )


def _local(seconds: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(seconds).astimezone().strftime("%a %H:%M")


def _markup(text: str) -> str:
    """Words as they are, for rich, which would obey brackets in them and pass on what a terminal obeys."""
    from rich.markup import escape

    return escape(plain(text))
