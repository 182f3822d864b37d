"""What one attempt does to the books: reserve, book, settle. Each works on a group of callers in one transaction.

A group is all or nothing: when one of its rows does not find what it expects, the verb raises, everything is rolled
back and the verbs are run one by one. So the errors below are about the first of a group, and reach a caller only when
that is alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from batchgen.domain.errors import LedgerError, StaleClaim
from batchgen.domain.lifecycle import CHARGE_MOVES, TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.model import Booking, GivenBack, Reservation, Settlement
from batchgen.domain.walls import Wall
from batchgen.ledger import sums
from batchgen.ledger.mapping import dump_pairs, dump_usage
from batchgen.ledger.statements import hot


def reserve(connection: Connection, wanted: Sequence[Reservation], now: float) -> list[int | Wall]:
    """Write an attempt down, set its money aside and take its task; or the wall that it would go over.

    Raises:
        StaleClaim: the task is not there to be taken.
    """
    owners = [sums.owners_of(reservation) for reservation in wanted]
    spent = sums.Spent(connection, owners)
    number: int = connection.execute(hot.LAST_ATTEMPT).scalar_one()
    answers: list[int | Wall] = []
    attempts: list[dict[str, Any]] = []
    for reservation, whose in zip(wanted, owners, strict=True):
        wall = spent.take(reservation, whose)
        if wall is not None:
            answers.append(wall)
            continue
        number += 1
        attempts.append(_reservation(number, reservation, whose[Wall.MONTH]))
        answers.append(number)
    _expect(hot.RESERVE.run(connection, attempts), attempts, "is not waiting to run any more")
    takes = [{"key": row["task_id"], "attempt": row["attempt"], "now": now} for row in attempts]
    _expect(hot.TAKE.run(connection, takes), attempts, "was taken by somebody else")
    spent.write(now)
    return answers


def follow(connection: Connection, numbers: Sequence[tuple[int, str]], _now: float) -> list[None]:
    """Write down under which numbers gateways work on calls that are under way.

    Raises:
        LedgerError: an attempt is booked already, or does not exist.
    """
    rows = [{"key": attempt, "remote_task": number} for attempt, number in numbers]
    if hot.FOLLOW.run(connection, rows) < len(rows):
        raise LedgerError(f"attempt {numbers[0][0]} is booked already, or is not in the ledger")
    return [None] * len(rows)


def book(connection: Connection, bookings: Sequence[Booking], _now: float) -> list[None]:
    """Write down what attempts turned out to cost, whatever became of their tasks. The same booking again is no harm.

    Raises:
        LedgerError: the attempt is booked otherwise already, or does not exist.
    """
    rows = [_booking(booking) for booking in bookings]
    if hot.BOOK.run(connection, rows) == len(rows):
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
    if hot.SETTLE.run(connection, rows) != len(rows):
        raise _not_settled(connection, settlements[0])
    found_out = [
        {
            "key": settlement.attempt,
            "outcome": settlement.outcome.value,
            "cause": settlement.outcome.value,
            "detail": settlement.reason,
        }
        for settlement in settlements
        if settlement.outcome is not None
    ]
    hot.FIND_OUT.run(connection, found_out)
    images = [_image(settlement, now) for settlement in settlements if settlement.event is TaskEvent.COMPLETE]
    if hot.DELIVER.run(connection, images) != len(images):
        raise LedgerError(f"attempt {images[0]['attempt']} belongs to another task")
    sums.delivered(connection, [image["attempt"] for image in images])
    return [None] * len(rows)


def book_and_settle(
    connection: Connection, pairs: Sequence[tuple[Booking, Settlement]], now: float
) -> list[LedgerError | None]:
    """Book attempts and settle their tasks. Where somebody else holds a task, its money is booked all the same."""
    book(connection, [booking for booking, _ in pairs], now)
    try:
        settle(connection, [settlement for _, settlement in pairs], now)
    except StaleClaim as stale:
        if len(pairs) > 1:
            raise
        return [stale]
    return [None] * len(pairs)


def give_back(connection: Connection, groups: Sequence[Collection[GivenBack]], now: float) -> list[None]:
    """Give tasks attempts back that were none of theirs, and put the tasks back where they were before."""
    rows = [
        {
            "key": each.task,
            "count": len(each.attempts),
            "last": each.attempts[-1],
            "route": each.send_route,
            "width": each.send_size.width,
            "height": each.send_size.height,
            "now": now,
        }
        for group in groups
        for each in group
    ]
    hot.GIVE_BACK.run(connection, rows)
    hot.PUT_BACK.run(connection, rows)
    return [None] * len(groups)


def _reservation(number: int, wanted: Reservation, month: sums.Key) -> dict[str, Any]:
    row = hot.RESERVED.of(wanted)
    row["attempt"], row["month"] = number, month
    return row


def _booking(booking: Booking) -> dict[str, Any]:
    if booking.charge not in CHARGE_MOVES[Charge.RESERVED]:
        raise LedgerError(f"attempt {booking.attempt} cannot be booked as {booking.charge}")
    row = hot.BOOKED.of(booking)
    row |= {
        "key": booking.attempt,
        "charge": booking.charge.value,
        "outcome": booking.kind.value,
        "request_ids": dump_pairs(booking.request_ids),
        "usage": dump_usage(booking.usage),
        "price_basis": booking.price_basis,
        "effective": dump_pairs(booking.effective),
    }
    return row


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
        "hollow": int(settlement.hollow),
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
    return hot.PLACED.of(image) | {
        "task": settlement.task,
        "attempt": settlement.attempt,
        "flags": ",".join(settlement.flags),
        "created_at": now,
    }


def _is_booked(connection: Connection, row: dict[str, Any]) -> bool:
    """Whether an attempt is booked exactly so already."""
    found = connection.execute(hot.BOOKED_AS, {"attempt": row["key"]}).mappings().one_or_none()
    return found is not None and all(row[name] == value for name, value in found.items())


def _not_settled(connection: Connection, settlement: Settlement) -> LedgerError:
    whose = {"attempt": settlement.attempt, "task": settlement.task}
    if connection.execute(hot.CHARGE_AT_TASK, whose).scalar() == Charge.RESERVED:
        return LedgerError(f"attempt {settlement.attempt} must be booked before task {settlement.task} moves on")
    return StaleClaim(f"task {settlement.task} is not held by attempt {settlement.attempt} any more")


def _expect(found: int, rows: Sequence[dict[str, Any]], complaint: str) -> None:
    if found != len(rows):
        raise StaleClaim(f"task {rows[0]['task_id']} {complaint}")
