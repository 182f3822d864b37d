"""`batchgen tasks`: the tasks of a job, a line each."""

from __future__ import annotations

import click

from batchgen.app.jobs import check_only, find_job
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import cause_option, json_option, ledger_options, only_option
from batchgen.cli.output import echo, print_json
from batchgen.cli.text.tasks import task_line
from batchgen.domain.lifecycle import TaskState
from batchgen.ledger.reader import Reader
from batchgen.report.fields import task_fields


@click.command()
@click.argument("job")
@ledger_options
@json_option
@click.option("--state", "states", multiple=True, type=click.Choice([str(state) for state in TaskState]))
@only_option
@cause_option
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
def tasks(
    job: str,
    ledger: LedgerChoice,
    as_json: bool,
    states: tuple[str, ...],
    only: tuple[str, ...],
    cause: str | None,
    limit: int | None,
) -> None:
    """List the tasks of JOB: prompt, size, sample, state, image or reason."""
    with Reader(ledger.path) as reader:
        row = find_job(reader, job)
        check_only(reader, row, only, ledger)
        found = reader.tasks(
            row.id,
            states={TaskState(state) for state in states} or None,
            keys=frozenset(only) or None,
            limit=limit,
            cause=cause,
        )
        if as_json:
            print_json([task_fields(task) for task in found])
            return
        for task in found:
            echo(task_line(task))
