"""The end of a run: what it did, what is left, what to type next, and the exit code that says the same."""

from __future__ import annotations

from pathlib import Path

from batchgen.app.bill_check import compare_with_bill
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.output import echo, print_json
from batchgen.cli.session import Session
from batchgen.cli.text.bill import bill_line
from batchgen.cli.text.jobs import money_text, states_text
from batchgen.cli.text.missing_images import absent_lines
from batchgen.cli.watching import INTERRUPTED
from batchgen.domain.errors import Exit
from batchgen.domain.lifecycle import WAITING, TaskState
from batchgen.domain.money import format_usd, usd_text
from batchgen.domain.text import counted
from batchgen.domain.walls import BUDGET_REACHED
from batchgen.engine.bookkeeper import Tally
from batchgen.engine.job_run import LEFT, JobRun
from batchgen.ledger.records import JobRow
from batchgen.report.fields import absent_fields, job_fields
from batchgen.report.missing_images import Absent, absent_of


def conclude(session: Session, run: JobRun | None, manifest: Path, ledger: LedgerChoice, *, as_json: bool) -> Exit:
    """Print the summary; give the exit code. There was no run when there was nothing to buy."""
    job, tally = session.job_row(), run.tally if run else Tally()
    gone = absent_of(session.ledger.path, job, job.output)
    code = exit_code(run, job, gone)
    stopped = end_reason(run, code)
    if as_json:
        print_json(
            {
                "event": "summary",
                **job_fields(job),
                **absent_fields(gone),
                "calls": tally.calls,
                "delivered": tally.delivered,
                "run_billed_usd": usd_text(tally.billed),
                "run_maybe_usd": usd_text(tally.maybe),
                "stopped": stopped or None,
                "switches": run.explained if run else [],
                "exit": int(code),
            },
            indent=None,
        )
        return code
    bought = f"{counted(tally.calls, 'call')}, {counted(tally.delivered, 'image')}, {format_usd(tally.billed)}"
    echo(f"{bought} in this run{_maybe(tally.maybe)}")
    for explained in run.explained if run else ():
        echo(explained)
    if stopped:
        echo(f"stopped before the end: {stopped}")
    echo(f"{job.name}: {states_text(job)} · {money_text(job)}")
    echo(f"images in {job.output}")
    echo(*absent_lines(gone, job.name, job.output, ledger), *_next(job, manifest, ledger, stopped))
    return code


def exit_code(run: JobRun | None, job: JobRow, gone: Absent | None) -> Exit:
    """What the run came to, in the order of what a person must know first.

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
    """Why a run ended before all was done, as the books have it; "" when nothing was left to buy."""
    if run is None:
        return ""
    if run.aborted:
        return LEFT
    if run.stopped is None and code is Exit.STOPPED:
        return "; ".join(run.explained) or "what was asked for is done, other images of the job still wait"
    return run.stopped or ""


def _maybe(micros: int) -> str:
    return f" + maybe {format_usd(micros)}" if micros else ""


def _next(job: JobRow, manifest: Path, ledger: LedgerChoice, stopped: str) -> list[str]:
    lines = [
        f"{job.work[state]} {state}: {ledger.command(f'retry {job.name} --{state}')}"
        for state in (TaskState.FAILED, TaskState.PARKED)
        if job.work.get(state)
    ]
    if any(job.work.get(state) for state in WAITING):
        first = "raise `limits.budget` in the manifest, then " if stopped == BUDGET_REACHED else ""
        lines.append(f"to go on: {first}{ledger.run_command(manifest)}")
    if ledger.rehearse:
        lines.append(bill_line(compare_with_bill(ledger.path)))
    return lines
