"""Tables for spreadsheets and other programs: whole or absent, for their owner only, never a formula in a cell."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from batchgen.domain.errors import StoreError

# A spreadsheet takes a cell that begins so for a formula, the full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def write_whole(path: Path, lines: Iterable[str]) -> int:
    """Write a file of lines, whole or not at all; gives their number. An earlier file of that name is replaced.

    Raises:
        StoreError: the file cannot be written.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", newline=""
        ) as file:
            for line in lines:
                file.write(line)
                count += 1
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error.strerror}; name another folder with --to") from error
    return count


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
    """Hands a written line back."""

    line = ""

    def write(self, line: str) -> None:
        """Take the line that the csv module has made."""
        self.line = line
