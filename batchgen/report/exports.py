"""The report as tables for other programs: one row per task, all of them, streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchgen.domain.errors import UsageError
from batchgen.domain.money import usd_text
from batchgen.ledger.records import TaskRow
from batchgen.report.table_files import begins_with, check_place, write_csv, write_whole
from batchgen.store.layout import INDEX

FORMATS = ("csv", "jsonl")
COLUMNS = (
    "id",
    "size",
    "sample",
    "state",
    "revision",
    "file",
    "width",
    "height",
    "format",
    "bytes",
    "sha256",
    "flags",
    "calls",
    "billed_usd",
    "maybe_usd",
    "reason",
)


def check_export(kind: str, path: Path) -> None:
    """See that a table may be written there.

    Raises:
        UsageError: a file that is not such a table of ours has this name, or the index of images has.
        StoreError: what is there cannot be looked at.
    """
    if path.name.casefold() == INDEX:
        raise UsageError(f"{path.name} is the index of an output folder, so a job of this name has no jsonl; take csv")
    check_place(path, _OURS[kind])


def write_export(kind: str, tasks: Iterable[TaskRow], path: Path) -> int:
    """Write one table, whole or not at all; gives the number of rows. An earlier table of ours is replaced.

    Raises:
        UsageError, StoreError: as for `check_export`, and the file cannot be written.
    """
    check_export(kind, path)
    if kind == "csv":
        return write_csv(path, COLUMNS, (task_fields(task).values() for task in tasks))
    return write_whole(path, _json_lines(tasks), _is_ours)


def _is_ours(line: str) -> bool:
    try:
        return list(json.loads(line)) == list(COLUMNS)
    except (ValueError, TypeError, RecursionError):
        return False


_OURS = {"csv": begins_with(COLUMNS), "jsonl": _is_ours}


def task_fields(task: TaskRow) -> dict[str, object]:
    """One task as a row; null where there is no image."""
    image = task.image
    return {
        "id": task.key,
        "size": str(task.size),
        "sample": task.sample,
        "state": str(task.state),
        "revision": task.revision,
        "file": image.path if image else None,
        "width": image.width if image else None,
        "height": image.height if image else None,
        "format": image.format if image else None,
        "bytes": image.bytes if image else None,
        "sha256": image.sha256 if image else None,
        "flags": " ".join(task.flags),
        "calls": task.calls,
        "billed_usd": usd_text(task.billed),
        "maybe_usd": usd_text(task.unknown),
        "reason": task.reason,
    }


def _json_lines(tasks: Iterable[TaskRow]) -> Iterator[str]:
    for task in tasks:
        yield json.dumps(task_fields(task), ensure_ascii=False) + "\n"
