"""Recovery takes every attempt for lost, although its answer lies in the spool: what was received is bought again."""

from __future__ import annotations

from batchgen.store.folder import Folder
from batchgen.store.spool import leftovers

CHECKS = (
    "tests/chaos/test_simulation.py",
    "tests/integration/test_recovery.py::test_answer_that_was_not_booked_is_booked_and_placed_without_a_call",
)


def _read_answer(spool: Folder, attempt: int) -> tuple[None, str]:
    return None, ""


def apply() -> None:
    """Break the build."""
    leftovers.read_answer = _read_answer
