"""Finding a job and its prompts in a ledger by what somebody calls them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.domain.errors import UsageError
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import JobRow


def job_name(job: str) -> str:
    """Give a job's name, which is named by itself or by its manifest.

    Raises:
        ManifestError: the manifest cannot be read.
    """
    if Path(job).suffix not in {".yaml", ".yml"}:
        return job
    from batchgen.app.manifests import load_manifest  # noqa: PLC0415 - slow, and most name a job by its name

    return load_manifest(job).job.name


def find_job(reader: Reader, job: str) -> JobRow:
    """Give a job of a ledger, which is named by itself or by its manifest.

    Raises:
        ManifestError: the manifest cannot be read.
        UsageError: the ledger has no such job.
    """
    return reader.job(job_name(job))


def recorded(ledger: Path, name: str) -> JobRow | None:
    """Give a job as the ledger has it; None where there is no such job, or no ledger."""
    if not ledger.exists():
        return None
    with Reader(ledger) as reader:
        return next((job for job in reader.jobs() if job.name == name), None)


def check_only(reader: Reader, job: JobRow, only: Iterable[str], ledger: LedgerChoice) -> None:
    """Make sure that a job has every prompt that somebody asks for by name.

    Raises:
        UsageError: it has not.
    """
    wanted = frozenset(only)
    found = {task.key for task in reader.tasks(job.id, keys=wanted)} if wanted else set()
    if missing := sorted(wanted - found):
        raise UsageError(f"{job.name} has no prompt {missing[0]}; `{ledger.command(f'tasks {job.name}')}` lists them")
