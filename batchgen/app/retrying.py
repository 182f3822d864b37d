"""Buying tasks once more: those that failed or are parked, those whose files are gone, those of a batch given up.

These take the ledger as a runner does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from batchgen.app.forecasting import forecast_of
from batchgen.app.jobs import check_only, find_job
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import UsageError
from batchgen.domain.job import Ask, Difference, Texts
from batchgen.domain.lifecycle import TaskState
from batchgen.ledger.batches import WrittenOff
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import JobRow, TaskRow
from batchgen.manifest.manifest import Manifest
from batchgen.report.missing_images import missing_images
from batchgen.store.spool.leftovers import answered


def chosen_tasks(
    job: str, ledger: LedgerChoice, only: frozenset[str], states: set[TaskState] | None
) -> tuple[JobRow, list[TaskRow]]:
    """Give a job and its tasks in some states; without states, those that were delivered and whose files are gone.

    Raises:
        UsageError: the job has no prompt that is asked for by name, or its output folder is not there.
    """
    with Reader(ledger.path) as reader:
        row = find_job(reader, job)
        check_only(reader, row, only, ledger)
        if states is None:
            return row, _gone(reader, row, only or None)
        return row, list(reader.tasks(row.id, states=states, keys=only or None))


def make_available(
    job: JobRow, ledger: Path, only: frozenset[str], states: set[TaskState] | None, chosen: Iterable[TaskRow]
) -> int:
    """Make the chosen tasks available again, with fresh allowances; gives how many those are.

    Raises:
        LedgerInUse: a run has the ledger.
    """
    with Ledger.open(ledger, SystemClock()) as books:
        if states is None:
            return books.buy_anew(job.id, (task.id for task in chosen))
        return sum(books.requeue(job.id, states, only or None).values())


def give_up_batch(job: str, ledger: Path, batch: str) -> tuple[JobRow, WrittenOff]:
    """Wait for a batch no longer, and book what it may have cost.

    Raises:
        LedgerInUse: a run has the ledger.
        UsageError: the job waits for no such batch.
    """
    with Reader(ledger) as reader:
        row = find_job(reader, job)
    with Ledger.open(ledger, SystemClock()) as books:
        return row, books.write_off(row.id, batch, answered(row.output))


def worst_cost(manifest: Manifest, tasks: Iterable[TaskRow]) -> int | None:
    """Give what buying tasks may cost at most over all routes of their manifest, in micro-dollars.

    None where nobody knows; downgrades start anew.
    """
    texts: defaultdict[Ask, Texts] = defaultdict(Texts)
    buy: Counter[Ask] = Counter()
    for task in tasks:
        length = len(task.text.encode())
        texts[task.ask] += Texts(length, length)
        buy[task.ask] += 1
    return forecast_of(manifest, manifest.job, Difference(buy=dict(buy), texts=dict(texts))).worst


def _gone(reader: Reader, row: JobRow, keys: frozenset[str] | None) -> list[TaskRow]:
    """Give the delivered tasks whose files are not there as they were bought.

    Raises:
        UsageError: the output folder itself is not there, so its drive may not be, either.
    """
    if not row.output.is_dir():
        raise UsageError(
            f"{row.output} is not there; if it is on another drive, mount that, else make the folder first"
        )
    missing = {image.task for image in missing_images(reader.path, row)}
    return [task for task in reader.tasks(row.id, states={TaskState.COMPLETED}, keys=keys) if task.id in missing]
