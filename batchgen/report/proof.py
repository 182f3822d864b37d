"""The proof: every image that the books name is on disk, whole and unchanged, and every sum adds up."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.domain.money import format_usd
from batchgen.ledger.audit import check
from batchgen.ledger.reading import Reader
from batchgen.ledger.records import Finding, JobRow
from batchgen.store.delivered import fault_of
from batchgen.store.layout import SPOOL

_NAMED = 10
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".webp"})


@dataclass(slots=True)
class Proof:
    """What was checked.

    Attributes:
        findings: where something does not agree.
        notes: what is open and no fault: unknown charges, half answers in the spool.
    """

    images: int = 0
    attempts: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def prove(reader: Reader, only: JobRow | None, *, checksums: bool) -> Proof:
    """Compare the books with themselves and with the disk, for one job or all."""
    proof = Proof()
    proof.findings += check(reader.path, None if only is None else only.id)
    jobs = reader.jobs() if only is None else [only]
    folders: dict[Path, set[str]] = {}
    for job in jobs:
        folders.setdefault(job.output, set())
        for image in reader.images(job.id):
            proof.images += 1
            wrong = fault_of(job.output, image.path, image.bytes, image.sha256 if checksums else "")
            if wrong is not None:
                proof.findings.append(Finding("file", f"{job.name}: {image.path}", wrong))
        proof.attempts += sum(row.calls for row in reader.spending(job.id))
        _open_charges(reader, job, proof)
    for job in reader.jobs():  # jobs may share a folder
        if job.output in folders:
            folders[job.output].update(image.path for image in reader.images(job.id))
    for folder, known in folders.items():
        _strangers(folder, known, proof)
    return proof


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


def _strangers(folder: Path, known: set[str], proof: Proof) -> None:
    """Image files that the books do not know, and answers that are not placed yet."""
    for parent, folders, files in os.walk(folder):
        if SPOOL in folders:
            folders.remove(SPOOL)
            proof.notes += [f"{name} in the spool of {folder}" for name in _spooled(folder / SPOOL)]
        for name in files:
            path = Path(parent, name).relative_to(folder).as_posix()
            if path not in known and Path(name).suffix.lower() in _IMAGES:
                proof.findings.append(Finding("file", str(folder / path), "is not in the books"))


def _spooled(spool: Path) -> list[str]:
    return sorted(entry.name for entry in spool.iterdir() if entry.name[0].isdigit())
