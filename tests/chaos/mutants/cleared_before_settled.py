"""The spool forgets an answer before the books know its image."""

from __future__ import annotations

from typing import Any

from batchgen.engine.local_hand import LocalHand

CHECKS = ("tests/chaos/test_simulation.py",)
FIRST_SEED = 60

_real = LocalHand.place


async def _place(self: LocalHand, attempt: int, *given: Any) -> Any:
    placed = await _real(self, attempt, *given)
    self._spool.clear(attempt)
    self._spool._remove_cleared()
    return placed


def apply() -> None:
    """Break the build."""
    LocalHand.place = _place  # type: ignore[assignment,method-assign]
