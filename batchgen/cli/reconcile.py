"""`batchgen reconcile`: the ledger against the gateway's own log of charges; lost answers are settled by it."""

from __future__ import annotations

from pathlib import Path

import click

from batchgen.app import reconciling
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json, say, told_now_and_then
from batchgen.cli.text.reconcile import reconciliation_lines
from batchgen.domain.errors import Exit
from batchgen.report.log_file import read_zone
from batchgen.report.reconciliation_fields import reconciliation_fields


@click.command()
@click.argument("job")
@ledger_options
@json_option
@click.option("--log", "logs", multiple=True, metavar="FILE", help="An exported log instead; or PROVIDER=FILE.")
@click.option("--zone", default="UTC", show_default=True, help="Of times in FILE that name none, such as +08:00.")
@click.option("--dry-run", is_flag=True, help="Only say what would be settled; write nothing.")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Where claims go. [default: the output folder]"
)
def reconcile(
    job: str, ledger: LedgerChoice, as_json: bool, logs: tuple[str, ...], zone: str, dry_run: bool, to: Path | None
) -> None:
    """Compare the calls of JOB with the gateway's own log, settle lost answers by it, and write what can be claimed.

    Exit codes: 0 they agree, after settling · 2 no log, or no token for it · 3 something does not agree, or is open ·
    4 the log cannot be read now.
    """
    found = reconciling.reconcile(
        job, ledger, logs=logs, zone=read_zone(zone), dry_run=dry_run, to=to, tell=say, looking=told_now_and_then
    )
    if as_json:
        print_json(reconciliation_fields(found))
    else:
        echo(*reconciliation_lines(found, dry_run=dry_run))
    if not found.agrees:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
