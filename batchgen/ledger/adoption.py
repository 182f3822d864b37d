"""Images that were bought before for what a plan asks again: they deliver its tasks without a call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from sqlalchemy import Row
from sqlalchemy.engine import Connection

from batchgen.ledger.staging import PIECE
from batchgen.ledger.statements import plan_changes

Intact = Callable[[str, int, str], bool]
"""Whether an image lies whole in the output folder: its path below that, its size in bytes, its checksum."""


def by_the_books(_path: str, _size: int, _sha256: str) -> bool:
    """Believe the books: every image that they name is taken to be there."""
    return True


@dataclass(frozen=True, slots=True)
class Adoptable:
    """Earlier images that serve again for a staged plan.

    Attributes:
        returned: tasks whose image will be another than now, an earlier one.
        lost: paths of images that would serve, but whose files are gone or damaged.
    """

    returned: tuple[int, ...] = ()
    lost: tuple[str, ...] = ()


def find_adoptable(connection: Connection, job: int, intact: Intact) -> Adoptable:
    """Fill the temporary table `adoptable` for a staged plan: at most one image for each task.

    Args:
        connection: with the plan's temporary tables.
        job: the job's number.
        intact: asked of every image but those that are their tasks' own now.
    """
    returned: list[int] = []
    lost: list[str] = []
    tasks = groupby(connection.execute(plan_changes.FIND_ADOPTABLE, {"job": job}), key=attrgetter("task"))
    serving = ((task, _first_intact(rows, intact, lost)) for task, rows in tasks)
    rows = ((task, image) for task, image in serving if image is not None)
    while piece := list(islice(rows, PIECE)):
        connection.execute(plan_changes.NOTE_ADOPTABLE, [_row(task, image) for task, image in piece])
        returned += [task for task, image in piece if image.image != image.present]
    return Adoptable(tuple(returned), tuple(lost))


def _row(task: int, image: Row[Any]) -> dict[str, int]:
    return {"task": task, "image": image.image, "revision": image.revision, "shared": image.shared}


def _first_intact(rows: Iterable[Any], intact: Intact, lost: list[str]) -> Row[Any] | None:
    for row in rows:
        if row.image == row.present or intact(row.path, row.bytes, row.sha256):
            return row  # type: ignore[no-any-return]
        lost.append(row.path)
    return None
