"""What the log of an account says, for instance one that somebody exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timezone
from math import inf
from pathlib import Path

from batchgen.domain.clock import SystemClock
from batchgen.domain.log_row import LogRow
from batchgen.report.cost_export import CostExport
from batchgen.report.coverage import Coverage
from batchgen.report.log_file import read_log_file


@dataclass(frozen=True, slots=True)
class ChargeLog:
    """What an account's log says.

    Attributes:
        source: in words, for notes in the books.
        covers: the time in which it has every charge.
        read_at: seconds since the epoch.
    """

    rows: list[LogRow]
    source: str
    covers: Coverage
    read_at: float


def log_of_file(path: Path, zone: timezone, step: Callable[[], None] = lambda: None) -> ChargeLog | CostExport:
    """Read an exported log, or a bill by sums. A log covers the time between its first and its last row.

    Raises:
        ManifestError: the file cannot be opened.
        UsageError: it is no such table.
    """
    rows = read_log_file(path, zone, step)
    if isinstance(rows, CostExport):
        return rows
    times = [row.time for row in rows]
    now = SystemClock().now()
    first, last = (min(times), max(times)) if times else (inf, -inf)
    return ChargeLog(rows, path.name, Coverage(first, last, counted=False, read_at=now), now)
