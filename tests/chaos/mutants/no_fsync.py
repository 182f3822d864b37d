"""Nothing is synced: an answer is called durable that a power cut takes away."""

from __future__ import annotations

from batchgen.store import folder

CHECKS = ("tests/chaos/test_simulation.py",)


def apply() -> None:
    """Break the build."""
    folder.make_durable = lambda fd: None
