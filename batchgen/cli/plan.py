"""`batchgen plan`: what a run would buy, cost and take, found without writing anything."""

from __future__ import annotations

from pathlib import Path

import click

from batchgen.app import planning
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.manifests import load_manifest
from batchgen.app.spending_limits import monthly_by_environment
from batchgen.cli.options import REBUY_ALL, RebuyCommand, json_option, ledger_options, rebuy_option, refresh_option
from batchgen.cli.output import echo, print_json, told_now_and_then, warn
from batchgen.cli.text.missing_images import absent_lines
from batchgen.cli.text.plan import plan_lines
from batchgen.report.fields import absent_fields
from batchgen.report.missing_images import missing_of


@click.command(cls=RebuyCommand)
@click.argument("manifest", type=click.Path(path_type=Path))
@ledger_options
@json_option
@rebuy_option
@refresh_option
def plan(manifest: Path, ledger: LedgerChoice, as_json: bool, rebuy: str | None, refresh_inputs: bool) -> None:
    """Compare MANIFEST with the ledger: new, changed, unchanged, removed; calls, cost, time, disk. Writes nothing."""
    monthly_by_environment()  # what is wrong with it is said before anything
    loaded = load_manifest(manifest)
    warn(loaded.warnings)
    proposal = planning.plan(
        loaded, ledger, rebuy=rebuy == REBUY_ALL, refresh_inputs=refresh_inputs, looking=told_now_and_then
    )
    warn(proposal.warnings)
    job = proposal.job
    gone = missing_of(ledger.path, proposal.before, job.output)
    if as_json:
        print_json(proposal.fields() | absent_fields(gone))
    else:
        echo(*plan_lines(proposal, ledger), *absent_lines(gone, job.name, job.output, ledger))
