"""The proof: every image that the books name is on disk, whole and unchanged, and every sum adds up."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import file_digest
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.domain.money import format_usd
from batchgen.ledger.audit import check
from batchgen.ledger.reading import Reader
from batchgen.ledger.records import Finding, ImageRow, JobRow

_SPOOL = ".batchgen"
_OURS = frozenset({"images.jsonl"})
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


def prove(reader: Reader, jobs: Iterable[JobRow], *, checksums: bool) -> Proof:
    """Compare the books with themselves and with the disk."""
    proof = Proof()
    proof.findings += check(reader.path)
    folders: dict[Path, set[str]] = {}
    for job in jobs:
        folders.setdefault(job.output, set())
        for image in reader.images(job.id):
            proof.images += 1
            if (wrong := _compare(job.output / image.path, image, checksums=checksums)) is not None:
                proof.findings.append(Finding("file", f"{job.name}: {image.path}", wrong))
        proof.attempts += sum(row.calls for row in reader.spending(job.id))
        for problem in reader.unknowns(job.id):
            attempt = problem.attempt
            proof.notes.append(
                f"{job.name}: {problem.key}: attempt {attempt.id} of {stamp(attempt.reserved_at)} may have cost "
                f"{format_usd(attempt.at_most)}: {attempt.detail}"
            )
    for job in reader.jobs():  # jobs may share a folder
        if job.output in folders:
            folders[job.output].update(image.path for image in reader.images(job.id))
    for folder, known in folders.items():
        _strangers(folder, known, proof)
    return proof


def _compare(path: Path, image: ImageRow, *, checksums: bool) -> str | None:
    """What is wrong with the file of an image; None when it is what was bought."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != image.bytes:
                return f"{size} bytes on disk, {image.bytes} in the books"
            if checksums and file_digest(file, "sha256").hexdigest() != image.sha256:
                return "its bytes are not those that were bought"
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _strangers(folder: Path, known: set[str], proof: Proof) -> None:
    """Image files that the books do not know, and answers that are not placed yet."""
    for parent, folders, files in os.walk(folder):
        if _SPOOL in folders:
            folders.remove(_SPOOL)
            proof.notes += [f"{name} in the spool of {folder}" for name in _spooled(folder / _SPOOL)]
        for name in files:
            path = Path(parent, name).relative_to(folder).as_posix()
            if path not in known and path not in _OURS and Path(name).suffix.lower() in _IMAGES:
                proof.findings.append(Finding("file", str(folder / path), "is not in the books"))


def _spooled(spool: Path) -> list[str]:
    return sorted(entry.name for entry in spool.iterdir() if entry.name[0].isdigit())
