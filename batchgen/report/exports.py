"""The report as tables for other programs: one row per task, all of them, streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchgen.domain.money import usd_text
from batchgen.ledger.records import TaskRow
from batchgen.report.tables import csv_lines, write_whole

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


def write_export(kind: str, tasks: Iterable[TaskRow], path: Path) -> int:
    """Write one table, whole or not at all; gives the number of rows. An earlier table of the same name is replaced.

    Raises:
        StoreError: the file cannot be written.
    """
    if kind == "csv":
        return write_whole(path, csv_lines(COLUMNS, (task_fields(task).values() for task in tasks))) - 1
    return write_whole(path, _json_lines(tasks))


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
