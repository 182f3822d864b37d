"""The morning: the report, and the proof that database, files, checksums and books agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.common import db_option, echo, job_name, json_option, ledger_path, print_json, rehearse_option, say
from batchgen.domain.errors import Exit, UsageError
from batchgen.domain.text import counted

if TYPE_CHECKING:
    from batchgen.ledger.reader import Reader
    from batchgen.ledger.records import JobRow


@click.command()
@click.argument("job")
@db_option
@rehearse_option
@json_option
@click.option("--format", "formats", metavar="csv,jsonl", help="Write tables with a row per task, instead of the text.")
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False), help="Where tables go. [default: the output folder]"
)
def report(job: str, db: Path | None, rehearse: bool, as_json: bool, formats: str | None, to: Path | None) -> None:
    """Say what JOB delivered, what it cost by route, size and outcome, and what needs a person."""
    from batchgen.cli.absent import absent_fields, absent_lines, absent_of
    from batchgen.cli.report_text import report_fields, report_lines
    from batchgen.ledger.reader import Reader
    from batchgen.report.summary import summarise

    with Reader(ledger_path(db, rehearse=rehearse)) as reader:
        row = reader.job(job_name(job))
        if formats is not None:
            tables = _export(reader, row, formats.split(","), to or row.output)
            if as_json:
                print_json({"job": row.name, "tables": tables})
            else:
                for table in tables:
                    echo(f"{table['file']}: {table['tasks']} tasks")
            return
        summary = summarise(reader, row)
    gone = absent_of(ledger_path(db, rehearse=rehearse), row, row.output)
    if as_json:
        print_json(report_fields(summary) | absent_fields(gone))
        return
    echo(*report_lines(summary), *absent_lines(gone, row.name, row.output))
    if rehearse:
        from batchgen.cli.bill_text import same_as_bill

        echo(same_as_bill(ledger_path(db, rehearse=rehearse)))


def _export(reader: Reader, row: JobRow, formats: list[str], folder: Path) -> list[dict[str, object]]:
    """Write the tables, none of them where one has no place; gives which they are."""
    from batchgen.report.exports import FORMATS, check_export, write_export

    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"--format takes {' and '.join(FORMATS)}, not {unknown[0]}")
    paths = {name: folder / f"{row.name}.{name}" for name in formats}
    for name, path in paths.items():
        check_export(name, path)
    tables: list[dict[str, object]] = []
    for name, path in paths.items():
        tables.append({"format": name, "file": str(path), "tasks": write_export(name, reader.tasks(row.id), path)})
    return tables


@click.command()
@click.argument("job", required=False)
@db_option
@rehearse_option
@json_option
@click.option("--quick", is_flag=True, help="Sizes of files only, no checksums.")
def verify(job: str | None, db: Path | None, rehearse: bool, as_json: bool, quick: bool) -> None:
    """Prove that database, files, checksums and books agree (exit 0), or say where not (exit 3).

    A run may go on meanwhile. What it has under way, open unknown charges and half answers in the spool are listed;
    they are not findings.
    """
    from dataclasses import asdict

    from batchgen.report.proof import prove

    path = ledger_path(db, rehearse=rehearse)
    proof = prove(path, job_name(job) if job else None, checksums=not quick)
    if as_json:
        findings = [asdict(finding) for finding in proof.findings]
        print_json({"images": proof.images, "attempts": proof.attempts, "findings": findings, "open": proof.notes})
    else:
        for finding in proof.findings:
            echo(f"{finding.check}: {finding.where + ': ' if finding.where else ''}{finding.detail}")
        for note in proof.notes:
            say(f"open: {note}")
        verdict = "all agree" if not proof.findings else f"{len(proof.findings)} findings"
        where = counted(proof.jobs, "job")
        echo(f"{counted(proof.images, 'image')} and {counted(proof.attempts, 'attempt')} in {where}: {verdict}")
    if proof.findings:
        raise click.exceptions.Exit(Exit.SOME_FAILED)
