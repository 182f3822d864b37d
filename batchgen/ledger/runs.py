"""Runs in the books: written down before their first call, and again when they end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import insert, update
from sqlalchemy.engine import Connection

from batchgen.domain.errors import Exit, LedgerError
from batchgen.ledger.tables import run


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that is about to make its first call.

    Attributes:
        pid: of the process that makes it, on `host`.
        most: micro-dollars that it may spend; None for no limit of its own.
    """

    job: int
    pid: int
    host: str
    most: int | None = None


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended.

    Attributes:
        run: its number.
        reason: why it stopped before the end, as a person reads it; "" when nothing was left to buy.
        exit_code: of the process.
    """

    run: int
    reason: str
    exit_code: Exit


def begin(connection: Connection, wanted: Sequence[NewRun], now: float) -> list[int]:
    """Write runs down that begin now; their numbers."""
    return [_begin(connection, each, now) for each in wanted]


def end(connection: Connection, ended: Sequence[RunEnd], now: float) -> list[None]:
    """Write down that runs end now.

    Raises:
        LedgerError: the run is not in the books, or has ended before.
    """
    for each in ended:
        values = {"ended_at": now, "reason": each.reason, "exit_code": int(each.exit_code)}
        going_on = update(run).where(run.c.id == each.run, run.c.ended_at.is_(None))
        if connection.execute(going_on.values(values)).rowcount != 1:
            raise LedgerError(f"run {each.run} is not under way in the ledger")
    return [None] * len(ended)


def _begin(connection: Connection, wanted: NewRun, now: float) -> int:
    nothing = dict.fromkeys(("calls", "delivered", "billed", "unknown", "reserved"), 0)
    values = {"job_id": wanted.job, "pid": wanted.pid, "host": wanted.host, "most": wanted.most, "started_at": now}
    return int(connection.execute(insert(run).values(nothing | values).returning(run.c.id)).scalar_one())
