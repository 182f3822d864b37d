"""What the gateway charges, in a file of its own that is written before each answer and outlives the process.

One JSON object a line, appended by a single write, so that killing the simulator at any moment leaves whole lines.
Calls that cost nothing are lines too, with `charged` 0: the file is also the gateway's log.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from batchgen.domain.errors import UsageError


@dataclass(frozen=True, slots=True)
class BillLine:
    """One call on the bill.

    Attributes:
        time: seconds since the epoch.
        key: fingerprint of the bearer key, the start of its SHA-256; "" when none came.
        request: SHA-256 of path and content, hexadecimal.
        prompt: SHA-256 of the prompt, hexadecimal; "" when none was understood.
        occurrence: the how-manieth call with this request, from 1.
        size: pixels delivered, `auto` or what was asked when nothing was.
        kind: what the answer means, in the words of `batchgen.domain.model.OutcomeKind`.
        fault: the fault that was played, "" for none.
        charged: micro-dollars.
        endpoint: `generations`, `edits`, `chat` or `responses`.
        batch: the id of the batch it is a line of, "" for none.
        references: pictures that came with it.
        seconds: the work took, in real time.
    """

    time: float
    route: str
    model: str
    key: str
    request: str
    prompt: str
    occurrence: int
    size: str
    quality: str
    n: int
    status: int
    kind: str
    fault: str
    charged: int
    request_id: str
    usage: dict[str, Any] | None = None
    endpoint: str = ""
    batch: str = ""
    references: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class BillTotals:
    """The sums of a bill, amounts in micro-dollars.

    Attributes:
        paid: calls that cost something.
        repeated: calls that cost something beyond the first such call with the same request.
        kinds: calls by what their answer means.
        statuses: calls by HTTP status; 0 where none was sent.
        routes: charged amount by route.
    """

    calls: int = 0
    paid: int = 0
    charged: int = 0
    repeated: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)

    def add(self, line: BillLine) -> None:
        """Count one call; `repeated` is left to who knows the other lines."""
        self.calls += 1
        self.paid += line.charged > 0
        self.charged += line.charged
        self.kinds[line.kind] += 1
        self.statuses[line.status] += 1
        self.routes[line.route] += line.charged


class Bill:
    """A bill that is being written. Several processes may write one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.totals = Bill.read(path) if path.exists() else BillTotals()
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def append(self, line: BillLine) -> None:
        """Write one call. When this returns the line is with the operating system."""
        os.write(self._descriptor, json.dumps(asdict(line), separators=(",", ":")).encode() + b"\n")
        self.totals.add(line)

    def close(self) -> None:
        """Close the file; what was appended is there."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @staticmethod
    def lines(path: Path) -> Iterator[BillLine]:
        """Read every call of a bill, oldest first.

        Raises:
            UsageError: a line is not one of a bill.
        """
        with path.open(encoding="utf-8") as file:
            for number, text in enumerate(file, 1):
                if not text.endswith("\n"):  # being written at this moment
                    return
                try:
                    yield BillLine(**json.loads(text))
                except (ValueError, TypeError):
                    raise UsageError(
                        f"{path}:{number} is not a line of a simulator's bill; name the bill's own file"
                    ) from None

    @staticmethod
    def read(path: Path) -> BillTotals:
        """Read a bill and sum it up.

        Raises:
            UsageError: a line is not one of a bill.
        """
        totals, seen = BillTotals(), set()
        for line in Bill.lines(path):
            totals.add(line)
            if line.charged:
                totals.repeated += line.request in seen
                seen.add(line.request)
        return totals
