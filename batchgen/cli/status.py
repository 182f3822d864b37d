"""`batchgen status`: counts and money of jobs."""

from __future__ import annotations

import click

from batchgen.app.jobs import find_job
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json
from batchgen.cli.text.jobs import money_text, states_text
from batchgen.cli.text.runs import outage_lines, run_text
from batchgen.domain.clock import SystemClock, stamp
from batchgen.ledger.reader import Reader
from batchgen.report.fields import job_fields, run_fields
from batchgen.report.quota_text import learned_lines


@click.command()
@click.argument("job", required=False)
@ledger_options
@json_option
def status(job: str | None, ledger: LedgerChoice, as_json: bool) -> None:
    """Counts and money of all jobs, or of JOB (its name or its manifest)."""
    with Reader(ledger.path) as reader:
        rows = [find_job(reader, job)] if job else list(reader.jobs())
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
            echo(*outage_lines(run, SystemClock().now()))
        echo(*(f"  {line}" for line in learned_lines(ledger.path, row.model, SystemClock().now())))
        echo(f"  images in {row.output}")
