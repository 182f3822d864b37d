"""CSV with whatever separates its columns: records with their first lines, and the header."""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from batchgen.manifest.files import MAX_LINE, Broken, lines

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

_SNIFFED = 50  # records

Record = tuple[int, list[str]]


def records(file: BinaryIO, delimiter: str) -> Iterator[Record]:
    """Every record but empty ones, with the line it begins in; line ends inside quotes belong to a cell.

    Raises:
        Broken: quotes that do not match, a cell over 1,000,000 characters, or what `lines` refuses.
    """
    csv.field_size_limit(MAX_LINE)
    reader = csv.reader(lines(file), delimiter=delimiter, strict=True)
    begins = 1
    try:
        for cells in reader:
            if any(cells):
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise Broken(begins, f"not readable as CSV: {error}; look at the quotes from here on") from None


def sniff(file: BinaryIO) -> str:
    """What separates the columns: the one mark that splits the header, or splits the first rows evenly.

    Raises:
        Broken: none does, or several do.
    """
    widths = {mark: _widths(file, mark) for mark in DELIMITERS}
    splitting = [mark for mark, found in widths.items() if found and found[0] > 1]
    if len(splitting) > 1:
        splitting = [mark for mark in splitting if len(set(widths[mark])) == 1]
        if len(splitting) != 1:
            names = ", ".join(DELIMITERS.values())
            raise Broken(1, f"cannot tell which of {names} separates the columns; use one that no column name contains")
    if splitting:
        return splitting[0]
    if next(records(file, ","), None) is None:
        raise Broken(1, "is empty; its first line must name the columns")
    return ","


def header(file: BinaryIO, delimiter: str) -> tuple[str, ...]:
    """The names of the columns, NFC and without blanks around them.

    Raises:
        Broken: an empty name, or one that stands twice.
    """
    line, cells = next(records(file, delimiter))
    columns = tuple(unicodedata.normalize("NFC", cell).strip() for cell in cells)
    for number, column in enumerate(columns, 1):
        if not column:
            raise Broken(line, f"column {number} has no name; every column needs one")
        if column in columns[: number - 1]:
            raise Broken(line, f"two columns are called {column}; give each its own name")
    return columns


def _widths(file: BinaryIO, delimiter: str) -> list[int]:
    """How many cells the first records have; 0 ends them where it stops being CSV with this delimiter."""
    widths = []
    try:
        for _, cells in islice(records(file, delimiter), _SNIFFED):
            widths.append(len(cells))
    except Broken:
        widths.append(0)
    return widths
