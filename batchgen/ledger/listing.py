"""Delivered images as lists: all of an output folder with what made them, or those of a job as far as files go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from sqlalchemy.engine import Connection

from batchgen.ledger.connect import reading
from batchgen.ledger.mapping import dump, load_attempt, load_image, load_task, rows_of
from batchgen.ledger.records import AttemptRow, ImageRow, TaskRow
from batchgen.ledger.statements import lookups

_PIECE = 1_000  # images at a time
_FILES = 10_000  # rows fetched at a time


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A delivered image, as far as its file goes.

    Attributes:
        path: below the output folder.
        bytes: as it was bought.
    """

    task: int
    path: str
    bytes: int


def delivered_files(path: Path, job: int, most: int | None = None) -> Iterator[DeliveredFile]:
    """The delivered images that a job's manifest wants; of many only about `most`, evenly spread over all.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with reading(path) as connection:
        span = connection.execute(lookups.IMAGE_SPAN, {"job": job}).one()
        if not span.images:
            return
        if most is None or span.images <= most:
            found = connection.execute(lookups.DELIVERED_FILES, {"job": job})
        else:
            numbers = range(span.first, span.last + 1, -(-(span.last + 1 - span.first) // most))
            found = connection.execute(lookups.SOME_DELIVERED_FILES, {"job": job, "numbers": dump(list(numbers))})
        yield from (DeliveredFile(**row) for row in rows_of(found.yield_per(_FILES)))


def images_of_folder(path: Path, output: Path) -> Iterator[tuple[TaskRow, AttemptRow]]:
    """All images of an output folder, of all jobs and revisions, as they were bought; as a stream.

    A task has each image in turn. Where an earlier one serves again, it comes once more at the end.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with reading(path) as connection:
        for query in (lookups.IMAGES_OF_FOLDER, lookups.IMAGES_THAT_SERVE_AGAIN):
            found = connection.execute(query, {"output": str(output)}).yield_per(_PIECE)
            images = map(load_image, rows_of(found))
            while some := list(islice(images, _PIECE)):
                yield from _with_all(connection, some)


def _with_all(connection: Connection, images: list[ImageRow]) -> Iterator[tuple[TaskRow, AttemptRow]]:
    wanted = {"tasks": dump(sorted({each.task for each in images}))}
    tasks = {row.id: row for row in map(load_task, rows_of(connection.execute(lookups.TASKS_BY_NUMBER, wanted)))}
    made = connection.execute(lookups.ATTEMPTS_BY_NUMBER, {"attempts": dump([each.attempt for each in images])})
    attempts = {row.id: row for row in map(load_attempt, rows_of(made))}
    for each in images:
        yield replace(tasks[each.task], image=each), attempts[each.attempt]
