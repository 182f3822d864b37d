"""The report as tables for other programs: one row per task, all of them, streamed."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchgen.domain.errors import StoreError
from batchgen.domain.money import usd_text
from batchgen.ledger.records import TaskRow

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
# A spreadsheet takes a cell that begins so for a formula, the full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_export(kind: str, tasks: Iterable[TaskRow], path: Path) -> int:
    """Write one table, whole or not at all; gives the number of rows. An earlier table of the same name is replaced.

    Raises:
        StoreError: the file cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = -1 if kind == "csv" else 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            for line in _csv_lines(tasks) if kind == "csv" else _json_lines(tasks):
                file.write(line)
                count += 1
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}; name another folder with --to") from error
    return count


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
        "flags": " ".join(image.flags) if image else "",
        "calls": task.calls,
        "billed_usd": usd_text(task.billed),
        "maybe_usd": usd_text(task.unknown),
        "reason": task.reason,
    }


def _csv_lines(tasks: Iterable[TaskRow]) -> Iterator[str]:
    echo = _Echo()
    writer = csv.writer(echo, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    yield echo.line
    for task in tasks:
        writer.writerow([_cell(value) for value in task_fields(task).values()])
        yield echo.line


def _json_lines(tasks: Iterable[TaskRow]) -> Iterator[str]:
    for task in tasks:
        yield json.dumps(task_fields(task), ensure_ascii=False) + "\n"


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


class _Echo:
    """Hands a written line back."""

    line = ""

    def write(self, line: str) -> None:
        """Take the line that the csv module has made."""
        self.line = line
