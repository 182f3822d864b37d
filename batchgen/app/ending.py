"""How a run ends: its exit code, and why, as the books have it."""

from __future__ import annotations

from batchgen.domain.errors import Exit
from batchgen.domain.lifecycle import WAITING, TaskState
from batchgen.engine.job_run import LEFT, JobRun
from batchgen.ledger.records import JobRow
from batchgen.report.missing_images import MissingImages

INTERRUPTED = "interrupted"
"""Why a run ends that somebody asked to end."""


def exit_code(run: JobRun | None, job: JobRow, gone: MissingImages | None) -> Exit:
    """Say what a run came to, in the order of what a person must know first.

    Args:
        run: None when there was nothing to buy.
        job: as the books have it now.
        gone: delivered images whose files are not there; None for none.
    """
    if run is not None and run.stopped is not None:
        if run.aborted:
            return Exit.LEFT_AT_ONCE
        return Exit.INTERRUPTED if run.stopped == INTERRUPTED else Exit.STOPPED
    if any(job.work.get(state) for state in WAITING):
        return Exit.STOPPED
    if job.work.get(TaskState.FAILED) or gone is not None:
        return Exit.SOME_FAILED
    return Exit.SOME_PARKED if job.work.get(TaskState.PARKED) else Exit.DELIVERED


def end_reason(run: JobRun | None, code: Exit) -> str:
    """Say why a run ended before all was done, as the books have it; "" when nothing was left to buy."""
    if run is None:
        return ""
    if run.aborted:
        return LEFT
    if run.stopped is None and code is Exit.STOPPED:
        return "; ".join(run.explained) or "what was asked for is done, other images of the job still wait"
    return run.stopped or ""
