"""What the books say, for the commands that only look. Nothing here can write: the file is opened read-only."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from sqlalchemy import Select, or_

from batchgen.domain.errors import NotInLedger
from batchgen.domain.inputs import InputFile
from batchgen.domain.job import Limits, Parameters, output_path
from batchgen.domain.learned import Learned
from batchgen.domain.lifecycle import TaskEvent, TaskState
from batchgen.domain.model import OutcomeKind
from batchgen.domain.size import Size
from batchgen.ledger import audit, quotas
from batchgen.ledger.audit import Finding
from batchgen.ledger.claims import paid_calls
from batchgen.ledger.connect import reading
from batchgen.ledger.decisions import Amounts, amounts, select_tasks
from batchgen.ledger.diff import input_files
from batchgen.ledger.holder import held
from batchgen.ledger.mapping import dump, load_attempt, load_image, load_task, load_task_attempt, rows_of
from batchgen.ledger.records import (
    AttemptRow,
    Count,
    ImageRow,
    JobRow,
    MonthRow,
    OpenTask,
    PaidCall,
    Spending,
    TaskAttempt,
    TaskRow,
)
from batchgen.ledger.runs import RunRow, Runs, load_outage, load_run
from batchgen.ledger.statements import lookups, registers
from batchgen.ledger.statements.fragments import among, cause_bound, has_cause, listed
from batchgen.ledger.tables import attempt, image, job, prompt, task

BATCH = 1_000  # rows fetched at a time, however many there are


class Reader:
    """One consistent moment of a ledger; made anew for each look, so that the writer is never held up for long.

    To be used in a `with` block; within it, what goes wrong with the file is a `LedgerError`.
    """

    def __init__(self, path: Path) -> None:
        """Take the path of a ledger; nothing is opened yet.

        Args:
            path: the ledger; opened by `with`, which raises `LedgerError` when there is none of this schema.
        """
        self.path = path
        self._open = ExitStack()

    def __enter__(self) -> Reader:
        self._holder = held(self.path)  # before the books: who ends in between has an end in them
        self._connection = self._open.enter_context(reading(self.path))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    @property
    def name(self) -> str | None:
        """The random name that the ledger was made with; None while it has none."""
        return self._connection.execute(registers.LEDGER_NAME).scalar()

    def jobs(self) -> list[JobRow]:
        """List every job, oldest first."""
        return [self._job(row) for row in list(rows_of(self._connection.execute(registers.JOBS)))]

    def job(self, name: str) -> JobRow:
        """Look up one job by its name.

        Raises:
            LedgerError: there is none of that name; the message lists those there are.
        """
        found = self._connection.execute(registers.JOB_BY_NAME, {"name": name}).mappings().one_or_none()
        if found is None:
            names = ", ".join(self._connection.execute(registers.JOB_NAMES).scalars()) or "none"
            raise NotInLedger(f"the ledger {self.path} has no job named {name}; it has: {names}")
        return self._job(dict(found))

    def runs(self, key: int, most: int = 1) -> Runs:
        """The last runs of a job, and the sums of those before them.

        One without an end goes on while its own process has the ledger. Else it died.
        """
        rows = list(rows_of(self._connection.execute(lookups.RUNS, {"job": key, "most": most})))
        if not rows:
            return Runs(())
        holders = [each for each in (self._holder, held(self.path)) if each is not None]
        last = tuple(self._with_outages([load_run(row, holders) for row in rows]))
        earlier = self._connection.execute(lookups.EARLIER_RUNS, {"job": key, "before": last[-1].id})
        return Runs(last, **earlier.mappings().one())

    def _with_outages(self, runs: Sequence[RunRow]) -> Iterator[RunRow]:
        found = self._connection.execute(lookups.OUTAGES, {"runs": dump([run.id for run in runs])})
        outages = [load_outage(row) for row in rows_of(found)]
        return (replace(run, outages=tuple(each for each in outages if each.run == run.id)) for run in runs)

    def month(self, name: str) -> MonthRow:
        """What all jobs have spent in a local calendar month, such as `2026-11`."""
        found = self._connection.execute(lookups.MONTH, {"name": name}).mappings().one_or_none()
        return MonthRow(name, **(found or {}))

    def ceiling(self) -> int | None:
        """Micro-dollars that all jobs may spend in a calendar month, by the ledger's own setting; None for no limit."""
        return self._connection.execute(lookups.CEILING).scalar()

    def quotas(self) -> list[Learned]:
        """What was learned of the quotas of gateways, however long ago."""
        return list(quotas.all_of(self._connection))

    def counts(self, key: int) -> list[Count]:
        """Tasks that the manifest wants, by size, quality and state."""
        sizes = {row.id: Size(row.width, row.height) for row in self._connection.execute(lookups.VARIANTS)}
        default = self._default_quality(key)
        found: Counter[tuple[Size, str, TaskState, TaskState]] = Counter()
        for row in self._connection.execute(lookups.COUNTS, {"job": key}):
            found[sizes[row.variant_id], row.quality or default, TaskState(row.state), TaskState(row.work)] += row.tasks
        return [Count(*place, tasks) for place, tasks in sorted(found.items())]

    def input_files(self, key: int) -> list[InputFile]:
        """The local references and masks of a job as they were last looked at."""
        return list(input_files(self._connection, key))

    def spending(self, key: int) -> list[Spending]:
        """Calls and money by route, size sent and outcome. Looks at every attempt of the job."""
        found = rows_of(self._connection.execute(lookups.SPENDING, {"job": key}))
        return [
            Spending(**row | {"outcome": None if row["outcome"] is None else OutcomeKind(row["outcome"])})
            for row in found
        ]

    def tasks(
        self,
        key: int,
        states: Iterable[TaskState] | None = None,
        keys: Iterable[str] | None = None,
        limit: int | None = None,
        *,
        cause: str | None = None,
        removed: bool = False,
    ) -> Iterator[TaskRow]:
        """Tasks in the manifest's order, as a stream.

        Args:
            key: the job's number.
            states: only those that people see so, or whose work stands there: outdated images among them.
            keys: only these prompts.
            limit: at most so many.
            cause: only those of this cause, or of one that begins with it, such as `content`.
            removed: also those that the manifest has no more.
        """
        query = lookups.TASKS.where(task.c.job_id == key).order_by(*lookups.IN_ORDER).limit(limit)
        if not removed:
            query = query.where(task.c.wanted == 1)
        if states is not None:
            wanted = frozenset(states)
            query = query.where(or_(among(task.c.state, wanted), among(task.c.work, wanted)))
        if keys is not None:
            query = query.where(prompt.c.key.in_(listed("keys")))
        values = {} if keys is None else {"keys": dump(sorted(keys))}
        if cause is not None:
            query, values = query.where(has_cause), values | cause_bound(cause)
        return map(load_task, self._stream(query, values))

    def flagged(self, key: int) -> Iterator[TaskRow]:
        """Tasks of whose image there is something to be said, such as other dimensions than asked; as a stream."""
        query = lookups.FLAGGED.where(task.c.job_id == key, task.c.wanted == 1)
        return map(load_task, self._stream(query.order_by(*lookups.IN_ORDER)))

    def outdated(self, key: int) -> Iterator[TaskRow]:
        """Delivered tasks whose image is to be replaced, or could not be; as a stream."""
        query = lookups.OUTDATED.where(task.c.job_id == key, task.c.wanted == 1)
        return map(load_task, self._stream(query.order_by(*lookups.IN_ORDER)))

    def find(self, reference: str, name: str | None = None) -> list[TaskRow]:
        """The tasks somebody means by a number, a prompt's key, `key/size` or `key/size/sample`, of all jobs or one."""
        query = lookups.TASKS.where(lookups.meant(reference)).order_by(task.c.job_id, *lookups.IN_ORDER)
        if name is not None:
            query = query.where(job.c.name == name)
        return [load_task(row) for row in rows_of(self._connection.execute(query))]

    def attempts(self, key: int) -> list[AttemptRow]:
        """Every attempt at a task, in order."""
        found = self._connection.execute(lookups.ATTEMPTS_OF_TASK, {"task": key})
        return [load_attempt(row) for row in rows_of(found)]

    def bought(self, tasks: Iterable[int]) -> Iterator[tuple[TaskRow, AttemptRow]]:
        """Delivered tasks, by their numbers, each with the attempt that brought its image; as a stream."""
        numbers = iter(tasks)
        while some := list(islice(numbers, BATCH)):
            values = {"tasks": dump(some)}
            made = rows_of(self._connection.execute(lookups.ATTEMPTS_OF_IMAGES, values))
            attempts = {each.task: each for each in map(load_attempt, made)}
            query = lookups.TASKS_BY_NUMBER.order_by(task.c.id)
            found = [load_task(row) for row in rows_of(self._connection.execute(query, values))]
            yield from ((each, attempts[each.id]) for each in found if each.id in attempts)

    def paid_calls(self, key: int, numbers: Collection[int]) -> list[PaidCall]:
        """Booked attempts of a job by their numbers, each with its task as it stands now."""
        return paid_calls(self._connection, key, numbers)

    def kept_calls(self, key: int) -> int:
        """How many calls of a job have brought an answer that nobody could read so far."""
        return int(self._connection.execute(lookups.KEPT_CALLS, {"job": key}).scalar_one())

    def digests(self, key: int) -> Iterator[tuple[str, int]]:
        """SHA-256 and task of every image of a job, of all revisions, as a stream."""
        return ((row["sha256"], row["task"]) for row in self._stream(lookups.DIGESTS, {"job": key}))

    def open_tasks(self) -> list[OpenTask]:
        """Every task of all jobs that an attempt holds."""
        return [
            OpenTask(
                row.job,
                row.attempt,
                row.revision,
                Path(row.output),
                output_path(row.path, Size(row.width, row.height), row.sample),
            )
            for row in self._connection.execute(lookups.OPEN_TASKS)
        ]

    def check(self, key: int | None = None) -> list[Finding]:
        """Everything wrong in the books of one job or of all; see `audit.check`."""
        return audit.findings(self._connection, key)

    def images(self, key: int | None = None) -> Iterator[ImageRow]:
        """Every image delivered, of all revisions, as a stream; of one job or of all."""
        query = lookups.IMAGES
        return map(load_image, self._stream(query if key is None else query.where(image.c.job_id == key)))

    def problems(self, key: int | None = None) -> Iterator[TaskAttempt]:
        """Calls that ended without an image: refusals, lost answers, damage, errors; as a stream."""
        return self._problems(lookups.PROBLEMS, key)

    def unknowns(self, key: int | None = None) -> Iterator[TaskAttempt]:
        """Calls of which nobody knows yet what they cost; as a stream."""
        return self._problems(lookups.UNKNOWNS, key)

    def span(self, key: int) -> tuple[float, float] | None:
        """When the first and the last call of a job were reserved, seconds since the epoch; None before any."""
        span = self._connection.execute(lookups.SPAN, {"job": key}).one()
        return None if span.first is None else (span.first, span.last)

    def calls(self, first: float, last: float) -> Iterator[TaskAttempt]:
        """Every call of all jobs that was reserved in this time, whatever came of it; as a stream."""
        return map(load_task_attempt, self._stream(lookups.CALLS, {"first": first, "last": last}))

    def waiting(
        self, key: int, states: Iterable[TaskState] | None = None, only: Iterable[str] | None = None
    ) -> Amounts:
        """What `Ledger.requeue` would make available, by what is asked."""
        return amounts(self._connection, select_tasks(key, TaskEvent.REQUEUE, states, only))

    def _problems(self, query: Select[Any], key: int | None) -> Iterator[TaskAttempt]:
        narrowed = query if key is None else query.where(attempt.c.job_id == key)
        return map(load_task_attempt, self._stream(narrowed))

    def _stream(self, query: Select[Any], values: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        return rows_of(self._connection.execute(query, values or {}).yield_per(BATCH))

    def _default_quality(self, key: int) -> str:
        parameters = self._connection.execute(registers.JOB_PARAMETERS, {"job": key}).scalar_one()
        return json.loads(parameters).get("quality") or ""

    def _job(self, row: dict[str, Any]) -> JobRow:
        found = self._connection.execute(lookups.STATES, {"job": row["id"]}).all()
        wanted = [each for each in found if each.wanted]
        return JobRow(
            **row
            | {
                "manifest": Path(row["manifest"]),
                "output": Path(row["output"]),
                "parameters": Parameters(**json.loads(row["parameters"])),
                "limits": Limits(**json.loads(row["limits"])),
                "downgrade": bool(row["downgrade"]),
                "states": _summed((each.state, each.tasks) for each in wanted),
                "work": _summed((each.work, each.tasks) for each in wanted),
                "outdated": sum(each.tasks for each in wanted if each.state != each.work),
                "unpriced": self._connection.execute(lookups.UNPRICED, {"job": row["id"]}).scalar_one(),
                "removed": sum(each.tasks for each in found if not each.wanted),
            }
        )


def _summed(counts: Iterable[tuple[str, int]]) -> dict[TaskState, int]:
    found: Counter[TaskState] = Counter()
    for state, tasks in counts:
        found[TaskState(state)] += tasks
    return dict(found)
