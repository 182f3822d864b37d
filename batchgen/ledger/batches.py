"""Bundles of calls to a Batch API in the books: reserved together, handed in once, closed when every call is booked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.engine import Connection

from batchgen.domain.errors import LedgerError, NotInLedger
from batchgen.domain.lifecycle import BatchState, Charge, TaskEvent
from batchgen.domain.model import Booking, OutcomeKind, Reservation, Settlement
from batchgen.domain.walls import Wall
from batchgen.ledger import attempts
from batchgen.ledger.claims import interrupted
from batchgen.ledger.mapping import dump, rows_of
from batchgen.ledger.statements import registers

CREATING = "creating"  # the status of a batch from just before it is handed in until the gateway's id is known


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Calls that are to be handed in together.

    Attributes:
        token: what the gateway will know it by before we know the gateway's own id.
    """

    job: int
    route: str
    token: str
    reservations: tuple[Reservation, ...]


@dataclass(frozen=True, slots=True)
class OpenedBatch:
    """What of a new batch is in the books now.

    Attributes:
        batch: its number; None when none of its calls is allowed.
        attempts: the number of each call, in order, or the wall that it would go over.
    """

    batch: int | None
    attempts: tuple[int | Wall, ...]


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch as the books have it; fields as in the table `batch`.

    Attributes:
        key_fingerprint: of the key that all its calls are made with.
    """

    id: int
    job: int
    token: str
    state: BatchState
    route: str
    remote: str
    status: str
    output_file: str
    error_file: str
    calls: int
    detail: str
    created_at: float
    updated_at: float
    key_fingerprint: str

    @property
    def never_handed_in(self) -> bool:
        """Whether it is certain that the gateway was not asked to work on it."""
        return self.state is BatchState.WRITTEN and self.status != CREATING


def open_batch(connection: Connection, wanted: Sequence[NewBatch], now: float) -> list[OpenedBatch]:
    """Reserve every call of a batch that no wall forbids, and write the batch down, in one transaction."""
    return [_open(connection, each, now) for each in wanted]


@dataclass(frozen=True, slots=True)
class WriteOff:
    """A batch that nobody waits for any longer.

    Attributes:
        name: the gateway's id of it, or our token.
        keep: attempts whose answers are on disk; recovery books these.
    """

    job: int
    name: str
    keep: frozenset[int]


@dataclass(frozen=True, slots=True)
class WrittenOff:
    """What became of the calls of a batch that was written off.

    Attributes:
        calls: whose tasks are available again.
        unknown: micro-dollars that they may have cost at most; 0 for a batch that was never handed in.
        kept: calls that recovery books.
    """

    calls: int
    unknown: int
    kept: int


def write_off(connection: Connection, wanted: Sequence[WriteOff], now: float) -> list[WrittenOff]:
    """Close batches without their answers: calls that may be paid are booked as unknown, and their tasks go on.

    Raises:
        NotInLedger: the job has no such batch that is open.
    """
    return [_write_off(connection, each, now) for each in wanted]


def move_batch(connection: Connection, moved: Sequence[BatchRow], now: float) -> list[None]:
    """Write down what is known of batches now.

    Raises:
        LedgerError: there is none of that number.
    """
    for row in moved:
        values = {
            "key": row.id,
            "state": row.state.value,
            "remote": row.remote,
            "status": row.status,
            "output_file": row.output_file,
            "error_file": row.error_file,
            "detail": row.detail,
            "updated_at": now,
        }
        if connection.execute(registers.MOVE_BATCH, values).rowcount != 1:
            raise LedgerError(f"there is no batch {row.id} in the ledger")
    return [None] * len(moved)


def open_batches(connection: Connection, jobs: Sequence[int], _now: float) -> list[list[BatchRow]]:
    """The batches of jobs that are not closed, oldest first."""
    return [_open_of(connection, job) for job in jobs]


def _open(connection: Connection, wanted: NewBatch, now: float) -> OpenedBatch:
    numbers = attempts.reserve(connection, wanted.reservations, now)
    taken = [number for number in numbers if not isinstance(number, Wall)]
    if not taken:
        return OpenedBatch(None, tuple(numbers))
    row = {
        "job_id": wanted.job,
        "token": wanted.token,
        "state": BatchState.WRITTEN.value,
        "route": wanted.route,
        "calls": len(taken),
        "created_at": now,
        "updated_at": now,
    }
    number = int(connection.execute(registers.NEW_BATCH, row).scalar_one())
    connection.execute(registers.BIND_ATTEMPTS, {"batch": number, "attempts": dump(taken)})
    return OpenedBatch(number, tuple(numbers))


def _open_of(connection: Connection, job: int) -> list[BatchRow]:
    found = rows_of(connection.execute(registers.OPEN_BATCHES, {"job": job}))
    return [BatchRow(**row | {"state": BatchState(row["state"])}) for row in found]


def _write_off(connection: Connection, wanted: WriteOff, now: float) -> WrittenOff:
    batches = _open_of(connection, wanted.job)
    row = next((row for row in batches if wanted.name in {row.remote, row.token}), None)
    if row is None:
        names = ", ".join(row.remote or row.token for row in batches) or "none"
        raise NotInLedger(f"the job has no open batch {wanted.name!r}; open are: {names}")
    (found,) = interrupted(connection, [wanted.job], now)
    ours = [each.attempt for each in found if each.attempt.batch == row.id and each.attempt.charge is Charge.RESERVED]
    given_up = [attempt for attempt in ours if attempt.id not in wanted.keep]
    charge, kind = (Charge.VOID, OutcomeKind.NOT_SENT) if row.never_handed_in else (Charge.UNKNOWN, OutcomeKind.LOST)
    detail = f"the batch {wanted.name} was given up by hand"
    attempts.book(connection, [Booking(each.id, charge, 0, kind, detail, finished_at=now) for each in given_up], now)
    again = [
        Settlement(each.task, each.id, TaskEvent.RETRY, reason=detail, counts=False, scheduled_at=now)
        for each in given_up
    ]
    attempts.settle(connection, again, now)
    move_batch(connection, [replace(row, state=BatchState.CLOSED, detail=detail)], now)
    unknown = sum(each.at_most for each in given_up) if charge is Charge.UNKNOWN else 0
    return WrittenOff(len(given_up), unknown, len(ours) - len(given_up))
