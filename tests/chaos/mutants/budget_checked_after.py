"""The budget is looked at as it was before the call: the last one may go over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy.engine import Connection

from batchgen.domain.model import Reservation
from batchgen.domain.walls import Wall
from batchgen.ledger import attempts

CHECKS = (
    "tests/chaos/test_simulation.py",
    "tests/contract/test_ledger.py::test_reserve_stops_at_the_budget_whatever_comes_at_once",
)

_real = attempts.reserve


def _reserve(connection: Connection, wanted: Sequence[Reservation], now: float) -> list[int | Wall]:
    loose = [
        each if each.budget is None else replace(each, budget=each.budget + max(0, each.reserved - 1))
        for each in wanted
    ]
    return _real(connection, loose, now)


def apply() -> None:
    """Break the build."""
    attempts.reserve = _reserve
