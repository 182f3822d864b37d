"""Images that were found in kept answers: filed with the attempts that paid for them. No money moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection

from batchgen.domain.errors import LedgerError
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.output_image import Image
from batchgen.ledger import sums
from batchgen.ledger.statements import hot, late, registers


@dataclass(frozen=True, slots=True)
class LateImage:
    """An image that a booked attempt has paid for, in the output folder.

    Attributes:
        own, shared: hashes of what was asked, as in `batchgen.domain.job.Prompt`.
        flags: as in `Settlement`.
        note: how it was found.
    """

    attempt: int
    image: Image
    own: int
    shared: int
    flags: tuple[str, ...] = ()
    note: str = ""


def file_late(connection: Connection, wanted: Sequence[LateImage], now: float) -> list[bool]:
    """Enter images; whether each is its task's image now, or an unused one of an earlier revision.

    A task that still waits for what was asked then, by a call or by a person, has it delivered. One that has another
    image of it, is called right now or asks something else keeps what it has. Filing the same again changes nothing.

    Raises:
        LedgerError: the attempt is not booked, or its revision has another image.
    """
    return [_file(connection, each, now) for each in wanted]


def _file(connection: Connection, late_image: LateImage, now: float) -> bool:
    bound = {"attempt": late_image.attempt}
    found = connection.execute(late.PAID_IMAGE, bound).one_or_none()
    if found is None or found.charge == Charge.RESERVED:
        raise LedgerError(f"attempt {late_image.attempt} is not booked, so no image of it can be filed")
    if found.image is None:
        _enter(connection, late_image, found.task, now)
        connection.execute(registers.COMPARE_AGAIN, {"job": found.job})
    elif found.image != late_image.attempt:
        raise LedgerError(f"the revision of attempt {late_image.attempt} has the image of attempt {found.image}")
    recovered = bound | {"own": late_image.own, "shared": late_image.shared, "now": now}
    connection.execute(late.RECOVER, recovered)
    return bool(connection.execute(late.IS_PRESENT, bound).scalar_one())


def _enter(connection: Connection, late_image: LateImage, task: int, now: float) -> None:
    row = hot.PLACED.of(late_image.image) | {
        "attempt": late_image.attempt,
        "task": task,
        "own": late_image.own,
        "shared": late_image.shared,
        "flags": ",".join(late_image.flags),
        "now": now,
    }
    connection.execute(late.NEW_LATE_IMAGE, row)
    delivered = OutcomeKind.DELIVERED.value
    hot.FIND_OUT.run(
        connection,
        [{"key": late_image.attempt, "outcome": delivered, "cause": delivered, "detail": late_image.note}],
    )
    sums.delivered(connection, [late_image.attempt])
