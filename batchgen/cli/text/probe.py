"""What a probe has learnt in words: side by side for two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from batchgen.domain.text import one_line

_MARK = "≠"
_OF_ITS_OWN = frozenset({"route", "request_ids", "support", "file", "sha256", "job", "id"})  # never the same for two
_WIDEST = 56  # characters of a cell where there are two


def probe_lines(fields: Sequence[Mapping[str, object]]) -> list[str]:
    """Give a line for each fact; with two probes a column each, and a mark where they differ."""
    names = list(fields[0])
    cells = [[_cell(name, each[name]) for each in fields] for name in names]
    width = max(map(len, names))
    if len(fields) == 1:
        return [f"{_title(name).ljust(width)}  {value}" for name, (value,) in zip(names, cells, strict=True)]
    column = min(_WIDEST, max(len(row[0]) for row in cells))
    lines = []
    for name, row in zip(names, cells, strict=True):
        pieces = [_pieces(cell, column) for cell in row]
        for number in range(max(map(len, pieces))):
            left, right = (piece[number] if number < len(piece) else "" for piece in pieces)
            mark = _MARK if row[0] != row[1] and number == 0 and name not in _OF_ITS_OWN else " "
            title = _title(name) if number == 0 else ""
            lines.append(f"{mark} {title.ljust(width)}  {left.ljust(column)}  {right}".rstrip())
    return lines


def _title(name: str) -> str:
    return name.replace("_usd", "").replace("_", " ")


def _cell(name: str, value: object) -> str:
    if value is None or value in ("", {}):
        return "—"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    if name.endswith("_usd"):
        return f"${value}"
    return f"{value} s" if name.endswith("_seconds") else one_line(str(value))


def _pieces(text: str, width: int) -> list[str]:
    """Break a cell into as many lines as it takes."""
    return wrap(text, width) or [""]
