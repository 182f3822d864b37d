"""A lost answer leaves no trace in the task's allowance for lost answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batchgen.domain.model import Settlement
from batchgen.engine import bookings

CHECKS = (
    "tests/chaos/test_simulation.py",
    "tests/integration/test_engine.py::test_lost_answer_is_asked_for_once_more_and_then_parked",
)

_real = bookings.settlement


def _settlement(*given: Any) -> Settlement:
    return replace(_real(*given), lost=False)


def apply() -> None:
    """Break the build."""
    bookings.settlement = _settlement  # type: ignore[assignment]
