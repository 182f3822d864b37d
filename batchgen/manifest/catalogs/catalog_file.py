"""Catalogs: CSV and JSONL files read row by row, with the line each row begins in. A cell is text, never a template."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from batchgen.domain.errors import ManifestError, Problem
from batchgen.files.csv_records import header, records, sniff
from batchgen.files.text_lines import BrokenText, FileStamp, open_file, stamp_of
from batchgen.manifest.catalogs.jsonl_rows import objects
from batchgen.manifest.problems import Problems

CSV_ENDINGS = (".csv", ".tsv", ".tab")
JSON_ENDINGS = (".jsonl", ".ndjson")

RowValues = dict[str, Any]


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
    state: FileStamp
    columns: tuple[str, ...] = ()
    delimiter: str = ""

    def rows(self, problems: Problems, *, whole: bool = False) -> Iterator[tuple[int, RowValues]]:
        """Yield each row's first line and its values by name. A row that is wrong is a problem, and left out.

        Names are the columns' own where they can be names, else the nearest thing (`Product Name` is `Product_Name`);
        with `whole`, `row` has them all as they are written.

        Raises:
            ManifestError: the file has changed since it was opened, or is gone.
        """
        with open_file(self.path, self.shown) as file:
            if stamp_of(file) != self.state:
                message = "changed while it was read; start again when nothing writes to it"
                raise ManifestError([Problem(self.shown, 0, 0, "", message)])
            try:
                for line, columns, cells in self._records(file, problems):
                    names: RowValues = dict(zip(_aliases(columns), cells, strict=True))
                    if whole:
                        names["row"] = dict(zip(columns, cells, strict=True))
                    yield line, names
            except BrokenText as error:
                problems.add(Problem(self.shown, error.line, 0, "", str(error)))

    def spellings(self) -> dict[str, str]:
        """Say how a template names each column, by the ways in which people write it; of JSONL by the first line.

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
            yield from objects(self.shown, file, problems)
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
    """Look at a catalog: what it is, its columns, its hash.

    Raises:
        ManifestError: not a regular file, neither CSV nor JSONL, no header, or a header with empty or equal names.
    """
    ending = path.suffix.lower()
    if ending not in CSV_ENDINGS + JSON_ENDINGS:
        raise ManifestError([Problem(shown, 0, 0, "", "a catalog is a .csv or a .jsonl file")])
    with open_file(path, shown) as file:
        state = stamp_of(file)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a file opened for reading
        if ending in JSON_ENDINGS:
            return CatalogFile(path, shown, digest, state)
        try:
            delimiter = sniff(file)
            columns = header(file, delimiter)
        except BrokenText as error:
            raise ManifestError([Problem(shown, error.line, 0, "", str(error))]) from None
    return CatalogFile(path, shown, digest, state, columns, delimiter)


@lru_cache(maxsize=64)
def _aliases(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Make a name for each column; "" where several would share it and none of them is written so."""
    aliases = [column if column.isidentifier() else _identifier(column) for column in columns]
    written, times = set(columns), Counter(aliases)
    return tuple(
        alias if alias == column or (alias not in written and times[alias] == 1) else ""
        for alias, column in zip(aliases, columns, strict=True)
    )


def _identifier(column: str) -> str:
    alias = re.sub(r"\W+", "_", column).strip("_")
    return f"_{alias}" if alias[:1].isdigit() else alias
