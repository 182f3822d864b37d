"""The spool forgets an answer before the books know its image."""

from __future__ import annotations

from typing import Any

from batchgen.domain.output_image import Image
from batchgen.engine.local_hand import LocalHand

CHECKS = ("tests/chaos/test_simulation.py",)
FIRST_SEED = 60

_place, _send = LocalHand.place, LocalHand.send


def _cleared(hand: LocalHand, attempt: int) -> None:
    hand._spool.clear(attempt)
    hand._spool._remove_cleared()


async def _place_and_clear(self: LocalHand, attempt: int, *given: Any) -> Any:
    placed = await _place(self, attempt, *given)
    _cleared(self, attempt)
    return placed


async def _send_and_clear(self: LocalHand, *given: Any) -> Any:
    answer = await _send(self, *given)
    if isinstance(getattr(answer, "placed", None), Image):
        _cleared(self, answer.attempt)
    return answer


def apply() -> None:
    """Break the build."""
    LocalHand.place = _place_and_clear  # type: ignore[assignment,method-assign]
    LocalHand.send = _send_and_clear  # type: ignore[assignment,method-assign]
