"""Delivered images whose files are not in the output folder any more: found by names and sizes, without reading."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.lifecycle import TaskState
from batchgen.ledger.listing import DeliveredFile, delivered_files
from batchgen.ledger.records import JobRow
from batchgen.store.output.image_faults import lies_there

MOST = 100_000  # files that are looked for; of more images only so many, evenly spread
_NAMED = 5


@dataclass(frozen=True, slots=True)
class MissingImages:
    """How many delivered images have no file in the output folder any more.

    Attributes:
        missing: images whose file is gone, or of another size.
        looked: how many were looked for.
        delivered: how many there are.
        first: paths of the first of the missing.
    """

    missing: int
    looked: int
    delivered: int
    first: tuple[str, ...]


def look_for(ledger: Path, job: JobRow, output: Path) -> MissingImages:
    """Look for the files of a job's delivered images.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    looked, missing, first = 0, 0, list[str]()
    for image in delivered_files(ledger, job.id, MOST):
        looked += 1
        if not lies_there(output, image.path, image.bytes):
            missing += 1
            if len(first) < _NAMED:
                first.append(image.path)
    delivered = max(looked, job.states.get(TaskState.COMPLETED, 0))
    return MissingImages(missing, looked, delivered, tuple(first))


def missing_of(ledger: Path, job: JobRow | None, output: Path) -> MissingImages | None:
    """Give what is not in the output folder of a job; None where all is there, as far as was looked.

    `job` is None where it is not recorded.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    found = None if job is None else look_for(ledger, job, output)
    return found if found is not None and found.missing else None


def missing_images(ledger: Path, job: JobRow) -> Iterator[DeliveredFile]:
    """All delivered images of a job whose files are gone, or of another size.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    return (image for image in delivered_files(ledger, job.id) if not lies_there(job.output, image.path, image.bytes))
