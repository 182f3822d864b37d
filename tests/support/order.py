"""In which order several workers run the tests: what takes long begins first, and on all of them.

xdist gives each worker an equal part of the list, from front to back, and lets who is done take from the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import pytest

# Those that start many processes, or wait; the longest first, as measured.
SLOW = (
    "chaos/test_signals.py",
    "chaos/test_wire.py",
    "acceptance/test_reconcile.py",
    "acceptance/test_fallback.py",
    "chaos/test_owners.py",
    "integration/test_books.py",
    "acceptance/test_rebuild.py",
    "chaos/test_rebuilding.py",
    "acceptance/test_photos.py",
    "chaos/test_disks.py",
    "chaos/test_locales.py",
    "acceptance/test_catalog_job.py",
    "acceptance/test_systems.py",
    "acceptance/test_way_out.py",
    "chaos/test_hostile_words.py",
    "acceptance/test_paid_nothing.py",
    "acceptance/test_batch.py",
    "integration/test_inputs.py",
    "chaos/test_limits.py",
    "contract/test_ledger_states.py",
    "chaos/test_syscalls.py",
    "chaos/test_kills.py",
    "chaos/test_simulation.py",
)


def dealt(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same items, so that each worker's part begins with its share of the slow files."""
    files = [list(group) for _, group in groupby(items, key=lambda item: item.path)]
    slow = sorted((file for file in files if _place(file) is not None), key=_place)
    quick = [item for file in files if _place(file) is None for item in file]
    parts: list[list[pytest.Item]] = [[] for _ in range(workers)]
    for number, file in enumerate(slow):
        parts[number % workers].extend(file)
    size, ordered = len(items) // workers, list[pytest.Item]()
    for part in parts:
        room = max(0, size - len(part))
        ordered += [*part, *quick[:room]]
        del quick[:room]
    return ordered + quick


def _place(file: Sequence[pytest.Item]) -> int | None:
    path = file[0].path.as_posix()
    return next((place for place, name in enumerate(SLOW) if path.endswith(name)), None)
