"""Runs in the books: written down before their first call, and again when they end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.engine import Connection

from batchgen.domain.errors import Exit, LedgerError
from batchgen.ledger.holder import Held
from batchgen.ledger.statements import registers


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


@dataclass(frozen=True, slots=True)
class NewOutage:
    """A gateway that a run takes to be down from now on.

    Attributes:
        tier: the class of sizes that it is down for, "" for all.
        tasks: how many failed one after the other.
        reason: what the last of them was told.
    """

    run: int
    route: str
    tier: str
    tasks: int
    reason: str


@dataclass(frozen=True, slots=True)
class OutageEnd:
    """The end of an outage; `back` says whether the gateway answers again, or is waited for no longer."""

    run: int
    route: str
    tier: str
    back: bool


@dataclass(frozen=True, slots=True)
class OutageRow:
    """A time at which a gateway was down; see `NewOutage` and `OutageEnd`.

    Attributes:
        ended_at: seconds since the epoch, like `began_at`; None where it lasted to the end of its run, or lasts.
    """

    id: int
    run: int
    route: str
    tier: str
    tasks: int
    reason: str
    began_at: float
    ended_at: float | None
    back: bool


class RunState(StrEnum):
    """Whether a run goes on, has ended, or died without an end."""

    RUNNING = "running"
    DIED = "died"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run, and what the attempts that it made have come to; money in micro-dollars.

    Attributes:
        pid: of its process, on `host`; numbers of processes are used again.
        ended_at: seconds since the epoch, like `started_at`; None for one that goes on or died.
        seen_at: when it made its last call; `started_at` before any.
        reason: why it stopped before the end; "" when nothing was left to buy, or it has not ended.
        exit_code: None before it has ended.
        most: what it may spend; None for no limit of its own.
        delivered: images that its calls brought, also those that a later start finished.
        outages: of gateways that it waited for, oldest first.
    """

    id: int
    job: int
    pid: int
    host: str
    started_at: float
    ended_at: float | None
    reason: str
    exit_code: int | None
    most: int | None
    calls: int
    delivered: int
    billed: int
    unknown: int
    reserved: int
    seen_at: float
    state: RunState
    outages: tuple[OutageRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Runs:
    """The last runs of a job, newest first, and those before them in sums.

    Attributes:
        earlier: how many those are.
        billed: micro-dollars of those, as `unknown`; `calls` and `delivered` too.
    """

    last: tuple[RunRow, ...]
    earlier: int = 0
    calls: int = 0
    delivered: int = 0
    billed: int = 0
    unknown: int = 0


def begin(connection: Connection, wanted: Sequence[NewRun], now: float) -> list[int]:
    """Write runs down that begin now; their numbers."""
    return [_begin(connection, each, now) for each in wanted]


def end(connection: Connection, ended: Sequence[RunEnd], now: float) -> list[None]:
    """Write down that runs end now.

    Raises:
        LedgerError: the run is not in the books, or has ended before.
    """
    for each in ended:
        values = {"key": each.run, "ended_at": now, "reason": each.reason, "exit_code": int(each.exit_code)}
        if connection.execute(registers.END_RUN, values).rowcount != 1:
            raise LedgerError(f"run {each.run} is not under way in the ledger")
    return [None] * len(ended)


def begin_outage(connection: Connection, wanted: Sequence[NewOutage], now: float) -> list[None]:
    """Write down that gateways are down from now on."""
    for each in wanted:
        values = asdict(each)
        connection.execute(registers.BEGIN_OUTAGE, values | {"run_id": values.pop("run"), "began_at": now, "back": 0})
    return [None] * len(wanted)


def end_outage(connection: Connection, ended: Sequence[OutageEnd], now: float) -> list[None]:
    """Write down that outages end now."""
    for each in ended:
        connection.execute(registers.END_OUTAGE, asdict(each) | {"now": now, "back": int(each.back)})
    return [None] * len(ended)


def load_outage(values: Mapping[str, Any]) -> OutageRow:
    """A row of `lookups.OUTAGES` as a value."""
    return OutageRow(**{**values, "back": bool(values["back"])})


def load_run(values: Mapping[str, Any], holders: Iterable[Held]) -> RunRow:
    """A row of `lookups.RUNS` as a value; `holders` are those who have the ledger open to write."""
    if values["ended_at"] is not None:
        return RunRow(**values, state=RunState.ENDED)
    # Pids are used again: who took the ledger after the run had begun is another process.
    own = any(
        (each.pid, each.host) == (values["pid"], values["host"]) and each.since <= values["started_at"]
        for each in holders
    )
    return RunRow(**values, state=RunState.RUNNING if own else RunState.DIED)


def _begin(connection: Connection, wanted: NewRun, now: float) -> int:
    nothing = dict.fromkeys(("calls", "delivered", "billed", "unknown", "reserved"), 0)
    values = asdict(wanted)
    values = nothing | values | {"job_id": values.pop("job"), "started_at": now}
    return int(connection.execute(registers.BEGIN_RUN, values).scalar_one())
