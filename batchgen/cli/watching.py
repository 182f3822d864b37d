"""A run and those who watch it: display, signals, the way out."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys

from batchgen.app.progress import Progress, Row
from batchgen.cli.display import Display, JsonDisplay, LiveDisplay, PlainDisplay
from batchgen.cli.session import Session
from batchgen.cli.signals import LEAVING, heard
from batchgen.domain.events import Listener, Notice, RunEvent
from batchgen.engine.batch.batch_runner import BatchRunner
from batchgen.engine.runner import Runner
from batchgen.store.affinity import pin_to_one_core

INTERRUPTED = "interrupted"
AnyRunner = Runner | BatchRunner


async def watch(
    session: Session, runner: AnyRunner, *, as_json: bool, until: float | None, also: Listener | None = None
) -> None:
    """Run to the end, shown as it goes. The first Ctrl-C stops new calls, the second leaves within two seconds.

    `also` is told of every event first.

    Raises:
        BatchgenError: the books or the disk failed.
    """
    pin_to_one_core()
    gc.freeze()  # what start-up has made lives as long as the run; the collector need not walk it again and again
    progress = _progress(session)
    display = _display(progress, as_json=as_json)
    session.watch(display.on_event if also is None else _both(also, display.on_event))
    leaving: list[asyncio.Task[None]] = []
    with display, heard(_Interrupt(runner, display, leaving)):
        await asyncio.sleep(0)  # a signal that came before ends it here, while nothing is begun
        running = asyncio.create_task(runner.run(until))
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

    def __init__(self, runner: AnyRunner, display: Display, leaving: list[asyncio.Task[None]]) -> None:
        self._runner = runner
        self._display = display
        self._leaving = leaving
        self._told = False

    def __call__(self, name: signal.Signals) -> None:
        """Take one signal."""
        if self._told:
            if name in LEAVING and not self._leaving:
                self._leaving.append(asyncio.create_task(self._runner.abort()))
            return
        self._told = True
        self._runner.job_run.drain(INTERRUPTED)
        if self._runner.in_flight:
            self._display.on_event(
                Notice(
                    f"{_paid_anyway(self._runner.in_flight)}; "
                    "Ctrl-C again leaves at once and counts them as maybe charged"
                )
            )


def _paid_anyway(calls: int) -> str:
    return f"{calls} calls in flight are paid anyway and awaited" if calls > 1 else "1 call in flight is paid anyway"


def _both(first: Listener, second: Listener) -> Listener:
    def tell(event: RunEvent) -> None:
        first(event)
        second(event)

    return tell


def _progress(session: Session) -> Progress:
    """The job as it stands before the first call."""
    job = session.job_row()
    progress = Progress(session.clock, f"{job.name} · {job.route}", session.spec.limits.budget)
    progress.billed, progress.maybe, progress.started = job.billed, job.unknown, session.clock.monotonic()
    for count in session.counts():
        row = progress.rows.setdefault(str(count.size), Row())
        row.add(count.work, count.tasks)
    return progress


def _display(progress: Progress, *, as_json: bool) -> Display:
    if as_json:
        return JsonDisplay(progress, progress.clock)
    return LiveDisplay(progress) if sys.stderr.isatty() else PlainDisplay(progress)
