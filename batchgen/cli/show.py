"""`batchgen show`: one task with all its attempts."""

from __future__ import annotations

import click

from batchgen.app.jobs import job_name
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import as_recorded, json_option, ledger_options
from batchgen.cli.output import echo, print_json
from batchgen.cli.text.tasks import attempt_lines, task_lines
from batchgen.domain.errors import UsageError
from batchgen.ledger.reader import Reader
from batchgen.report.fields import shown_task_fields


@click.command()
@click.argument("task")
@click.option("--job", default=None, help="Which job, where several know the task.")
@ledger_options
@json_option
def show(task: str, job: str | None, ledger: LedgerChoice, as_json: bool) -> None:
    """Show TASK, as `ID`, `ID/SIZE` or `ID/SIZE/SAMPLE` (or its number), with all its attempts."""
    with Reader(ledger.path) as reader:
        found = reader.find(as_recorded(task), job_name(job) if job else None)
        if not found:
            raise UsageError(f"no task {task}; `batchgen tasks JOB` lists them")
        rows = [(each, reader.attempts(each.id)) for each in found]
    if as_json:
        print_json([shown_task_fields(each, calls) for each, calls in rows])
        return
    for each, calls in rows:
        echo(*task_lines(each), *(line for call in calls for line in attempt_lines(call)))
