"""What a run of this folder has shown: one line per promise, with its figure, at the end of `make chaos`.

A test calls `promise` as its last act, so that a line stands there only for what was seen to hold. What could not be
tried on this machine is said aloud with `cannot`, besides any skip.
"""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from pathlib import Path

RECORD = "CHAOS_RECORD"
CANNOT = 0
PROMISES = {
    1: "no task is forgotten",
    2: "written down before it is paid",
    3: "a received image is never bought again",
    4: "a paid link is downloaded again, not bought again",
    5: "double payment is bounded",
    6: "the ledger never understates",
    7: "the budget is a wall",
    8: "full disk: nothing is paid that cannot be stored",
    9: "files are whole or absent",
    10: "one Ctrl-C loses no money",
    11: "two runners cannot work the same database",
    12: "clock jumps and sleep cost nothing extra",
    13: "the key is nowhere",
    14: "a hostile answer or manifest cannot get out",
    15: "verify proves it",
}


def promise(number: int, text: str, **figures: int) -> None:
    """Record that a promise of reliability was seen to hold, and by which figure.

    Args:
        number: 1 to 15.
        text: what was seen, such as `50 kills, 0 bought twice`.
        figures: those that stand in the text in braces; of tests that say the same they are added up.
    """
    assert number in PROMISES
    assert not figures or text.format(**figures)
    _record(number, text, figures)


def cannot(text: str) -> None:
    """Say aloud what this machine does not let us try, and what stood in for it."""
    _record(CANNOT, text, {})


def lines(path: Path) -> list[str]:
    """What was recorded, as a person reads it: a line for each promise, then what could not be tried."""
    sums: dict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for line in path.read_text(encoding="utf-8").splitlines():
        number, text, figures = json.loads(line)
        sums[number, text].update(figures)
    shown: dict[int, list[str]] = defaultdict(list)
    for (number, text), figures in sums.items():
        shown[number].append(text.format(**figures) if figures else text)
    out = [f"P{number:<3}{PROMISES[number]}: {'; '.join(shown[number])}" for number in PROMISES if number in shown]
    missing = [f"P{number}" for number in PROMISES if number not in shown]
    if missing:
        out.append(f"nothing was shown for {', '.join(missing)}")
    return out + [f"COULD NOT BE TRIED HERE: {text}" for text in sorted(shown[CANNOT])]


def _record(number: int, text: str, figures: dict[str, int]) -> None:
    path = os.environ.get(RECORD)
    if path is None:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (json.dumps([number, text, figures]) + "\n").encode())
    finally:
        os.close(descriptor)
