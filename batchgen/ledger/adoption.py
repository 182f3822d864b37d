"""Images that were bought before for what a plan asks again: they deliver its tasks without a call."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.engine import Connection

from batchgen.domain.lifecycle import TRANSITIONS, TaskEvent
from batchgen.ledger.staging import PIECE
from batchgen.ledger.tables import RUNNING

Intact = Callable[[str, int, str], bool]
"""Whether an image lies whole in the output folder: its path below that, its size in bytes, its checksum."""


def by_the_books(_path: str, _size: int, _sha256: str) -> bool:
    """Believe the books: every image that they name is taken to be there."""
    return True


_SOUGHT = text(
    # What a prompt alone asks must be equal. Where only a job-wide setting has changed, an image that was bought with
    # the very settings is sought; else the one at hand is kept, as for every delivered image. A task without any has
    # lost its file; when that is put back, the image serves again.
    "SELECT t.id AS task, t.image_id AS present, i.id AS image, i.revision, i.shared, i.path, i.bytes, i.sha256 "
    "FROM task t JOIN plan p ON p.prompt_id = t.prompt_id "
    "JOIN member m ON m.variant_set = p.variant_set AND m.variant_id = t.variant_id "
    "JOIN image i ON i.task_id = t.id AND i.own = p.own "
    f"WHERE t.job_id = :job AND NOT t.{RUNNING} AND (t.image_id IS NULL OR t.own <> p.own "
    "OR (t.shared <> p.shared AND i.shared = p.shared)) "
    "ORDER BY t.id, i.shared = p.shared DESC, i.id IS t.image_id DESC, i.revision DESC"
)
_FOUND = text("INSERT INTO adoptable VALUES (:task, :image, :revision, :shared)")
_may = ", ".join(f"'{state}'" for state in sorted(TRANSITIONS[TaskEvent.ADOPT][0]))
ADOPT = text(
    f"UPDATE task SET work = '{TRANSITIONS[TaskEvent.ADOPT][1]}', wanted = 1, image_id = a.image_id, "
    "revision = a.revision, own = p.own, shared = a.shared, quality = p.quality, images = p.images, send_width = NULL, "
    "send_height = NULL, "
    "send_route = '', attempts = 0, unknowns = 0, scheduled_at = NULL, reason = '', updated_at = :now, "
    "calls = (SELECT count(*) FROM attempt c WHERE c.task_id = task.id AND c.revision = a.revision) "
    f"FROM adoptable a, plan p WHERE a.task_id = task.id AND p.prompt_id = task.prompt_id AND task.work IN ({_may})"
)


@dataclass(frozen=True, slots=True)
class Adoptable:
    """What was found.

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
    tasks = groupby(connection.execute(_SOUGHT, {"job": job}), key=attrgetter("task"))
    serving = ((task, _first_intact(rows, intact, lost)) for task, rows in tasks)
    rows = ((task, image) for task, image in serving if image is not None)
    while piece := list(islice(rows, PIECE)):
        connection.execute(_FOUND, [_row(task, image) for task, image in piece])
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
