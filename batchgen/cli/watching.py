"""A run and those who watch it: display, signals, the way out."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

from batchgen.app.ending import INTERRUPTED
from batchgen.app.progress import Progress
from batchgen.app.run_host import RunUnderWay
from batchgen.cli.display import Display, JsonDisplay, PlainDisplay
from batchgen.cli.signals import LEAVING, heard
from batchgen.domain.events import Notice
from batchgen.store.affinity import on_one_core

# So many objects more than were freed before the collector looks. Hardly any of a call's is in a circle, and by default
# it would look several times for each image.
_COLLECT_AFTER = (50_000, 20, 50)


async def watch(run: RunUnderWay, *, as_json: bool) -> None:
    """Have a run done, and show it as it goes. The first Ctrl-C stops new calls, the second leaves within two seconds.

    Raises:
        BatchgenError: the books or the disk failed.
    """
    gc.freeze()  # what start-up has made lives as long as the run; the collector need not walk it again and again
    gc.set_threshold(*_COLLECT_AFTER)
    progress = run.progress()
    display = _display(progress, as_json=as_json)
    run.listen(display.on_event)
    leaving: list[asyncio.Task[None]] = []
    with on_one_core(), display, heard(_Interrupt(run, display, leaving)):
        await asyncio.sleep(0)  # a signal that came before ends it here, while nothing is begun
        running = asyncio.create_task(run.finish())
        refreshing = asyncio.create_task(display.run())
        try:
            await asyncio.wait({running})
            await running
        finally:
            refreshing.cancel()
            if leaving:
                await asyncio.wait(leaving)


class _Interrupt:
    """The first signal stops new calls, also where the run is ending by itself; another may leave."""

    def __init__(self, run: RunUnderWay, display: Display, leaving: list[asyncio.Task[None]]) -> None:
        self._run = run
        self._display = display
        self._leaving = leaving
        self._told = False

    def __call__(self, name: signal.Signals) -> None:
        """Take one signal."""
        if self._told:
            if name in LEAVING and not self._leaving:
                self._leaving.append(asyncio.create_task(self._run.abort()))
            return
        self._told = True
        self._run.drain(INTERRUPTED)
        if self._run.in_flight:
            self._display.on_event(
                Notice(
                    f"{_paid_anyway(self._run.in_flight)}; Ctrl-C again leaves at once and counts them as maybe charged"
                )
            )


def _paid_anyway(calls: int) -> str:
    return f"{calls} calls in flight are paid anyway and awaited" if calls > 1 else "1 call in flight is paid anyway"


def _display(progress: Progress, *, as_json: bool) -> Display:
    if as_json:
        return JsonDisplay(progress, progress.clock)
    if not sys.stderr.isatty():
        return PlainDisplay(progress)
    from batchgen.cli.live_display import LiveDisplay  # noqa: PLC0415 - drawing is slow to load, and for terminals

    return LiveDisplay(progress)
