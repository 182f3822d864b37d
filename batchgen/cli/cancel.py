"""`batchgen cancel`: wanting no longer what is not delivered yet."""

from __future__ import annotations

import click

from batchgen.app.jobs import check_only, find_job
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import json_option, ledger_options, only_option
from batchgen.cli.output import echo, print_json
from batchgen.domain.clock import SystemClock
from batchgen.domain.text import counted
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader


@click.command()
@click.argument("job")
@ledger_options
@json_option
@only_option
def cancel(job: str, ledger: LedgerChoice, as_json: bool, only: tuple[str, ...]) -> None:
    """Stop wanting what JOB has not delivered yet. Images, attempts and money stay as they are."""
    with Reader(ledger.path) as reader:
        row = find_job(reader, job)
        check_only(reader, row, only, ledger)
    with Ledger.open(ledger.path, SystemClock()) as books:
        count = books.cancel(row.id, frozenset(only) or None)
    if as_json:
        print_json({"job": row.name, "cancelled": count})
    else:
        again = ledger.command(f"retry {row.name} --cancelled")
        echo(f"{row.name}: {counted(count, 'task')} cancelled; to want them again: {again}")
