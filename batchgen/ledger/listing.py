"""Every image that a ledger has in an output folder, each with its task and its attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from sqlalchemy import select, text
from sqlalchemy.engine import Connection

from batchgen.ledger import queries
from batchgen.ledger import statements as sql
from batchgen.ledger.connect import reading
from batchgen.ledger.mapping import dump, load_attempt, load_image, load_task
from batchgen.ledger.records import AttemptRow, ImageRow, TaskRow
from batchgen.ledger.tables import attempt, image, job, task

_PIECE = 1_000
_EARLIER = text(
    "task.image_id = image.id AND EXISTS (SELECT 1 FROM image i WHERE i.task_id = task.id AND i.id > image.id)"
)


def listed(path: Path, output: Path) -> Iterator[tuple[TaskRow, AttemptRow]]:
    """All images of an output folder, of all jobs and revisions, as they were bought; as a stream.

    A task has each image in turn. Where an earlier one serves again, it comes once more at the end.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    made = select(image).join(job, image.c.job_id == job.c.id).where(job.c.output == str(output)).order_by(image.c.id)
    again = made.join(task, task.c.id == image.c.task_id).where(_EARLIER)
    with reading(path) as connection:
        for query in (made, again):
            images = map(load_image, connection.execute(query).yield_per(_PIECE))
            while some := list(islice(images, _PIECE)):
                yield from _with_all(connection, some)


def _with_all(connection: Connection, images: list[ImageRow]) -> Iterator[tuple[TaskRow, AttemptRow]]:
    tasks, calls = {each.task for each in images}, [each.attempt for each in images]
    wanted = queries.TASKS.where(task.c.id.in_(sql.listed("tasks")))
    found = {row.id: row for row in map(load_task, connection.execute(wanted, {"tasks": dump(sorted(tasks))}))}
    query = select(attempt).where(attempt.c.id.in_(sql.listed("calls")))
    attempts = {row.id: row for row in map(load_attempt, connection.execute(query, {"calls": dump(calls)}))}
    for each in images:
        yield replace(found[each.task], image=each), attempts[each.attempt]
