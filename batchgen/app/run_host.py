"""Whom a run works for: who is told, asked, and shown it while it lasts."""

from __future__ import annotations

from batchgen.app.approval import Question
from batchgen.app.looking import Looking, in_silence
from batchgen.app.planning import PlannedRun
from batchgen.app.progress import Progress, Row
from batchgen.app.session import Session
from batchgen.domain.errors import UsageError
from batchgen.domain.events import Listener, RunEvent
from batchgen.domain.job import JobSpec
from batchgen.engine.batch.batch_runner import BatchRunner
from batchgen.engine.recovery import Recovered
from batchgen.engine.runner import Runner
from batchgen.report.missing_images import MissingImages


class RunUnderWay:
    """A run that is ready to begin, or goes on.

    Attributes:
        session: of its job.
    """

    def __init__(
        self, session: Session, runner: Runner | BatchRunner, until: float | None, first: Listener | None = None
    ) -> None:
        self.session = session
        self._runner = runner
        self._until = until
        self._first = first
        if first is not None:
            session.watch(first)

    def listen(self, listener: Listener) -> None:
        """Tell a listener of every event from now on."""
        first = self._first
        if first is None:
            self.session.watch(listener)
            return

        def both(event: RunEvent) -> None:
            first(event)
            listener(event)

        self.session.watch(both)

    def progress(self) -> Progress:
        """Give the job in numbers, as it stands before the first call; its events keep it up to date."""
        session = self.session
        job = session.job_row()
        progress = Progress(session.clock, f"{job.name} · {job.route}", session.spec.limits.budget)
        progress.billed, progress.maybe, progress.started = job.billed, job.unknown, session.clock.monotonic()
        for count in session.counts():
            row = progress.rows.setdefault(str(count.size), Row())
            row.add(count.work, count.tasks)
        return progress

    async def finish(self) -> None:
        """Buy until nothing is left to do, or something speaks against going on.

        Raises:
            BatchgenError: the books or the disk failed.
        """
        await self._runner.run(self._until)

    def drain(self, reason: str) -> None:
        """Begin nothing new; what is in flight goes on to its end, or to the next run where the gateway has it."""
        self._runner.job_run.leave(reason)

    async def abort(self) -> None:
        """Give up what is in flight, within two seconds; it may have been charged."""
        await self._runner.abort()

    @property
    def in_flight(self) -> int:
        """Calls that are paid whatever comes."""
        return self._runner.in_flight


class RunHost:
    """Tells nobody, refuses whatever needs a person, and lets a run go on to its end. Others do more.

    Attributes:
        looking: told how far the looking at many files is.
    """

    looking: Looking = staticmethod(in_silence)

    def tell(self, text: str) -> None:
        """Hear what was set right, or what holds the run in."""

    def recovering(self) -> None:
        """Hear that what an earlier run left under way is finished first."""

    def recovered(self, found: Recovered) -> None:
        """Hear what became of that."""

    def missing(self, found: MissingImages | None, job: JobSpec) -> None:
        """Hear which delivered images are not there; None for none."""

    def planned(self, planned: PlannedRun) -> None:
        """Hear what the run is about to do."""

    def agree(self, question: Question) -> None:
        """Agree to something unusual.

        Raises:
            UsageError: it must not be. Nothing is recorded, and nothing is bought.
        """
        raise UsageError(f"{question.text}; nobody agreed to that")

    async def attend(self, run: RunUnderWay) -> None:
        """Have the run done, and show it while it lasts."""
        await run.finish()
