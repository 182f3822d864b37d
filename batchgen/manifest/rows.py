"""Catalogs: CSV and JSONL files read row by row, with the line each row begins in. A cell is text, never a template."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from batchgen.domain.errors import ManifestError, Problem
from batchgen.domain.text import escaped
from batchgen.files.csv_records import MAX_COLUMNS, MAX_NAME, column_name, header, records, sniff
from batchgen.files.text_lines import Broken, State, lines, open_file, state_of
from batchgen.manifest.problems import Problems

CSV_ENDINGS = (".csv", ".tsv", ".tab")
JSON_ENDINGS = (".jsonl", ".ndjson")

Names = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """A catalog that was looked at once.

    Attributes:
        shown: its name in messages.
        digest: sha256 of its bytes, hex.
        columns: of a CSV file, in order; empty for JSONL, where each line has its own.
    """

    path: Path
    shown: str
    digest: str
    state: State
    columns: tuple[str, ...] = ()
    delimiter: str = ""

    def rows(self, problems: Problems, *, whole: bool = False) -> Iterator[tuple[int, Names]]:
        """Each row's first line and its values by name. A row that is wrong is a problem, and left out.

        Names are the columns' own where they can be names, else the nearest thing (`Product Name` is `Product_Name`);
        with `whole`, `row` has them all as they are written.

        Raises:
            ManifestError: the file has changed since it was opened, or is gone.
        """
        with open_file(self.path, self.shown) as file:
            if state_of(file) != self.state:
                message = "changed while it was read; start again when nothing writes to it"
                raise ManifestError([Problem(self.shown, 0, 0, "", message)])
            try:
                for line, columns, cells in self._records(file, problems):
                    names: Names = dict(zip(_aliases(columns), cells, strict=True))
                    if whole:
                        names["row"] = dict(zip(columns, cells, strict=True))
                    yield line, names
            except Broken as error:
                problems.add(Problem(self.shown, error.line, 0, "", str(error)))

    def spellings(self) -> dict[str, str]:
        """How a template names each column, by the ways in which people write it; of JSONL by the first line.

        Raises:
            ManifestError: the file has changed since it was opened, or is gone.
        """
        _, names = next(self.rows(Problems(), whole=True), (0, {"row": {}}))
        columns = tuple(names["row"])
        found = {alias: alias for alias in _aliases(columns) if alias}
        for column, alias in zip(columns, _aliases(columns), strict=True):
            found[column] = alias or f"row[{json.dumps(column, ensure_ascii=False)}]"
        return found

    def _records(self, file: BinaryIO, problems: Problems) -> Iterator[tuple[int, tuple[str, ...], list[str]]]:
        if not self.columns:
            yield from _objects(self.shown, file, problems)
            return
        found = records(file, self.delimiter)
        next(found)
        for line, cells in found:
            if len(cells) == len(self.columns):
                yield line, self.columns, cells
            else:
                message = f"has {len(cells)} cells, but the header names {len(self.columns)} columns"
                problems.add(Problem(self.shown, line, 0, "", message), like=f"{self.shown}: cells")


def open_catalog(path: Path, shown: str) -> CatalogFile:
    """Looks at a catalog: what it is, its columns, its hash.

    Raises:
        ManifestError: not a regular file, neither CSV nor JSONL, no header, or a header with empty or equal names.
    """
    ending = path.suffix.lower()
    if ending not in CSV_ENDINGS + JSON_ENDINGS:
        raise ManifestError([Problem(shown, 0, 0, "", "a catalog is a .csv or a .jsonl file")])
    with open_file(path, shown) as file:
        state = state_of(file)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a file opened for reading
        if ending in JSON_ENDINGS:
            return CatalogFile(path, shown, digest, state)
        try:
            delimiter = sniff(file)
            columns = header(file, delimiter)
        except Broken as error:
            raise ManifestError([Problem(shown, error.line, 0, "", str(error))]) from None
    return CatalogFile(path, shown, digest, state, columns, delimiter)


def _objects(shown: str, file: BinaryIO, problems: Problems) -> Iterator[tuple[int, tuple[str, ...], list[str]]]:
    for number, line in enumerate(lines(file), 1):
        if not line.strip():
            continue
        try:
            columns, cells = _object(line)
        except _BadLine as error:
            problems.add(Problem(shown, number, 0, "", str(error)), like=f"{shown}: {error.why}")
            continue
        yield number, columns, cells


def _object(line: str) -> tuple[tuple[str, ...], list[str]]:
    """Keys and values of one line of JSONL. Numbers stay as they are written; null is as good as no key."""
    found: dict[str, str] = {}
    names: set[str] = set()
    for key, value in _pairs(line):
        name = _name(key, names)
        names.add(name)
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif isinstance(value, str):
            found[name] = value
        elif value is not None:
            words = "is a list or an object; values are text, numbers, true or false"
            raise _BadLine(f"{escaped(name)} {words}", words)
    return tuple(found), list(found.values())


def _pairs(line: str) -> list[tuple[str, Any]]:
    try:
        found = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise _BadLine(f"not readable as JSON: {error.msg} (column {error.colno})", "not readable as JSON") from None
    except RecursionError:
        raise _BadLine("is nested too deeply; values are text, numbers, true or false") from None
    if not isinstance(found, _Pairs):
        raise _BadLine('a line of a JSONL catalog is an object, for instance {"sku": "A-1"}')
    if len(found.items) > MAX_COLUMNS:
        raise _BadLine(f"has {len(found.items):,} keys; {MAX_COLUMNS:,} are the most", "too many keys")
    return found.items


def _name(key: str, others: Container[str]) -> str:
    name = column_name(key)
    if not name or name in others:
        raise _BadLine(f"the key '{escaped(name, 40)}' is empty or stands twice", "a key is empty or stands twice")
    if len(name) > MAX_NAME:
        words = f"a key has up to {MAX_NAME} characters, and not"
        raise _BadLine(f"{words} {escaped(name, 40)}…", words)
    return name


class _BadLine(ValueError):
    """A line that is no row.

    Attributes:
        why: the message without the particulars of this line.
    """

    def __init__(self, message: str, why: str = "") -> None:
        super().__init__(message)
        self.why = why or message


@dataclass(frozen=True, slots=True)
class _Pairs:
    items: list[tuple[str, Any]]


def _refuse_constant(name: str) -> None:
    raise _BadLine(f"{name} is no value")


_DECODER = json.JSONDecoder(
    parse_int=str, parse_float=str, parse_constant=_refuse_constant, object_pairs_hook=_Pairs, strict=False
)


@lru_cache(maxsize=64)
def _aliases(columns: tuple[str, ...]) -> tuple[str, ...]:
    """A name for each column; "" where several would share it and none of them is written so."""
    aliases = [column if column.isidentifier() else _identifier(column) for column in columns]
    written, times = set(columns), Counter(aliases)
    return tuple(
        alias if alias == column or (alias not in written and times[alias] == 1) else ""
        for alias, column in zip(aliases, columns, strict=True)
    )


def _identifier(column: str) -> str:
    alias = re.sub(r"\W+", "_", column).strip("_")
    return f"_{alias}" if alias[:1].isdigit() else alias
