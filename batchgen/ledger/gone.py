"""Delivered images by where they should lie, and tasks whose image is gone: a person has them bought anew."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import Connection

from batchgen.domain.lifecycle import TRANSITIONS, TaskEvent, TaskState
from batchgen.ledger.connect import reading
from batchgen.ledger.mapping import dump

_PIECE = 10_000  # rows fetched at a time
_SHOWN = "SELECT t.id, i.path, i.bytes FROM image i JOIN task t ON t.id = i.task_id AND t.image_id = i.id"
_MINE = "WHERE i.job_id = :job AND t.wanted = 1"
_ALL = text(f"{_SHOWN} {_MINE} ORDER BY i.id")
_SOME = text(f"{_SHOWN} JOIN json_each(:numbers) n ON n.value = i.id {_MINE} ORDER BY i.id")
_SPAN = text("SELECT min(id), max(id), count(*) FROM image WHERE job_id = :job")
_may = ", ".join(f"'{state}'" for state in sorted(TRANSITIONS[TaskEvent.REVISE][0] - {TaskState.CANCELLED}))
_AGAIN = text(
    f"UPDATE task SET work = '{TRANSITIONS[TaskEvent.REVISE][1]}', image_id = NULL, revision = last_revision + 1, "
    "send_width = NULL, send_height = NULL, send_route = '', attempts = 0, unknowns = 0, calls = 0, "
    "scheduled_at = NULL, reason = '', updated_at = :now WHERE job_id = :job AND wanted = 1 AND image_id IS NOT NULL "
    f"AND work IN ({_may}) AND id IN (SELECT value FROM json_each(:tasks))"
)
# Whoever puts a file back before it is bought again has its image adopted: so the next run must compare.
_COMPARE = text("UPDATE job SET source_hash = '' WHERE id = :job")


@dataclass(frozen=True, slots=True)
class Shown:
    """A delivered image, as far as its file goes.

    Attributes:
        path: below the output folder.
        bytes: as it was bought.
    """

    task: int
    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Anew:
    """Tasks of a job, by their numbers, that are bought anew."""

    job: int
    tasks: tuple[int, ...]


def shown(path: Path, job: int, most: int | None = None) -> Iterator[Shown]:
    """The delivered images that a job's manifest wants; of many only about `most`, evenly spread over all.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with reading(path) as connection:
        first, last, count = connection.execute(_SPAN, {"job": job}).one()
        if not count:
            return
        if most is None or count <= most:
            found = connection.execute(_ALL, {"job": job})
        else:
            numbers = range(first, last + 1, -(-(last + 1 - first) // most))
            found = connection.execute(_SOME, {"job": job, "numbers": dump(list(numbers))})
        yield from (Shown(*row) for row in found.yield_per(_PIECE))


def buy_anew(connection: Connection, wanted: Sequence[Anew], now: float) -> list[int]:
    """Make tasks available again whose images are gone, at a new revision; how many. Their money stays in the books."""
    counts = []
    for anew in wanted:
        bound = {"job": anew.job, "tasks": dump(anew.tasks), "now": now}
        counts.append(connection.execute(_AGAIN, bound).rowcount)
        connection.execute(_COMPARE, {"job": anew.job})
    return counts
