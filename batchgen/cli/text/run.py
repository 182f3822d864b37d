"""A run in words: what an earlier one left, and what this one came to."""

from __future__ import annotations

from pathlib import Path

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.text.jobs import money_text, states_text
from batchgen.cli.text.missing_images import absent_lines
from batchgen.domain.lifecycle import WAITING, TaskState
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted
from batchgen.domain.walls import BUDGET_REACHED
from batchgen.engine.recovery import Recovered
from batchgen.report.run_result import RunResult


def recovered_text(found: Recovered) -> str:
    """Say what became of the tasks that an earlier run left under way."""
    return (
        f"{counted(found.total, 'task')} interrupted: {found.placed} finished from the spool, {found.fetched} "
        f"downloaded again, {found.lost} without an answer (they may have been charged)"
        + (f", {found.gone} paid whose answer is gone" if found.gone else "")
        + (f", {found.unfetched} paid that cannot be fetched now; the next run tries again" if found.unfetched else "")
        + (f", {found.working} that the gateway works on" if found.working else "")
        + (f", {found.withheld} paid at addresses that are not allowed" if found.withheld else "")
    )


def result_lines(result: RunResult, manifest: Path, ledger: LedgerChoice) -> list[str]:
    """Say what a run did, what is left, and what to type next."""
    job = result.job
    bought = f"{counted(result.calls, 'call')}, {counted(result.delivered, 'image')}, {format_usd(result.billed)}"
    maybe = f" + maybe {format_usd(result.maybe)}" if result.maybe else ""
    return [
        f"{bought} in this run{maybe}",
        *(each for each in result.switches if each not in result.stopped),
        *([f"stopped before the end: {result.stopped}"] if result.stopped else []),
        f"{job.name}: {states_text(job)} · {money_text(job)}",
        f"images in {job.output}",
        *absent_lines(result.gone, job.name, job.output, ledger),
        *_next(result, manifest, ledger),
    ]


def _next(result: RunResult, manifest: Path, ledger: LedgerChoice) -> list[str]:
    work = result.job.work
    kept = f"{counted(result.kept, 'paid answer')} that nobody could read, kept: "
    lines = [kept + ledger.command(f"recover {result.job.name}")] if result.kept else []
    lines += [
        f"{work[state]} {state}: {ledger.command(f'retry {result.job.name} --{state}')}"
        for state in (TaskState.FAILED, TaskState.PARKED)
        if work.get(state)
    ]
    if any(work.get(state) for state in WAITING):
        first = "raise `limits.budget` in the manifest, then " if result.stopped == BUDGET_REACHED else ""
        lines.append(f"to go on: {first}{ledger.run_command(manifest)}")
    return lines
