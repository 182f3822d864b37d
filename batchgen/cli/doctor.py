"""`batchgen doctor`: whether a run can be trusted on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.machine import examine
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json
from batchgen.domain.errors import Exit


@click.command()
@click.argument("manifest", required=False, type=click.Path(path_type=Path))
@ledger_options
@json_option
def doctor(manifest: Path | None, ledger: LedgerChoice, as_json: bool) -> None:
    """Check versions, disk, clock, proxy, certificates and keys of this machine, and the names of MANIFEST's gateways.

    Sends nothing. Exit 0 when a run can be trusted here, else 3.
    """
    findings = examine(manifest, ledger.path)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "LOOK"
            echo(f"{mark} {finding.what}: {finding.value}")
            if finding.advice:
                echo(f"     {finding.advice}")
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(Exit.SOME_FAILED)
