"""Tables for spreadsheets and other programs: whole or absent, for their owner only, never a formula in a cell."""

from __future__ import annotations

import csv
import glob
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from batchgen.domain.errors import StoreError, UsageError

# A spreadsheet takes a cell that begins so for a formula, the full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

_ELSEWHERE = "name another folder with --to"
_UNFINISHED = ".tmp"
_STALE = 60.0  # seconds
_FIRST_LINE = 64 * 1024  # bytes; the first lines of our tables are far shorter


def check_place(path: Path, is_ours: Callable[[str], bool]) -> None:
    """See that a table may be written there: nothing is, or an earlier table of ours that may be replaced.

    Args:
        path: of the table.
        is_ours: whether this is the first line of such a table, without its end.

    Raises:
        UsageError: something else is there; it stays as it is.
        StoreError: it cannot be looked at.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise UsageError(f"{path} is no regular file, so it stays as it is; {_ELSEWHERE}")
        if not found.st_mode & 0o222:
            raise UsageError(f"{path} is read-only, so it stays as it is; {_ELSEWHERE}")
        with path.open("rb") as file:
            begins = file.readline(_FIRST_LINE).decode("utf-8", "replace").rstrip("\r\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise StoreError(f"cannot look at {path}: {error.strerror}; {_ELSEWHERE}") from error
    if found.st_size and not is_ours(begins):
        raise UsageError(f"{path} is not a table that batchgen wrote, so it stays as it is; {_ELSEWHERE}")


def write_whole(path: Path, lines: Iterable[str], is_ours: Callable[[str], bool]) -> int:
    """Write a file of lines, whole or not at all; gives their number. An earlier table of ours is replaced.

    Args:
        path: where; folders that are not there are made.
        lines: with their ends.
        is_ours: as for `check_place`.

    Raises:
        UsageError: a file that is not ours has this name.
        StoreError: the file cannot be written.
    """
    check_place(path, is_ours)
    new = path.with_name(f".{path.name}.{os.getpid()}{_UNFINISHED}")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            for line in lines:
                file.write(line)
                count += 1
            file.flush()
            os.fsync(descriptor)
        check_place(path, is_ours)  # writing takes a while, and others may have written meanwhile
        new.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}; {_ELSEWHERE}") from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
    return count


def _sweep(path: Path) -> None:
    """Remove what killed processes left of this table. Who is still writing has written within the minute."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{_UNFINISHED}"):
        with suppress(OSError):
            if left.stat().st_mtime < time.time() - _STALE:
                left.unlink()


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]]) -> int:
    """Write a header and rows as a whole CSV file; gives the number of rows. Raises what `write_whole` raises."""
    return write_whole(path, csv_lines(columns, rows), begins_with(columns)) - 1


def begins_with(columns: Sequence[str]) -> Callable[[str], bool]:
    """The test whether a line is just this header as we write it."""
    own = next(csv_lines(columns, ())).rstrip("\r\n")
    return lambda line: line == own


def csv_lines(columns: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A header and rows as lines of CSV."""
    echo = _Echo()
    writer = csv.writer(echo, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    yield echo.line
    for row in rows:
        writer.writerow([_cell(value) for value in row])
        yield echo.line


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


class _Echo:
    """A file for the csv module that keeps the line it wrote last."""

    line = ""

    def write(self, line: str) -> None:
        """Take the line that the csv module has made."""
        self.line = line
