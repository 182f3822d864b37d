"""A bill by sums: OpenAI's export of costs, which has amounts by day and line item and nothing of single calls.

As the organization's costs API gives it (`GET /v1/organization/costs` with `group_by=line_item`, its pages as JSON) and
as the console exports it (CSV with `start_time`, `end_time`, `amount_value`, `amount_currency` and `line_item`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO

from batchgen.domain.errors import UsageError
from batchgen.domain.money import MICROS_PER_USD
from batchgen.domain.text import one_line
from batchgen.files.csv_records import records

COLUMNS = frozenset({"start_time", "end_time", "amount_value", "line_item"})
_LARGEST = 64 << 20  # bytes of JSON
_LATEST = 4e9  # seconds since the epoch: the year 2096
_MOST = 10**9  # dollars of one line item in a day
_GROUP = "give the costs by line item: the console's export of them, or the API's with group_by=line_item"


@dataclass(frozen=True, slots=True)
class CostRow:
    """What one line item cost in one span of time.

    Attributes:
        first, last: seconds since the epoch; the last is not within.
        item: such as `gpt-image-2, image output`.
        amount: micro-dollars.
    """

    first: float
    last: float
    item: str
    amount: int

    def is_of(self, model: str) -> bool:
        """Tell whether it is a line item of a model, or of a dated snapshot of it.

        >>> CostRow(0, 1, "gpt-image-1-mini, image output", 5).is_of("gpt-image-1")
        False
        """
        return re.match(rf"{re.escape(model)}(-\d{{4}}-\d\d-\d\d)?(?:[\s,:]|\Z)", self.item) is not None


@dataclass(frozen=True, slots=True)
class CostExport:
    """The sums of an account, by span and line item.

    Attributes:
        source: in words.
        spans: every span that the export is about, also those in which nothing was spent.
    """

    rows: tuple[CostRow, ...]
    spans: tuple[tuple[float, float], ...]
    source: str


def costs_of_json(path: Path, file: BinaryIO) -> CostExport:
    """Read pages of the costs API: one, or a list of them.

    Raises:
        UsageError: it is something else, or not all of them.
    """
    data = file.read(_LARGEST + 1)
    try:
        document = json.loads(data) if len(data) <= _LARGEST else None
    except (ValueError, RecursionError):
        document = None
    pages: list[Any] = document if isinstance(document, list) else [document]
    if not pages or not all(isinstance(page, dict) and isinstance(page.get("data"), list) for page in pages):
        raise UsageError(
            f"{path} is JSON, but no page of OpenAI's costs; export the log as CSV, or leave out --log to ask for it"
        )
    if pages[-1].get("has_more"):
        raise UsageError(f"{path} ends with a page that has more behind it; fetch those too, as a list of pages")
    buckets = [bucket for page in pages for bucket in page["data"]]
    try:
        return _export(path, (cells for bucket in buckets for cells in _results(bucket)))
    except (KeyError, TypeError, AttributeError):
        raise UsageError(f"{path} holds a span of time without start_time, end_time, results or amount") from None


def _results(bucket: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    span = bucket["start_time"], bucket["end_time"]
    yield (*span, "", "", "")
    for result in bucket["results"]:
        amount = result["amount"]
        yield (*span, amount["value"], amount.get("currency"), result.get("line_item"))


def costs_of_csv(
    path: Path, file: BinaryIO, delimiter: str, columns: Sequence[str], step: Callable[[], None]
) -> CostExport:
    """Read the console's export of costs.

    Raises:
        BrokenText: it is not readable as CSV.
        UsageError: a row cannot be read.
    """
    places = [
        columns.index(name) if name in columns else -1
        for name in ("start_time", "end_time", "amount_value", "amount_currency", "line_item")
    ]
    rows = records(file, delimiter)
    next(rows)

    def cells() -> Iterator[tuple[object, ...]]:
        for _, row in rows:
            step()
            yield tuple(row[place].strip() if 0 <= place < len(row) else "" for place in places)

    return _export(path, cells())


def _export(path: Path, cells: Iterable[tuple[object, ...]]) -> CostExport:
    found: list[CostRow] = []
    spans: dict[tuple[float, float], None] = {}
    for first, last, value, currency, item in cells:
        span = _seconds(path, first), _seconds(path, last)
        if span[0] >= span[1]:
            raise UsageError(f"{path} has a span of time that ends before it begins: {first} to {last}")
        spans[span] = None
        if value in {"", None}:
            continue  # a day without costs
        amount = _micros(path, value, currency)
        if amount and not item:
            raise UsageError(f"{path} does not say what its amounts are for; {_GROUP}")
        found.append(CostRow(*span, one_line(str(item or ""), 200), amount))
    return CostExport(tuple(found), tuple(sorted(spans)), f"costs in {path.name}")


def _seconds(path: Path, value: object) -> float:
    try:
        found = float(str(value))
    except ValueError:
        found = -1.0
    if not 0 <= found < _LATEST:
        raise UsageError(f"{path}: {one_line(str(value), 40)!r} is no time in seconds since 1970")
    return found


def _micros(path: Path, value: object, currency: object) -> int:
    if str(currency or "usd").casefold() != "usd":
        raise UsageError(f"{path} has amounts in {one_line(str(currency), 20)}; only dollars can be compared")
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or abs(amount) > _MOST:
        raise UsageError(f"{path}: {one_line(str(value), 40)!r} is no amount in dollars")
    return int((amount * MICROS_PER_USD).to_integral_value())
