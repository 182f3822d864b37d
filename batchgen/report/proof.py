"""The proof: every image that the books name is on disk, whole and unchanged, and every sum adds up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.model import KEPT_KINDS
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted
from batchgen.ledger.audit import Finding
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import JobRow, OpenTask
from batchgen.ledger.runs import RunState
from batchgen.report.strangers import Walk, on_their_way, walk
from batchgen.store.layout import kept_receipt
from batchgen.store.output.image_faults import fault_of

_NAMED = 10


@dataclass(slots=True)
class Proof:
    """What was checked, and what was found.

    Attributes:
        findings: where something does not agree.
        notes: what is open and no fault: a run that goes on or died, unknown charges, half answers in the spool.
    """

    jobs: int = 0
    images: int = 0
    attempts: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prove(path: Path, only: str | None = None, *, checksums: bool) -> Proof:
    """Compare the books with themselves and with the disk, for one job or all.

    A run may go on meanwhile: the folders are looked through before the books are read, at one moment, so that what
    is delivered in between is in the books; and what an attempt has placed that is not settled is no fault.

    Args:
        path: the ledger.
        only: a job's name; None for all.
        checksums: whether every byte is read, and not only how many there are.

    Raises:
        LedgerError: there is no such ledger or job, or it cannot be read.
    """
    with Reader(path) as reader:
        folders = {job.output for job in _jobs(reader, only)}
    found = walk(sorted(folders))
    with Reader(path) as reader:
        return _compare(reader, _jobs(reader, only), found, checksums=checksums, only=only)


def _jobs(reader: Reader, only: str | None) -> list[JobRow]:
    return reader.jobs() if only is None else [reader.job(only)]


def _compare(reader: Reader, jobs: Sequence[JobRow], found: Walk, *, checksums: bool, only: str | None) -> Proof:
    proof = Proof(jobs=len(jobs))
    proof.findings += reader.check(None if only is None else jobs[0].id)
    tasks = reader.open_tasks()
    for job in jobs:
        _runs(reader, job, sum(task.job == job.id for task in tasks), proof)
        for image in reader.images(job.id):
            proof.images += 1
            wrong = fault_of(job.output, image.path, image.bytes, image.sha256 if checksums else "")
            if wrong is not None:
                proof.findings.append(Finding("file", f"{job.name}: {image.path}", wrong))
        proof.attempts += sum(row.calls for row in reader.spending(job.id))
        _open_charges(reader, job, proof)
        _kept_answers(reader, job, found.kept.get(job.output, set()), proof)
    _strangers(reader, tasks, found, proof)
    return proof


def _runs(reader: Reader, job: JobRow, under_way: int, proof: Proof) -> None:
    """Whether a run goes on, or has died and left something."""
    for run in reader.runs(job.id).last:
        tasks = "1 task" if under_way == 1 else f"{under_way} tasks"
        if run.state is RunState.RUNNING:
            who = f"process {run.pid} on {run.host} since {stamp(run.started_at)}"
            proof.notes.append(f"{job.name}: a run goes on, {who}; {tasks} under way")
        elif run.state is RunState.DIED and under_way:
            began = stamp(run.started_at)
            proof.notes.append(
                f"{job.name}: the run of {began} died with {tasks} under way; the next run finishes them"
            )


def _open_charges(reader: Reader, job: JobRow, proof: Proof) -> None:
    """The first few charges that nobody knows, and how many more there are."""
    more = 0
    for number, problem in enumerate(reader.unknowns(job.id)):
        attempt = problem.attempt
        if number < _NAMED:
            proof.notes.append(
                f"{job.name}: {problem.key}/{problem.size}/{problem.sample}: attempt {attempt.id} of "
                f"{stamp(attempt.reserved_at)} may have cost {format_usd(attempt.at_most)}: {attempt.detail}"
            )
        else:
            more += 1
    if more:
        proof.notes.append(f"{job.name}: {more} more attempts that may have been charged; `report` sums them up")


def _kept_answers(reader: Reader, job: JobRow, found: set[int], proof: Proof) -> None:
    """Answers that nobody could read so far: that they are there, where the reason of a task names one."""
    kept = 0
    for task in reader.tasks(job.id, states={TaskState.PARKED}, removed=True):
        if task.cause not in KEPT_KINDS:
            continue
        for call in reader.attempts(task.id)[-1:]:
            if kept_receipt(call.id) not in call.detail:  # its bytes could not be written, and the reason says so
                continue
            there = call.id in found or (job.output / kept_receipt(call.id)).exists()  # it may be kept only now
            kept += there
            if not there:
                proof.findings.append(Finding("file", f"{job.name}: {kept_receipt(call.id)}", "is missing"))
    if kept:
        proof.notes.append(f"{job.name}: {counted(kept, 'paid answer')} that nobody could read; `recover` tries again")


def _strangers(reader: Reader, tasks: Sequence[OpenTask], found: Walk, proof: Proof) -> None:
    """Image files that the books do not know, and answers that are not placed or settled yet."""
    for job in reader.jobs():  # others may have the same folder, or one below it
        for image in reader.images(job.id):
            found.images.discard(f"{job.output.as_posix()}/{image.path}")
    placed = [f"{path} of attempt {attempt} is not settled yet" for path, attempt in on_their_way(found, tasks)]
    proof.notes += _first(placed, "more files that are not settled yet")
    for spool, names in found.spooled.items():
        told = [f"{name} in the spool of {spool.parent}" for name in names]
        proof.notes += _first(told, f"more files in the spool of {spool.parent}")
    proof.findings += found.unread
    proof.findings += [Finding("file", str(Path(path)), "is not in the books") for path in sorted(found.images)]


def _first(notes: Sequence[str], others: str) -> list[str]:
    """The first few, and how many more there are."""
    more = len(notes) - _NAMED
    return [*notes[:_NAMED], *([f"{more} {others}"] if more > 0 else [])]
