"""Tables replace tables of ours, and nothing else that may have their name."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchgen.domain.errors import LedgerError, StoreError, UsageError
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.size import Size
from batchgen.ledger.records import TaskRow
from batchgen.report import exports, refunds
from batchgen.report.exports import FORMATS, check_export
from batchgen.report.fields import task_fields
from batchgen.report.refunds import check_refunds, write_refunds
from batchgen.report.table_files import csv_lines, write_csv

CATALOG = b"sku,name\nA-1,mug\n"


def task(key: str) -> TaskRow:
    size = Size(8, 8)
    named = dict.fromkeys(each.name for each in fields(TaskRow))
    values = {"key": key, "size": size, "state": TaskState.FAILED, "billed": 0, "unknown": 0, "image": None}
    return TaskRow(**{**named, **values})  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def write(kind: str, path: Path, *keys: str) -> int:
    if kind == "claims":
        return write_refunds([], path)
    check_export(kind, path)
    reader: Any = SimpleNamespace(tasks=lambda job: map(task, keys) if job == 7 else ())
    job: Any = SimpleNamespace(id=7)
    return FORMATS[kind].write(reader, job, path)


def refusal(kind: str, path: Path) -> str:
    before = names(path.parent)
    with pytest.raises(UsageError) as caught:
        write(kind, path, "mug")
    assert names(path.parent) == before  # no half a table is left
    said = str(caught.value)
    assert said.startswith(str(path))
    assert said.endswith("so it stays as it is; name another folder with --to")
    return said


FOREIGN = {
    "a catalog": CATALOG,
    "our header in other quotes": ",".join(exports.COLUMNS).encode() + b"\n",
    "one more column": next(csv_lines((*exports.COLUMNS, "mine"), ())).encode(),
    "one column less": next(csv_lines(exports.COLUMNS[:-1], ())).encode(),
    "a JSONL catalog": b'{"id": "a", "size": "b"}\n',
    "other order": json.dumps(dict.fromkeys(reversed(exports.COLUMNS))).encode() + b"\n",
    "a list of our names": json.dumps([list(exports.COLUMNS)]).encode(),
    "a line without an end": b"x" * 1_000_000,
    "depth": b"[" * 60_000 + b"\n",
    "no UTF-8": b"\xff\xfe\x00",
    "blanks": b"\n\n",
    "NUL": b"\0" * 10,
}


@pytest.mark.parametrize("kind", [*FORMATS, "claims"])
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_file_that_is_not_ours_stays_as_it_is(tmp_path: Path, kind: str, content: bytes) -> None:
    path = tmp_path / "products.csv"
    path.write_bytes(content)
    assert "is not a table that batchgen wrote" in refusal(kind, path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("kind", [*FORMATS, "claims"])
def test_table_of_ours_is_replaced_and_one_of_another_kind_is_not(tmp_path: Path, kind: str) -> None:
    for content in (None, b""):
        path = tmp_path / "table"
        if content is not None:
            path.write_bytes(content)
        write(kind, path, "mug", "cup")
        assert write(kind, path, "jug") == (0 if kind == "claims" else 1)
        assert "mug" not in path.read_text()
    others = [each for each in (*FORMATS, "claims") if each != kind]
    for other in others:
        refusal(other, path)
    assert names(tmp_path) == ["table"]


def _symlink(path: Path, target: Path) -> None:
    path.symlink_to(target)


def _hard_link(path: Path, target: Path) -> None:
    path.hardlink_to(target)


@pytest.mark.parametrize("link", [_symlink, _hard_link])
def test_link_to_a_catalog_stays_a_link_to_it(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    target, path = tmp_path / "products.csv", tmp_path / "job.csv"
    target.write_bytes(CATALOG)
    link(path, target)
    refusal("csv", path)
    assert path.samefile(target)
    assert target.read_bytes() == CATALOG


def test_folder_a_pipe_a_dangling_link_and_a_read_only_table_stay(tmp_path: Path) -> None:
    path = tmp_path / "job.csv"
    path.mkdir()
    assert "no regular file" in refusal("csv", path)
    path.rmdir()
    os.mkfifo(path)
    assert "no regular file" in refusal("csv", path)
    path.unlink()
    path.symlink_to("nowhere")
    assert "no regular file" in refusal("csv", path)
    path.unlink()
    write("csv", path, "mug")
    path.chmod(0o400)
    assert "read-only" in refusal("csv", path)


@pytest.mark.parametrize("name", ["images.jsonl", "Images.JSONL"])
def test_index_of_images_is_no_table(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="the index of an output folder, so a job of this name has no jsonl; take csv"):
        write("jsonl", tmp_path / name, "mug")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [LedgerError("gone"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_table_that_breaks_off_leaves_the_earlier_one_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "job.csv"
    write("csv", path, "mug")
    before = path.read_bytes()

    def rows() -> Iterator[tuple[object, ...]]:
        yield tuple(task_fields(task("cup")).values())
        raise error

    with pytest.raises((type(error), StoreError)):
        write_csv(path, exports.COLUMNS, rows())
    assert path.read_bytes() == before
    assert names(tmp_path) == ["job.csv"]


def test_file_that_comes_while_a_table_is_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "job.csv"

    def rows() -> Iterator[tuple[object, ...]]:
        path.write_bytes(CATALOG)
        yield tuple(task_fields(task("cup")).values())

    with pytest.raises(UsageError, match="is not a table that batchgen wrote"):
        write_csv(path, exports.COLUMNS, rows())
    assert path.read_bytes() == CATALOG


def test_what_a_killed_report_left_is_swept_and_what_is_being_written_is_not(tmp_path: Path) -> None:
    old, new, other = (tmp_path / name for name in (".[job].csv.1.tmp", ".[job].csv.2.tmp", ".x.csv.1.tmp"))
    for path in (old, new, other):
        path.write_bytes(b"half")
    for path in (old, other):
        os.utime(path, (time.time() - 90, time.time() - 90))
    write("csv", tmp_path / "[job].csv", "mug")
    assert names(tmp_path) == [".[job].csv.2.tmp", ".x.csv.1.tmp", "[job].csv"]


def test_claims_of_the_same_day_are_replaced_and_a_table_of_the_user_is_not(tmp_path: Path) -> None:
    path = tmp_path / "claims-job-2026-11-27.csv"
    check_refunds(path)
    write_refunds([], path)
    check_refunds(path)
    assert path.read_bytes().decode() == ",".join(f'"{name}"' for name in refunds.COLUMNS) + "\r\n"
    path.write_bytes(CATALOG)
    with pytest.raises(UsageError):
        check_refunds(path)
