"""CSV with whatever separates its columns: records with their first lines, and the header."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from batchgen.domain.text import escaped
from batchgen.files.text_lines import MAX_LINE, BrokenText, lines

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

MAX_COLUMNS = 10_000
MAX_NAME = 200  # characters of a column's name
MAX_RECORD = 10_000_000  # characters

_SNIFFED = 50  # records

Record = tuple[int, list[str]]


def records(file: BinaryIO, delimiter: str) -> Iterator[Record]:
    """Yield every record but empty ones, with the line it begins in; line ends inside quotes belong to a cell.

    Raises:
        BrokenText: quotes that do not match, a cell over 1,000,000 characters, a record over 10 MB, or what `lines`
            refuses.
    """
    csv.field_size_limit(MAX_LINE)
    taken = 0  # characters since the last record ended
    begins = 1

    def feed() -> Iterator[str]:
        nonlocal taken
        for line in lines(file):
            taken += len(line)
            if taken > MAX_RECORD:
                raise BrokenText(
                    begins, f"a row of more than {MAX_RECORD // 1_000_000} MB; look at the quotes from here on"
                )
            yield line

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            taken = 0
            if any(cells):
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BrokenText(begins, f"not readable as CSV: {error}; look at the quotes from here on") from None


def sniff(file: BinaryIO) -> str:
    """Find what separates the columns: the one mark that splits the header, or splits the first rows evenly.

    Raises:
        BrokenText: none does, or several do.
    """
    widths = {mark: _widths(file, mark) for mark in DELIMITERS}
    splitting = [mark for mark, found in widths.items() if found and found[0] > 1]
    if len(splitting) > 1:
        splitting = [mark for mark in splitting if len(set(widths[mark])) == 1]
        if len(splitting) != 1:
            names = ", ".join(DELIMITERS.values())
            raise BrokenText(
                1, f"cannot tell which of {names} separates the columns; use one that no column name contains"
            )
    if splitting:
        return splitting[0]
    if next(records(file, ","), None) is None:
        raise BrokenText(1, "is empty; its first line must name the columns")
    return ","


def header(file: BinaryIO, delimiter: str) -> tuple[str, ...]:
    """Read the names of the columns, NFC and without blanks around them.

    Raises:
        BrokenText: more than 10,000 columns, an empty name, one over 200 characters, or one that stands twice.
    """
    line, cells = next(records(file, delimiter))
    if len(cells) > MAX_COLUMNS:
        raise BrokenText(line, f"has {len(cells):,} columns; {MAX_COLUMNS:,} are the most")
    columns: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        column = column_name(cell)
        if not column:
            raise BrokenText(line, f"column {number} has no name; every column needs one")
        if len(column) > MAX_NAME:
            raise BrokenText(
                line, f"a column has a name of up to {MAX_NAME} characters, and not {escaped(column, 40)}…"
            )
        if column in columns:
            raise BrokenText(line, f"two columns are called {escaped(column)}; give each its own name")
        columns[column] = None
    return tuple(columns)


def column_name(written: str) -> str:
    """Bring the name of a column into its one form: NFC, and without blanks around it."""
    return unicodedata.normalize("NFC", written).strip()


def _widths(file: BinaryIO, delimiter: str) -> list[int]:
    """Count the cells of the first records; 0 ends them where it stops being CSV with this delimiter."""
    widths = []
    try:
        for _, cells in islice(records(file, delimiter), _SNIFFED):
            widths.append(len(cells))
    except BrokenText:
        widths.append(0)
    return widths
