"""One process owns a ledger: a lock on the file itself, which no second name of it and no removed file gets around.

SQLite keeps a write-ahead log beside the name by which it opened the file. A ledger that has two names, or is mounted
as a file of its own, would have two of them, and is refused.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batchgen.domain.clock import stamp
from batchgen.domain.errors import LedgerError, LedgerInUse
from batchgen.ledger.lock import lock, locked_by

__all__ = ["Held", "Holder", "held"]

_BINARY = getattr(os, "O_BINARY", 0)
_LOOK = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY  # a pipe must not make us wait
_NOTE = re.compile(r"process (\d+) on (\S+) since (\S+)")
_DESCRIPTORS = Path("/dev/fd")


@dataclass(frozen=True, slots=True)
class Held:
    """Who has a ledger open to write.

    Attributes:
        pid: the process; 0 when nobody can tell.
        host: where it runs; "" when the note beside the ledger that says so is gone.
        since: seconds since the epoch; 0 when nobody can tell.
    """

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        if not self.pid:
            return "another process, whose note is gone"
        return f"process {self.pid}{f' on {self.host}' if self.host else ''} since {stamp(self.since)}"


class Holder:
    """The lock of one ledger, and a note beside it, `<db>.holder`, that a person can read.

    Its descriptor is of the database itself: it must be released after the last connection to that is closed, because
    SQLite's own locks would go with it.
    """

    def __init__(self, path: Path, now: float) -> None:
        """Take the lock.

        Args:
            path: the ledger's real path, without links.
            now: seconds since the epoch.

        Raises:
            LedgerInUse: another process has it.
            LedgerError: it has several names, or cannot be locked.
        """
        self._path = path
        self._note = _note_of(path)
        self._log = path.with_name(f"{path.name}-wal")
        self._logged = False
        with _told(f"the ledger {path} cannot be opened"):
            self._fd = os.open(path, os.O_RDWR | _LOOK)
        try:
            _refuse_second_names(self._fd, path)
            with _told(f"the ledger {path} cannot be locked, as on some network disks; keep it on a local one"):
                taken = lock(self._fd, os.getpid(), max(0, int(now)))
            if not taken:
                who = held(path) or "another process"
                raise LedgerInUse(f"the ledger {path} is in use by {who}; wait for it to end, or give another --db")
            with suppress(OSError):  # such as a full disk: the lock itself tells the most of it
                self._write(f"process {os.getpid()} on {socket.gethostname()} since {stamp(now)}\n")
        except BaseException:
            os.close(self._fd)
            raise

    def check(self) -> None:
        """Make sure that the ledger's path still leads to the file that is locked, and that its log is beside it.

        Raises:
            LedgerError: one was deleted, moved or replaced: what is written from now on could be lost.
        """
        if not self._is_there():
            raise _gone(self._path)
        if self._log.exists():
            self._logged = True  # SQLite makes it with the first commit, and keeps it while the ledger is open
        elif self._logged:
            raise _gone(self._log)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def release(self) -> None:
        """Release the lock and remove the note."""
        with suppress(OSError):
            self._note.unlink(missing_ok=True)
        os.close(self._fd)

    def _write(self, note: str) -> None:
        self._note.unlink(missing_ok=True)
        with os.fdopen(os.open(self._note, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(note)


def _gone(path: Path) -> LedgerError:
    return LedgerError(
        f"the ledger {path} was deleted, moved or replaced in mid-run; put it back and run again: answers that came "
        "since are kept in the output folder"
    )


def held(path: Path) -> Held | None:
    """Who has a ledger open to write now; None when nobody has, or when there is none that can be looked at.

    It takes no lock, so that no runner is kept out by it, and may be asked while this process reads the ledger.
    """
    try:
        ours = _open_already(path.stat())
        found = [locked_by(fd) for fd in ours] if ours else [_look(path)]
    except OSError:
        return None
    who = next(filter(None, found), None)
    if who is None:
        return None
    pid, since = who
    noted = _read_note(Path(os.path.realpath(path)))
    if noted is not None and pid in {0, noted.pid}:
        return Held(noted.pid, noted.host, since)
    return Held(pid, "", since)


def _look(path: Path) -> tuple[int, int] | None:
    fd = os.open(path, _LOOK)
    try:
        return locked_by(fd)
    finally:
        os.close(fd)


def _open_already(found: os.stat_result) -> list[int]:
    """Descriptors that the process has of a file already: closing another one would lose SQLite its locks on it."""
    ours: list[int] = []
    with suppress(OSError):
        for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - numbers, not paths
            with suppress(OSError):  # the one of this listing is closed by now
                if os.path.samestat(os.fstat(int(name)), found):
                    ours.append(int(name))
    return ours


def _refuse_second_names(fd: int, path: Path) -> None:
    """Refuse a ledger for which SQLite could be led to a second write-ahead log.

    Raises:
        LedgerError: it is no file, or not known by this one name only.
    """
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        raise LedgerError(f"the ledger {path} is no file; give another --db")
    if found.st_nlink > 1:
        raise LedgerError(
            f"the ledger {path} has {found.st_nlink} names (hard links), and each would have a write-ahead log of its "
            "own; remove the others"
        )
    if _is_mounted(fd, path):
        raise LedgerError(
            f"the ledger {path} is mounted as a single file, and its write-ahead log would stay outside; mount its "
            "folder instead"
        )


def _is_mounted(fd: int, path: Path) -> bool:
    """Whether a file is in another mount than its folder, where the system says so."""
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            return _mount(fd) != _mount(folder)
        finally:
            os.close(folder)
    return False


def _mount(fd: int) -> str:
    lines = Path(f"/proc/self/fdinfo/{fd}").read_text(encoding="ascii").splitlines()
    return next((line for line in lines if line.startswith("mnt_id:")), "")


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.holder")


def _read_note(path: Path) -> Held | None:
    """What the note beside a ledger says; a killed holder leaves it behind, so it is no proof of anything."""
    with suppress(OSError, ValueError):
        if found := _NOTE.match(_note_of(path).read_text(encoding="utf-8")):
            return Held(int(found[1]), found[2], 0.0)
    return None


@contextmanager
def _told(trouble: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerError(f"{trouble}: {error.strerror}") from error
