"""`batchgen rebuild`: a ledger that is lost or older than its output gets back what the output folder tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.rebuild import RebuildHost, RebuildTarget, rebuild_index, rebuild_target
from batchgen.app.rebuild import rebuild as rebuild_ledger
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json, say, told_now_and_then
from batchgen.cli.text.rebuild import rebuild_lines
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import Exit, UsageError
from batchgen.domain.text import counted
from batchgen.report.fields import rebuilt_fields

_SAY_EVERY = 5.0  # seconds


@click.command()
@click.argument("job")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="OUTPUT",
    help="The output folder of the job.",
)
@ledger_options
@json_option
@click.option("--dry-run", is_flag=True, help="Only say what would be entered; write nothing.")
@click.option("--index", is_flag=True, help="Write images.jsonl of OUTPUT anew from the ledger instead.")
def rebuild(job: str, folder: Path, ledger: LedgerChoice, as_json: bool, dry_run: bool, index: bool) -> None:
    """Enter into the ledger what OUTPUT tells of JOB and the ledger does not have: it is lost, or an older copy.

    JOB is a manifest or a job's name. Images are entered with their attempts and their money when their files are
    whole; answers that are whole in the spool are finished by the next run, without a call. Nothing is removed.

    Exit codes: 0 all is entered · 2 usage, or another ledger's folder · 3 some cannot be entered, and are listed ·
    4 a run has the ledger.
    """
    target = rebuild_target(job, folder, ledger)
    if index:
        _write_index(target, as_json=as_json, dry_run=dry_run)
        return
    host = RebuildHost(tell=say, progress=_now_and_then(), looking=told_now_and_then)
    done = rebuild_ledger(target, dry_run=dry_run, host=host)
    found = done.found
    if as_json:
        where = (target.name, ledger.path, target.output)
        print_json(rebuilt_fields(*where, found, compared=done.compared, dry_run=dry_run))
    else:
        echo(*rebuild_lines(target, found, dry_run=dry_run))
    if found.faults:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _write_index(target: RebuildTarget, *, as_json: bool, dry_run: bool) -> None:
    if dry_run:
        raise UsageError("--index writes images.jsonl and nothing else; give it without --dry-run")
    path, lines = rebuild_index(target)
    if as_json:
        print_json({"job": target.name, "index": str(path), "lines": lines})
    else:
        echo(f"{path}: {counted(lines, 'line')}")


def _now_and_then() -> Callable[[int], None]:
    """Say now and then how far the work is."""
    clock = SystemClock()
    said = clock.monotonic()

    def progress(lines: int) -> None:
        nonlocal said
        if clock.monotonic() - said > _SAY_EVERY:
            said = clock.monotonic()
            say(f"{lines:,} lines of images.jsonl are done")

    return progress
