"""`batchgen verify`: the proof that database, files, checksums and books agree."""

from __future__ import annotations

import click

from batchgen.app.jobs import job_name
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json, say
from batchgen.domain.errors import Exit
from batchgen.domain.text import counted
from batchgen.report.fields import proof_fields
from batchgen.report.proof import prove


@click.command()
@click.argument("job", required=False)
@ledger_options
@json_option
@click.option("--quick", is_flag=True, help="Sizes of files only, no checksums.")
def verify(job: str | None, ledger: LedgerChoice, as_json: bool, quick: bool) -> None:
    """Prove that database, files, checksums and books agree (exit 0), or say where not (exit 3).

    A run may go on meanwhile. What it has under way, open unknown charges and half answers in the spool are listed;
    they are not findings.
    """
    proof = prove(ledger.path, job_name(job) if job else None, checksums=not quick)
    if as_json:
        print_json(proof_fields(proof))
    else:
        for finding in proof.findings:
            echo(f"{finding.check}: {finding.where + ': ' if finding.where else ''}{finding.detail}")
        say(*(f"open: {note}" for note in proof.notes))
        verdict = "all agree" if not proof.findings else f"{len(proof.findings)} findings"
        where = counted(proof.jobs, "job")
        echo(f"{counted(proof.images, 'image')} and {counted(proof.attempts, 'attempt')} in {where}: {verdict}")
    if proof.findings:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
