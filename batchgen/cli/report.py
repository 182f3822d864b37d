"""`batchgen report`: what was delivered, what it cost, what needs a person."""

from __future__ import annotations

from pathlib import Path

import click

from batchgen.app.bill_check import compare_with_bill
from batchgen.app.jobs import find_job
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json
from batchgen.cli.text.bill import bill_line
from batchgen.cli.text.missing_images import absent_lines
from batchgen.cli.text.report import report_lines
from batchgen.ledger.reader import Reader
from batchgen.report.exports import FORMATS, export
from batchgen.report.fields import absent_fields
from batchgen.report.missing_images import missing_of
from batchgen.report.summary import summarise
from batchgen.report.summary_fields import report_fields


@click.command()
@click.argument("job")
@ledger_options
@json_option
@click.option(
    "--format", "formats", metavar=",".join(FORMATS), help="Write tables with a row per task, instead of the text."
)
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Where tables go. [default: the output folder]"
)
def report(job: str, ledger: LedgerChoice, as_json: bool, formats: str | None, to: Path | None) -> None:
    """Say what JOB delivered, what it cost by route, size and outcome, and what needs a person."""
    with Reader(ledger.path) as reader:
        row = find_job(reader, job)
        if formats is not None:
            tables = export(reader, row, formats.split(","), to or row.output)
            if as_json:
                print_json({"job": row.name, "tables": tables})
            else:
                echo(*(f"{each['file']}: {each['tasks']} tasks" for each in tables))
            return
        summary = summarise(reader, row)
    gone = missing_of(ledger.path, row, row.output)
    if as_json:
        print_json(report_fields(summary, ledger.command) | absent_fields(gone))
        return
    echo(*report_lines(summary, ledger), *absent_lines(gone, row.name, row.output, ledger))
    if ledger.rehearse:
        echo(bill_line(compare_with_bill(ledger.path)))
