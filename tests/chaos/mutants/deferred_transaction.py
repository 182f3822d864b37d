"""A transaction takes the write lock only when it first writes: what it has read may be old by then."""

from __future__ import annotations

from batchgen.ledger import connect

CHECKS = ("tests/chaos/test_two_writers.py",)


def apply() -> None:
    """Break the build."""
    connect._begin_immediate = connect._begin
