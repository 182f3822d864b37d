"""A paid answer without an image is asked for again, and paid again."""

from __future__ import annotations

from typing import Any

from batchgen.domain.model import Outcome, OutcomeKind
from batchgen.policy import decide as policy

CHECKS = ("tests/unit/test_decide.py",)

_real = policy.decide


def _decide(outcome: Outcome, *given: Any, **named: Any) -> policy.Decision:
    if outcome.kind in {OutcomeKind.EMPTY, OutcomeKind.DAMAGED}:
        return policy.Retry(1.0, outcome.detail)
    return _real(outcome, *given, **named)


def apply() -> None:
    """Break the build."""
    policy.decide = _decide  # type: ignore[assignment]
