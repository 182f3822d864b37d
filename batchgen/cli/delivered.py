"""Images that are delivered already: whether their files are whole, and what the index says of them."""

from __future__ import annotations

from pathlib import Path

from batchgen.cli.common import told_now_and_then
from batchgen.domain.lifecycle import Charge
from batchgen.domain.wire import Image
from batchgen.ledger.adoption import Intact
from batchgen.ledger.records import AttemptRow, TaskRow
from batchgen.store.delivered import fault_of
from batchgen.store.sidecar import Line


def intact_below(output: Path) -> Intact:
    """Tells of images below an output folder whether they are whole, and now and then how many were looked at."""
    step = told_now_and_then("earlier images that may serve again")

    def intact(image: str, size: int, sha256: str) -> bool:
        step()
        return fault_of(output, image, size, sha256) is None

    return intact


def line_of(task: TaskRow, attempt: AttemptRow) -> Line:
    """What the index says of a delivered image, by the books.

    Raises:
        ValueError: the task has no image.
    """
    if task.image is None:
        raise ValueError(f"task {task.id} has no image")
    image = task.image
    return Line(
        key=task.key,
        size=str(task.size),
        sample=task.sample,
        revision=image.revision,
        image=Image(image.path, image.sha256, image.bytes, image.width, image.height, image.format),
        flags=image.flags,
        route=attempt.route,
        model=attempt.model,
        attempt=attempt.id,
        request_ids=attempt.request_ids,
        created=image.created_at,
        cost=attempt.billed if attempt.charge is Charge.BILLED else None,
    )
