"""What one attempt does to the books: reserve, book, settle. Each works on a group of callers in one transaction.

A group is all or nothing: when one of its rows does not find what it expects, the verb raises, everything is rolled
back and the verbs are run one by one. So the errors below are about the first of a group, and reach a caller only when
that is alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.engine import Connection

from batchgen.domain.errors import LedgerError, StaleClaim
from batchgen.domain.lifecycle import CHARGE_MOVES, TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.model import Booking, Reservation, Settlement
from batchgen.domain.walls import Wall
from batchgen.ledger import statements as sql
from batchgen.ledger import sums
from batchgen.ledger.mapping import dump_pairs, dump_usage
from batchgen.ledger.tables import attempt


def reserve(connection: Connection, wanted: Sequence[Reservation], now: float) -> list[int | Wall]:
    """Write an attempt down, set its money aside and take its task; or the wall that it would go over.

    Raises:
        StaleClaim: the task is not there to be taken.
    """
    spent = sums.Spent(connection, wanted)
    number: int = connection.execute(sql.LAST_ATTEMPT).scalar_one()
    answers: list[int | Wall] = []
    attempts: list[dict[str, Any]] = []
    for reservation in wanted:
        wall = spent.take(reservation)
        if wall is not None:
            answers.append(wall)
            continue
        number += 1
        attempts.append(_reservation(number, reservation))
        answers.append(number)
    _expect(sql.RESERVE.run(connection, attempts), attempts, "is not waiting to run any more")
    takes = [{"key": row["task"], "attempt": row["attempt"], "now": now} for row in attempts]
    _expect(sql.TAKE.run(connection, takes), attempts, "was taken by somebody else")
    spent.write(now)
    return answers


def book(connection: Connection, bookings: Sequence[Booking], _now: float) -> list[None]:
    """Write down what attempts turned out to cost, whatever became of their tasks. The same booking again is no harm.

    Raises:
        LedgerError: the attempt is booked otherwise already, or does not exist.
    """
    rows = [_booking(booking) for booking in bookings]
    if sql.BOOK.run(connection, rows) == len(rows):
        sums.booked(connection, [booking.attempt for booking in bookings])
    elif len(rows) > 1 or not _is_booked(connection, rows[0]):
        raise LedgerError(f"attempt {bookings[0].attempt} is booked already, or is not in the ledger")
    return [None] * len(rows)


def settle(connection: Connection, settlements: Sequence[Settlement], now: float) -> list[None]:
    """Move tasks on, each only while its attempt holds it and once its money is booked.

    Raises:
        StaleClaim: another attempt, or none, holds the task.
        LedgerError: the attempt is not booked, or the settlement makes no sense.
    """
    rows = [_settlement(settlement, now) for settlement in settlements]
    if sql.SETTLE.run(connection, rows) != len(rows):
        raise _not_settled(connection, settlements[0])
    found_out = [
        {"key": settlement.attempt, "outcome": settlement.outcome.value, "detail": settlement.reason}
        for settlement in settlements
        if settlement.outcome is not None
    ]
    sql.FIND_OUT.run(connection, found_out)
    images = [_image(settlement, now) for settlement in settlements if settlement.event is TaskEvent.COMPLETE]
    if sql.DELIVER.run(connection, images) != len(images):
        raise LedgerError(f"attempt {images[0]['attempt']} belongs to another task")
    sums.delivered(connection, [image["attempt"] for image in images])
    return [None] * len(rows)


def book_and_settle(
    connection: Connection, pairs: Sequence[tuple[Booking, Settlement]], now: float
) -> list[LedgerError | None]:
    """Both at once. Where the task is held by somebody else, the money is booked all the same."""
    book(connection, [booking for booking, _ in pairs], now)
    try:
        settle(connection, [settlement for _, settlement in pairs], now)
    except StaleClaim as stale:
        if len(pairs) > 1:
            raise
        return [stale]
    return [None] * len(pairs)


def _reservation(number: int, wanted: Reservation) -> dict[str, Any]:
    return {
        "attempt": number,
        "task": wanted.task,
        "job": wanted.job,
        "revision": wanted.revision,
        "group": wanted.group,
        "estimated": wanted.estimated,
        "reserved": wanted.reserved,
        "provider": wanted.provider,
        "route": wanted.route,
        "model": wanted.model,
        "endpoint": wanted.endpoint,
        "base_url": wanted.base_url,
        "size_asked": wanted.size_asked,
        "size_sent": wanted.size_sent,
        "quality": wanted.quality,
        "request_hash": wanted.request_hash,
        "price_basis": wanted.price_basis,
        "billing_unit": wanted.billing_unit,
        "key_fingerprint": wanted.key_fingerprint,
        "reserved_at": wanted.reserved_at,
        "queued_for": wanted.queued_for,
        "run_id": wanted.run,
        "month": sums.keys_of(wanted)[Wall.MONTH],
    }


def _booking(booking: Booking) -> dict[str, Any]:
    if booking.charge not in CHARGE_MOVES[Charge.RESERVED]:
        raise LedgerError(f"attempt {booking.attempt} cannot be booked as {booking.charge}")
    return {
        "key": booking.attempt,
        "charge": booking.charge.value,
        "billed": booking.billed,
        "outcome": booking.kind.value,
        "detail": booking.detail,
        "status": booking.status,
        "request_ids": dump_pairs(booking.request_ids),
        "usage": dump_usage(booking.usage),
        "basis": booking.price_basis,
        "outputs": booking.outputs,
        "effective": dump_pairs(booking.effective),
        "url": booking.url,
        "url_expires": booking.url_expires,
        "sent_at": booking.sent_at,
        "first_byte": booking.first_byte,
        "total": booking.total,
        "finished_at": booking.finished_at,
    }


def _settlement(settlement: Settlement, now: float) -> dict[str, Any]:
    sources, state = TRANSITIONS[settlement.event]
    if TaskState.RUNNING not in sources or (settlement.event is TaskEvent.COMPLETE) != (settlement.image is not None):
        image = "an image" if settlement.image is not None else "no image"
        raise LedgerError(f"task {settlement.task} cannot {settlement.event} with {image}")
    size = settlement.send_size
    return {
        "key": settlement.task,
        "attempt": settlement.attempt,
        "work": state.value,
        "image": int(settlement.event is TaskEvent.COMPLETE),
        "reason": settlement.reason,
        "counted": int(settlement.counts and settlement.event is not TaskEvent.RELEASE),
        "lost": int(settlement.lost),
        "due": settlement.scheduled_at if settlement.event is TaskEvent.RETRY else None,
        "width": None if size is None else size.width,
        "height": None if size is None else size.height,
        "route": settlement.send_route,
        "now": now,
    }


def _image(settlement: Settlement, now: float) -> dict[str, Any]:
    image = settlement.image
    if image is None:
        raise LedgerError(f"task {settlement.task} cannot complete without an image")
    return {
        "task": settlement.task,
        "attempt": settlement.attempt,
        "path": image.path,
        "sha256": image.sha256,
        "bytes": image.bytes,
        "width": image.width,
        "height": image.height,
        "format": image.format,
        "flags": ",".join(settlement.flags),
        "created_at": now,
    }


def _is_booked(connection: Connection, row: dict[str, Any]) -> bool:
    """Whether an attempt is booked exactly so already."""
    names = ("charge", "billed", "outcome", "url")
    query = select(*(attempt.c[name] for name in names)).where(attempt.c.id == row["key"])
    found = connection.execute(query).one_or_none()
    return found is not None and tuple(found) == tuple(row[name] for name in names)


def _not_settled(connection: Connection, settlement: Settlement) -> LedgerError:
    query = select(attempt.c.charge).where(attempt.c.id == settlement.attempt, attempt.c.task_id == settlement.task)
    if connection.execute(query).scalar() == Charge.RESERVED:
        return LedgerError(f"attempt {settlement.attempt} must be booked before task {settlement.task} moves on")
    return StaleClaim(f"task {settlement.task} is not held by attempt {settlement.attempt} any more")


def _expect(found: int, rows: Sequence[dict[str, Any]], complaint: str) -> None:
    if found != len(rows):
        raise StaleClaim(f"task {rows[0]['task']} {complaint}")
