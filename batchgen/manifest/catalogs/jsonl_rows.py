"""JSONL catalogs: one object a line, whose values are text as it is written."""

from __future__ import annotations

import json
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from batchgen.domain.errors import Problem
from batchgen.domain.text import escaped
from batchgen.files.csv_records import MAX_COLUMNS, MAX_NAME, column_name
from batchgen.files.text_lines import lines
from batchgen.manifest.problems import Problems


def objects(shown: str, file: BinaryIO, problems: Problems) -> Iterator[tuple[int, tuple[str, ...], list[str]]]:
    """Read each line's keys and values, with its number. A line that is no row is a problem, and left out."""
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
    """Read keys and values of one line. Numbers stay as they are written; null is as good as no key."""
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
