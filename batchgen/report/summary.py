"""What the morning reads: a job's state, its money, and what needs a person."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import KEPT_KINDS, OutcomeKind
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import AttemptRow, JobRow, Spending, TaskAttempt, TaskRow
from batchgen.ledger.runs import Runs
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.decide import REFUSALS
from batchgen.store.layout import kept_receipt

# How many of each are named; the exports have all of them.
EXAMPLES = 10
RUNS = 5


class Fate(StrEnum):
    """What is known of the money of a lost answer."""

    CHARGED = "charged"  # by the gateway's log, as `free`
    FREE = "free"
    BILLED = "billed"  # by the contract, as `void`
    VOID = "void"
    OPEN = "open"


@dataclass(slots=True)
class SizeRow:
    """Tasks of one size by state."""

    size: str
    states: dict[TaskState, int] = field(default_factory=dict)

    def count(self, *states: TaskState) -> int:
        """How many are in any of these states."""
        return sum(self.states.get(state, 0) for state in states)


@dataclass(slots=True)
class Group:
    """Tasks or calls that share something, the first of them by name."""

    count: int = 0
    billed: int = 0
    maybe: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, name: str, billed: int = 0, maybe: int = 0) -> None:
        """Count a task or a call in, by its name and its money."""
        self.count += 1
        self.billed += billed
        self.maybe += maybe
        if len(self.examples) < EXAMPLES:
            self.examples.append(name)


@dataclass(slots=True, kw_only=True)
class Stuck(Group):
    """Tasks that ended in one state and for one cause.

    Attributes:
        cause: "" where no call was made; what has none goes by its reason.
        reason: of the first of them.
    """

    state: TaskState
    cause: str
    reason: str

    def retry(self, job: str) -> str:
        """Give the words behind `batchgen` that make exactly these available again, without a cause all of the state.

        >>> Stuck(state=TaskState.FAILED, cause="content:safety system", reason="").retry("mugs")
        "retry mugs --failed --cause 'content:safety system'"
        """
        one = f" --cause {shlex.quote(self.cause)}" if self.cause else ""
        return f"retry {job} --{self.state}{one}"


@dataclass(slots=True)
class Summary:
    """A job as its report tells it: states, money, and what needs a person.

    Attributes:
        stuck: tasks that failed or were parked, by state and cause.
        downgraded: images delivered smaller than asked, as `key asked -> delivered`.
        mismatched: images of other dimensions than asked.
        rerouted: images that came over another route than the job's own.
        outdated: delivered images that are to be replaced, or could not be; each stays until its successor is there.
        blank: images of one colour.
        duplicate: images whose bytes another task has too, with the beginning of their digest.
        refused: calls whose content was refused, with what they cost.
        lost: calls whose answer nobody saw, with what they cost and may have cost.
        fates: of these, how many are known to be charged or free, from which source, and how many are not.
        wasted: calls that were billed and brought no image.
        kept: calls whose answers nobody could read so far, with what they cost and may have cost.
        runs: the last of them one by one.
    """

    job: JobRow
    sizes: list[SizeRow]
    spending: list[Spending]
    stuck: list[Stuck] = field(default_factory=list)
    downgraded: Group = field(default_factory=Group)
    mismatched: Group = field(default_factory=Group)
    rerouted: Group = field(default_factory=Group)
    outdated: Group = field(default_factory=Group)
    blank: Group = field(default_factory=Group)
    duplicate: Group = field(default_factory=Group)
    refused: Group = field(default_factory=Group)
    lost: Group = field(default_factory=Group)
    fates: Counter[Fate] = field(default_factory=Counter)
    wasted: Group = field(default_factory=Group)
    kept: Group = field(default_factory=Group)
    runs: Runs = field(default_factory=lambda: Runs(()))

    def count(self, *states: TaskState) -> int:
        """Tasks of the manifest in any of these states."""
        return sum(self.job.states.get(state, 0) for state in states)


def summarise(reader: Reader, job: JobRow) -> Summary:
    """Read what there is to say about a job."""
    summary = Summary(
        job=job, sizes=_sizes(reader, job), spending=reader.spending(job.id), runs=reader.runs(job.id, RUNS)
    )
    stuck: dict[tuple[TaskState, str], Stuck] = {}
    for task in reader.tasks(job.id, states={TaskState.FAILED, TaskState.PARKED}):
        reason = _short(task.reason)
        found = stuck.setdefault(
            (task.work, task.cause or reason), Stuck(state=task.work, cause=task.cause, reason=reason)
        )
        found.add(task_name(task.key, str(task.size), task.sample), task.billed, task.unknown)
    summary.stuck = list(stuck.values())
    for task in reader.flagged(job.id):
        _flag(summary, task)
    for task in reader.outdated(job.id) if job.outdated else ():
        summary.outdated.add(task_name(task.key, str(task.size), task.sample))
    for problem in reader.problems(job.id):
        _problem(summary, problem)
    return summary


def task_name(key: str, size: str, sample: int) -> str:
    """How a person names a task, and how `show` takes it.

    >>> task_name("mug", "2048x2048", 1)
    'mug/2048x2048/1'
    """
    return f"{key}/{size}/{sample}"


def _sizes(reader: Reader, job: JobRow) -> list[SizeRow]:
    rows: dict[str, SizeRow] = {}
    for count in reader.counts(job.id):
        row = rows.setdefault(str(count.size), SizeRow(str(count.size)))
        row.states[count.state] = row.states.get(count.state, 0) + count.tasks
    return list(rows.values())


def _flag(summary: Summary, task: TaskRow) -> None:
    if task.image is None:
        return
    plain = task_name(task.key, str(task.size), task.sample)
    name = f"{plain} → {task.image.width}x{task.image.height}"
    if "downgraded" in task.image.flags:
        summary.downgraded.add(name)
    if "size_mismatch" in task.image.flags:
        summary.mismatched.add(name)
    if "rerouted" in task.image.flags:
        summary.rerouted.add(plain)
    if "blank" in task.image.flags:
        summary.blank.add(plain)
    if "duplicate" in task.image.flags:
        summary.duplicate.add(f"{plain} ({task.image.sha256[:8]})")


def _problem(summary: Summary, problem: TaskAttempt) -> None:
    attempt = problem.attempt
    name = task_name(problem.key, str(problem.size), problem.sample)
    maybe = attempt.at_most if attempt.charge is Charge.UNKNOWN else 0
    if attempt.outcome in REFUSALS:
        summary.refused.add(name, attempt.billed, maybe)
    elif attempt.outcome in LOST_KINDS:
        summary.fates[_fate(attempt)] += 1
        summary.lost.add(name, attempt.billed if not maybe else 0, maybe)
    if attempt.outcome in KEPT_KINDS and kept_receipt(attempt.id) in attempt.detail:
        summary.kept.add(name, attempt.billed if not maybe else 0, maybe)
    elif attempt.charge is Charge.BILLED and attempt.outcome is not OutcomeKind.DELIVERED:
        summary.wasted.add(name, attempt.billed)


def _fate(attempt: AttemptRow) -> Fate:
    match attempt.charge:
        case Charge.BILLED:
            return Fate.CHARGED if attempt.settled_note else Fate.BILLED
        case Charge.VOID:
            return Fate.FREE if attempt.settled_note else Fate.VOID
        case _:
            return Fate.OPEN


def _short(reason: str) -> str:
    """What tasks have in common: the reason without its particulars."""
    reason = reason.partition(" (")[0] or reason
    return reason if len(reason) <= 160 else reason[:159] + "…"
