"""A gateway's log as a file: the table that its console exports, whatever it calls its columns, or a bill by sums."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from math import inf
from pathlib import Path

from batchgen.domain.errors import UsageError
from batchgen.domain.log_row import LogRow
from batchgen.domain.money import MICROS_PER_USD
from batchgen.domain.text import one_line
from batchgen.files.csv_records import header, records, sniff
from batchgen.files.text_lines import BrokenText, in_utf8, open_file
from batchgen.report.cost_export import COLUMNS, CostExport, costs_of_csv, costs_of_json

_MICROS_PER_UNIT = 2  # 500,000 quota units are a dollar (LaoZhang and APIYI, log-query pages)
_NAMES = {
    "time": ("createdat", "time", "createdtime", "createtime", "date", "datetime", "timestamp", "时间", "创建时间"),
    "model": ("model", "modelname", "模型", "模型名称"),
    "units": ("quota", "units", "额度", "消耗额度"),
    "dollars": (
        "cost",
        "amount",
        "price",
        "usd",
        "costusd",
        "amountusd",
        "priceusd",
        "quotausd",
        "费用",
        "花费",
        "金额",
    ),
    "request": ("requestid", "requestno", "请求id"),
    "token": ("tokenname", "token", "令牌", "令牌名称"),
    "type": ("type", "logtype", "类型"),
    "row": ("id", "logid"),
}
_CALLS = frozenset({"", "2", "consume", "usage", "消费"})
_JOINTS = re.compile(r"[\s_\-()（）$.:/]+")
_OFFSET = re.compile(r"([+-])(\d{1,2}):?(\d{2})?\Z")
_THOUSANDS = re.compile(r"\d{1,3}(,\d{3})+(\.\d+)?\Z")
_WHOLE = re.compile(r"\d+\Z|\d{1,3}(,\d{3})+\Z")
_BEGINNING = 1 << 10  # bytes in which something other than blanks comes
_LATEST = 4e9  # seconds since the epoch: the year 2096
_MOST = 10**12  # dollars or units; a charge is less
_MILLISECONDS = 1e11  # above this a number of seconds would be in the year 5138


def read_zone(text: str) -> timezone:
    """Read a time zone such as `+08:00`.

    Raises:
        UsageError: it is none.
    """
    if text.upper() in {"UTC", "Z"}:
        return UTC
    found = _OFFSET.match(text)
    if found is None or int(found[2]) > 14:
        raise UsageError(f"--zone takes an offset from UTC such as +08:00, not {text}")
    offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return timezone(offset if found[1] == "+" else -offset)


def read_log_file(path: Path, zone: timezone, step: Callable[[], None] = lambda: None) -> list[LogRow] | CostExport:
    """Every charge of an exported log; its separator and its encoding are found by themselves. Or a bill by sums.

    Args:
        path: a CSV file with a header, or pages of OpenAI's costs as JSON.
        zone: of times that name none.
        step: called for each row.

    Raises:
        ManifestError: the file is not there, or not a regular one.
        UsageError: it cannot be read as such a table; the message names the columns or the line.
    """
    with open_file(path, str(path)) as opened:
        file = in_utf8(opened)
        if file.read(_BEGINNING).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in {b"{", b"["}:
            file.seek(0)
            return costs_of_json(path, file)
        try:
            delimiter = sniff(file)
            columns = header(file, delimiter)
            if set(columns) >= COLUMNS:
                return costs_of_csv(path, file, delimiter, columns, step)
            places = _places(path, columns)
            rows = records(file, delimiter)
            next(rows)
            found = []
            for line, cells in rows:
                step()
                found.append(_row(path, line, cells, places, zone))
            return _cleared([row for row in found if row is not None])
        except BrokenText as broken:
            raise UsageError(f"{path}:{broken.line}: {broken}") from None


def _places(path: Path, columns: Sequence[str]) -> dict[str, int]:
    """Which column is what, by its name."""
    plain = [_JOINTS.sub("", column).casefold() for column in columns]
    found = {
        what: next(plain.index(name) for name in names if name in plain)
        for what, names in _NAMES.items()
        if any(name in plain for name in names)
    }
    if "units" in found and "$" in columns[found["units"]]:
        found.setdefault("dollars", found.pop("units"))  # `Quota ($)` counts dollars, whatever it is called
    missing = [what for what in ("time", "model") if what not in found]
    if not {"units", "dollars"} & set(found):
        missing.append("quota (500,000 a dollar) or cost (in dollars)")
    if missing:
        has = ", ".join(columns)
        raise UsageError(f"{path} has no column {' and none for '.join(missing)}; it has {has}; rename what it is in")
    return found


def _cleared(rows: Sequence[_Row]) -> list[LogRow]:
    """Each charge once, also where pages of an export overlap, and what a row of nothing may be rounded from."""
    names = {row.name: row.identity for row in rows if row.name}
    unique = all(names[row.name] == row.identity for row in rows if row.name)  # else numbers of rows on a page
    once = {
        row.identity if row.charge.request_id or (row.name and unique) else place: row for place, row in enumerate(rows)
    }
    blur = min((row.blur for row in rows), default=0)
    return [row.charge if row.charge.amount else replace(row.charge, blur=blur) for row in once.values()]


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as it is written.

    Attributes:
        name: its number in the log; "" where that has none.
        blur: micro-dollars that its last digit may hide.
    """

    charge: LogRow
    name: str
    blur: int

    @property
    def identity(self) -> Hashable:
        """What it has again where it stands twice."""
        return self.name, replace(self.charge, name="")


def _row(path: Path, line: int, cells: Sequence[str], places: dict[str, int], zone: timezone) -> _Row | None:
    """One row; None for one that is not about a call.

    Raises:
        UsageError: its time or amount cannot be read.
    """
    values = {what: cells[place].strip() if place < len(cells) else "" for what, place in places.items()}
    if values.get("type", "").casefold() not in _CALLS:
        return None
    try:
        time, (amount, blur) = _time(values["time"], zone), _amount(values)
    except ValueError as error:
        raise UsageError(f"{path}:{line}: {error}") from None
    charge = LogRow(
        name=values.get("row") or f"line {line}",
        time=time,
        model=values["model"],
        amount=amount,
        request_id=values.get("request", ""),
        token=values.get("token", ""),
    )
    return _Row(charge, values.get("row", ""), blur)


def _time(text: str, zone: timezone) -> float:
    try:
        if text.replace(".", "", 1).isdecimal():
            number = float(text)
            time = number / 1000 if number > _MILLISECONDS else number
        else:
            moment = datetime.fromisoformat(text.replace("/", "-"))
            time = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError):
        time = inf
    if not 0 <= time < _LATEST:
        shown = one_line(text, 40)
        raise ValueError(f"{shown!r} is not a time; write 2026-11-21 07:00:00 or seconds since 1970")
    return time


def _amount(values: dict[str, str]) -> tuple[int, int]:
    """Micro-dollars, rounded to the nearest, and how many of them the last digit may hide.

    Raises:
        ValueError: no amount, one below zero, one in another currency, or a part of a quota unit.
    """
    units, text = bool(values.get("units")), values.get("units") or values.get("dollars", "")
    # Consoles that are told to show money put dollars into the column of units. Dollars taken for units are nothing,
    # and a call that was charged nothing is settled as free for good: what may be either is refused.
    in_dollars = not units or text.startswith("$")
    try:
        plain = text.removeprefix("$").strip()
        amount = Decimal(plain.replace(",", "") if _THOUSANDS.match(plain) else plain)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount in {'dollars' if in_dollars else 'quota units'}") from None
    if not amount.is_finite() or not 0 <= amount < _MOST:
        raise ValueError(f"{one_line(text, 40)} is no charge; export the rows of calls only")
    if not in_dollars and not _WHOLE.match(plain):
        raise ValueError(f"{text!r} is no whole number of quota units; if it is dollars, name the column cost")
    micros = int((amount * (MICROS_PER_USD if in_dollars else _MICROS_PER_UNIT)).to_integral_value())
    return micros, int(MICROS_PER_USD * 10.0 ** min(0, _exponent(amount)) / 2) if in_dollars else 0


def _exponent(amount: Decimal) -> int:
    exponent = amount.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0
