"""One process owns a ledger: an operating-system lock that its end releases, however it ends."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from batchgen.domain.clock import stamp
from batchgen.domain.errors import LedgerError, LedgerInUse


class Holder:
    """The lock of one ledger, `<db>.lock`, and a readable note beside it that says who has it, `<db>.holder`."""

    def __init__(self, path: Path, now: float) -> None:
        """Take the lock.

        Raises:
            LedgerInUse: another process has it.
            LedgerError: the lock's file cannot be made.
        """
        self._note = path.with_name(f"{path.name}.holder")
        self._lock = FileLock(
            path.with_name(f"{path.name}.lock"), mode=0o600, thread_local=False, fallback_to_soft=False
        )
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise LedgerInUse(
                f"the ledger {path} is in use by {self._read()}; wait for it to end, or give another --db"
            ) from None
        except (OSError, NotImplementedError) as error:
            raise LedgerError(f"the ledger {path} cannot be locked: {error}") from error
        try:
            self._write(f"process {os.getpid()} on {socket.gethostname()} since {stamp(now)}\n")
        except OSError as error:
            self._lock.release()
            raise LedgerError(f"{self._note} cannot be written: {error.strerror}") from error

    def release(self) -> None:
        """Let the next one in."""
        self._note.unlink(missing_ok=True)
        self._lock.release()

    def _write(self, note: str) -> None:
        self._note.unlink(missing_ok=True)
        with os.fdopen(os.open(self._note, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(note)

    def _read(self) -> str:
        with suppress(OSError):  # the holder may be on its way out, and the note with it
            if note := self._note.read_text(encoding="utf-8").strip():
                return note
        return "another process"
