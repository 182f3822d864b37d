"""The order of the tests for several workers: nothing is lost, and each worker's part begins with slow ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.order import SLOW, dealt

TESTS = Path(__file__).parent.parent


class Item:
    """What the order looks at."""

    def __init__(self, path: Path, number: int) -> None:
        self.path, self.number = path, number


def test_every_slow_file_is_there() -> None:
    assert [name for name in SLOW if not (TESTS / name).exists()] == []


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_same_items_with_the_slow_ones_at_the_front_of_every_part(workers: int) -> None:
    names = ["unit/test_a.py", *SLOW, *(f"unit/test_{letter}.py" for letter in "bcdefgh")]
    items: list[Any] = [Item(TESTS / name, number) for name in names for number in range(40)]
    order = dealt(items, workers)
    assert sorted(map(id, order)) == sorted(map(id, items))
    size = len(items) // workers
    slow = {TESTS / name for name in SLOW}
    assert all(order[part * size].path in slow for part in range(workers))
    assert [item.path for item in order[:1]] == [TESTS / SLOW[0]]
