"""Buying tasks once more: those that failed or are parked, those whose files are gone, those of a batch given up.

These take the ledger as a runner does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Choice:
    """Tasks of a job that are to be bought once more.

    Attributes:
        skipped: of the tasks with the cause that is asked for, those that are in no such state.
    """

    job: JobRow
    tasks: list[TaskRow]
    skipped: int = 0


def chosen_tasks(
    job: str, ledger: LedgerChoice, only: frozenset[str], states: set[TaskState] | None, cause: str | None = None
) -> Choice:
    """Give a job's tasks in some states; without states, those that were delivered and whose files are gone.

    Args:
        job: its name or its manifest.
        ledger: that has it.
        only: the prompts; none for all.
        states: of the work on a task.
        cause: what came of the last call, or the part before its colon; None for all.

    Raises:
        UsageError: the job has no prompt that is asked for by name, or its output folder is not there.
    """
    with Reader(ledger.path) as reader:
        row = find_job(reader, job)
        check_only(reader, row, only, ledger)
        if states is None:
            return Choice(row, _gone(reader, row, only or None))
        if cause is None:
            return Choice(row, list(reader.tasks(row.id, states=states, keys=only or None)))
        found = list(reader.tasks(row.id, keys=only or None, cause=cause))
        tasks = [task for task in found if task.work in states]
        return Choice(row, tasks, len(found) - len(tasks))


def make_available(
    choice: Choice, ledger: Path, only: frozenset[str], states: set[TaskState] | None, cause: str | None = None
) -> int:
    """Make the chosen tasks available again, with fresh allowances; gives how many those are.

    Raises:
        LedgerInUse: a run has the ledger.
    """
    with Ledger.open(ledger, SystemClock()) as books:
        if states is None:
            return books.buy_anew(choice.job.id, (task.id for task in choice.tasks))
        return sum(books.requeue(choice.job.id, states, only or None, cause).values())


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
