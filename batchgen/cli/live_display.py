"""A live table of a run, for a terminal."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from batchgen.app.progress import Progress
from batchgen.cli.text.progress import cost_text, pace_text
from batchgen.domain.events import GatewayBack, GatewayDown, GatewayGivenUp, Notice, RunEvent, RunStopped
from batchgen.domain.text import plain

_LIVE_EVERY = 0.25


class LiveDisplay(AbstractContextManager["LiveDisplay"]):
    """A table that is drawn four times a second from counters, never per event."""

    def __init__(self, progress: Progress) -> None:
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
        elif isinstance(event, Notice | GatewayDown | GatewayBack | GatewayGivenUp):
            self._live.console.print(_markup(str(event)))

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
        lines += [Text(pace_text(progress)), Text(cost_text(progress))]
        if not self._over and (pause := progress.current_pause()):
            lines.append(Text(plain(pause), style="yellow", overflow="ellipsis", no_wrap=True))
        if progress.last_problem:
            lines.append(Text(plain(f"last problem: {progress.last_problem}"), overflow="ellipsis", no_wrap=True))
        if progress.stopping and not self._over and (running := progress.total().running):
            lines.append(Text(f"stopping: waiting for {running} in flight"))
        return Group(*lines)


def _markup(text: str) -> str:
    """Words as they are, for rich, which would obey brackets in them and pass on what a terminal obeys."""
    return escape(plain(text))
