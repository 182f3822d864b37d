"""A commit may be undone by a power cut."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from batchgen.ledger import connect

CHECKS = ("tests/contract/test_ledger_file.py::test_open_makes_every_commit_durable",)

_real = connect.writing_engine


def _writing_engine(path: Path, busy: float) -> Engine:
    engine = _real(path, busy)
    creator = engine.pool._creator

    def connected() -> object:
        connection = creator()  # type: ignore[call-arg]
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    engine.pool._creator = connected  # type: ignore[assignment]
    return engine


def apply() -> None:
    """Break the build."""
    connect.writing_engine = _writing_engine
