"""`batchgen recover`: paid answers that nobody could read are read again, without a call."""

from __future__ import annotations

import asyncio

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.recovering import recover_kept
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json, say
from batchgen.cli.text.recover import recovery_lines
from batchgen.domain.errors import Exit
from batchgen.report.recovery_fields import recovery_fields


@click.command()
@click.argument("job")
@ledger_options
@json_option
@click.option("--dry-run", is_flag=True, help="Only say what is in them; fetch and write nothing.")
def recover(job: str, ledger: LedgerChoice, as_json: bool, dry_run: bool) -> None:
    """Read the kept answers of JOB again, with this program and the manifest as they are now. No paid call is made.

    An image that is found, or fetched from its address, is checked and placed like any other and becomes its task's
    image; where the task was bought meanwhile, it is filed as an unused revision. `picture_at:` under `route` says
    where a picture stands that is not found.

    Exit codes: 0 every one is an image now, or there are none · 2 usage · 3 some are not · 4 a run has the ledger.
    """
    found = asyncio.run(recover_kept(job, ledger, dry_run=dry_run, tell=say))
    if as_json:
        print_json(recovery_fields(found.row.name, found.answers, dry_run=dry_run))
    else:
        echo(*recovery_lines(found, ledger))
    if not found.complete:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
