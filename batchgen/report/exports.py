"""The report as files for other programs: one format a row of `FORMATS`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.errors import UsageError
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import JobRow
from batchgen.report.fields import task_fields
from batchgen.report.table_files import begins_with, check_place, write_csv, write_whole
from batchgen.store.layout import INDEX

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
    "cause",
    "reason",
)


@dataclass(frozen=True, slots=True)
class Format:
    """How a job is written for other programs.

    Attributes:
        is_ours: whether a file that begins with this line is an earlier one of ours, which may be replaced.
        write: writes a job, as the reader of its ledger has it, whole or not at all; gives the number of its tasks.
    """

    is_ours: Callable[[str], bool]
    write: Callable[[Reader, JobRow, Path], int]


def _write_csv(reader: Reader, job: JobRow, path: Path) -> int:
    return write_csv(path, COLUMNS, (task_fields(task).values() for task in reader.tasks(job.id)))


def _write_jsonl(reader: Reader, job: JobRow, path: Path) -> int:
    return write_whole(path, _json_lines(reader, job), _is_jsonl)


def _json_lines(reader: Reader, job: JobRow) -> Iterator[str]:
    for task in reader.tasks(job.id):
        yield json.dumps(task_fields(task), ensure_ascii=False) + "\n"


def _is_jsonl(line: str) -> bool:
    try:
        return list(json.loads(line)) == list(COLUMNS)
    except (ValueError, TypeError, RecursionError):
        return False


FORMATS = {"csv": Format(begins_with(COLUMNS), _write_csv), "jsonl": Format(_is_jsonl, _write_jsonl)}
"""By the name that `--format` takes, which is also how its files end."""


def export(reader: Reader, job: JobRow, formats: list[str], folder: Path) -> list[dict[str, object]]:
    """Write a job in some formats, none of them where one has no place; gives which files there are now.

    Raises:
        UsageError: there is no such format, or a file of that name is not an earlier one of ours.
        StoreError: a file cannot be looked at, or not be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"--format takes {' and '.join(FORMATS)}, not {unknown[0]}")
    paths = {name: folder / f"{job.name}.{name}" for name in formats}
    for name, path in paths.items():
        check_export(name, path)
    files: list[dict[str, object]] = []
    for name, path in paths.items():
        check_export(name, path)
        files.append({"format": name, "file": str(path), "tasks": FORMATS[name].write(reader, job, path)})
    return files


def check_export(name: str, path: Path) -> None:
    """See that a file of a format may be written there.

    Raises:
        UsageError: a file that is not such a one of ours has this name, or the index of images has.
        StoreError: what is there cannot be looked at.
    """
    if path.name.casefold() == INDEX:
        raise UsageError(f"{path.name} is the index of an output folder, so a job of this name has no jsonl; take csv")
    check_place(path, FORMATS[name].is_ours)
