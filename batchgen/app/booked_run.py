"""A run in the books: from before its first call until its end, however that comes about."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from batchgen.app.ending import INTERRUPTED
from batchgen.app.session import Session
from batchgen.domain.errors import BatchgenError, Exit, LedgerError
from batchgen.domain.walls import Walls
from batchgen.ledger.runs import NewRun, RunEnd


class BookedRun:
    """A run that is under way.

    Attributes:
        ended: whether the books say so.
    """

    def __init__(self, session: Session, number: int) -> None:
        self.ended = False
        self._session = session
        self._number = number

    def end(self, reason: str, code: Exit) -> None:
        """Write down why it ended, once; "" when nothing was left to buy.

        Raises:
            LedgerError: the books cannot be written.
        """
        if not self.ended:
            self.ended = True
            self._session.ledger.end_run(RunEnd(self._number, reason, code))


@contextmanager
def booked_run(session: Session, walls: Walls) -> Iterator[BookedRun]:
    """Write down that a run of the recorded job begins, and how it ends where its caller cannot say it any more."""
    job = session.ledger.job(session.spec.name)
    number = session.ledger.begin_run(NewRun(job, os.getpid(), socket.gethostname(), walls.per_run))
    session.begin(number, walls)
    run = BookedRun(session, number)
    try:
        yield run
    except BaseException as error:
        with suppress(LedgerError):  # what went wrong is told; a run without an end counts as died
            run.end(*_why(error))
        raise


def _why(error: BaseException) -> tuple[str, Exit]:
    if isinstance(error, BatchgenError):
        return str(error), error.exit_code
    if isinstance(error, Exception):
        return f"internal error: {error!r}", Exit.INTERNAL
    return INTERRUPTED, Exit.INTERRUPTED
