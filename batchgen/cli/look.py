"""Looking at jobs and tasks. These commands read the ledger and never write it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.common import (
    as_recorded,
    check_only,
    db_option,
    echo,
    job_name,
    json_option,
    ledger_path,
    only_option,
    print_json,
    rehearse_option,
)
from batchgen.domain.clock import stamp
from batchgen.domain.errors import UsageError
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.money import format_usd, usd_text
from batchgen.domain.text import counted, one_line

if TYPE_CHECKING:
    from batchgen.ledger.records import AttemptRow, JobRow, TaskRow


@click.command()
@click.argument("job", required=False)
@db_option
@rehearse_option
@json_option
def status(job: str | None, db: Path | None, rehearse: bool, as_json: bool) -> None:
    """Counts and money of all jobs, or of JOB (its name or its manifest)."""
    from batchgen.cli.run_text import run_fields, run_text
    from batchgen.domain.clock import SystemClock
    from batchgen.ledger.reader import Reader

    with Reader(ledger_path(db, rehearse=rehearse)) as reader:
        rows = [reader.job(job_name(job))] if job else list(reader.jobs())
        found = [(row, reader.runs(row.id).last) for row in rows]
    if as_json:
        fields = [job_fields(row) | {"run": run_fields(last[0]) if last else None} for row, last in found]
        print_json(fields[0] if job else fields)
        return
    if not rows:
        echo("no jobs yet")
    for row, last in found:
        echo(f"{row.name}  {states_text(row)}")
        echo(f"  {money_text(row)} · {row.route} · last change {stamp(row.updated_at)}")
        for run in last:
            echo(f"  {run_text(run, SystemClock().now())}")
        echo(f"  images in {row.output}")


@click.command()
@click.argument("job")
@db_option
@rehearse_option
@json_option
@click.option("--state", "states", multiple=True, type=click.Choice([str(state) for state in TaskState]))
@only_option
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
def tasks(
    job: str,
    db: Path | None,
    rehearse: bool,
    as_json: bool,
    states: tuple[str, ...],
    only: tuple[str, ...],
    limit: int | None,
) -> None:
    """List the tasks of JOB: prompt, size, sample, state, image or reason."""
    from batchgen.ledger.reader import Reader
    from batchgen.report.exports import task_fields

    with Reader(ledger_path(db, rehearse=rehearse)) as reader:
        row = reader.job(job_name(job))
        check_only(reader, row, only)
        found = reader.tasks(
            row.id, states={TaskState(state) for state in states} or None, keys=frozenset(only) or None, limit=limit
        )
        if as_json:
            print_json([task_fields(task) for task in found])
            return
        for task in found:
            echo(_task_line(task))


@click.command()
@click.argument("task")
@click.option("--job", default=None, help="Which job, where several know the task.")
@db_option
@rehearse_option
@json_option
def show(task: str, job: str | None, db: Path | None, rehearse: bool, as_json: bool) -> None:
    """Show TASK, as `ID`, `ID/SIZE` or `ID/SIZE/SAMPLE` (or its number), with all its attempts."""
    from batchgen.ledger.reader import Reader
    from batchgen.report.exports import task_fields

    with Reader(ledger_path(db, rehearse=rehearse)) as reader:
        found = reader.find(as_recorded(task), job_name(job) if job else None)
        if not found:
            raise UsageError(f"no task {task}; `batchgen tasks JOB` lists them")
        rows = [(each, reader.attempts(each.id)) for each in found]
    if as_json:
        print_json(
            [
                {
                    **task_fields(each),
                    "text": each.text,
                    **_input_fields(each),
                    "attempts": [_attempt_fields(a) for a in calls],
                }
                for each, calls in rows
            ]
        )
        return
    for each, calls in rows:
        echo(*_task_text(each), *(line for call in calls for line in _attempt_text(call)))


def states_text(row: JobRow) -> str:
    """How many tasks stand where."""
    parts = [f"{row.states[state]} {state}{_outdated(row, state)}" for state in TaskState if row.states.get(state)]
    removed = [f"{row.removed} removed"] if row.removed else []
    return ", ".join(parts + removed) or "no tasks"


def _outdated(row: JobRow, state: TaskState) -> str:
    """How many of the delivered images are to be replaced, or could not be."""
    return f" ({row.outdated} outdated)" if row.outdated and state is TaskState.COMPLETED else ""


def money_text(row: JobRow) -> str:
    """What a job has cost so far."""
    budget = f" of {format_usd(row.limits.budget)}" if row.limits.budget is not None else ""
    return f"spent {spent_text(row)}{budget}"


def spent_text(row: JobRow) -> str:
    """The same without the budget: what is known, what may have been charged, what is under way."""
    nameless = f" + {counted(row.unpriced, 'call')} of unknown price" if row.unpriced else ""
    return f"{amounts_text(row.billed, row.unknown, row.reserved)}{nameless}"


def amounts_text(billed: int, maybe: int, held: int) -> str:
    """Micro-dollars that are billed, that may have been charged, and that are set aside for what is under way."""
    doubtful = f" + maybe {format_usd(maybe)}" if maybe else ""
    return f"{format_usd(billed)}{doubtful}" + (f" + {format_usd(held)} under way" if held else "")


def job_fields(row: JobRow) -> dict[str, object]:
    """A job for machines."""
    return {
        "job": row.name,
        "route": row.route,
        "output": str(row.output),
        "tasks": row.tasks,
        "states": {str(state): count for state, count in row.states.items()},
        "outdated": row.outdated,
        "removed": row.removed,
        "billed_usd": usd_text(row.billed),
        "maybe_usd": usd_text(row.unknown),
        "unpriced_calls": row.unpriced,
        "reserved_usd": usd_text(row.reserved),
        "budget_usd": None if row.limits.budget is None else usd_text(row.limits.budget),
        "updated": stamp(row.updated_at),
    }


def _input_fields(task: TaskRow) -> dict[str, list[str] | str | None]:
    """The input images of a task as its manifest names them."""
    mask = task.inputs.mask
    return {"references": [each.place for each in task.inputs.references], "mask": mask.place if mask else None}


def _task_line(task: TaskRow) -> str:
    what = " · ".join(filter(None, (task.image.path if task.image else "", task.reason[:100])))
    flags = f" [{', '.join(task.flags)}]" if task.flags else ""
    gone = "" if task.wanted else " (removed)"
    return (
        f"{task.key}/{task.size}/{task.sample}  {task.state}{gone}  {format_usd(task.billed)}  {what}{flags}".rstrip()
    )


def _task_text(task: TaskRow) -> list[str]:
    """A task as `show` says it, without its attempts."""
    lines = [_task_line(task), f"  job {task.job_name}, task {task.id}, revision {task.revision}"]
    lines.append(f"  text: {one_line(task.text)}")
    if task.inputs.references:
        lines.append("  references: " + ", ".join(one_line(each.place) for each in task.inputs.references))
    if task.inputs.mask:
        lines.append(f"  mask: {one_line(task.inputs.mask.place)}")
    if task.reason:
        lines.append(f"  reason: {task.reason}")
    if task.image:
        size = f"{task.image.width}x{task.image.height}"
        lines.append(f"  image: {task.image.path} {size} sha256 {task.image.sha256}")
    return lines


def _attempt_text(call: AttemptRow) -> list[str]:
    money = {"billed": format_usd(call.billed), "void": "free", "unknown": f"maybe {format_usd(call.at_most)}"}
    head = (
        f"  attempt {call.id} ({call.revision}.{call.number}) {stamp(call.reserved_at)}  "
        f"{call.outcome or 'under way'}  {money.get(str(call.charge), 'reserved')}  {call.total:.1f} s"
    )
    lines = [head, f"    {call.route}, {call.endpoint}, asked {call.size_asked}" + _sent(call)]
    if call.request_ids:
        lines.append("    " + ", ".join(f"{name}: {value}" for name, value in call.request_ids))
    if call.detail:
        lines.append(f"    {call.detail}")
    if call.settled_note:
        lines.append(f"    settled by {call.settled_note}")
    return lines


def _sent(call: AttemptRow) -> str:
    return f", sent {call.size_sent}" if call.size_sent != call.size_asked else ""


def _attempt_fields(call: AttemptRow) -> dict[str, object]:
    fields: dict[str, object] = asdict(call)
    for name in ("estimated", "reserved", "billed"):
        micros = fields.pop(name)
        fields[f"{name}_usd"] = None if micros is None else usd_text(int(str(micros)))
    return fields
