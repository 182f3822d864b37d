"""Room for an answer before it is paid, and what is given up so that one under way can be kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from batchgen.domain.clock import Clock
from batchgen.domain.errors import NoRoom, StoreError
from batchgen.store.folder import FULL, Folder, trouble
from batchgen.store.spool.ballast import Ballast
from batchgen.store.spool.descriptors import NONE_LEFT, Spare

BALLAST = 64 << 20  # bytes kept free beyond what is promised: for answers larger than expected, and for the ledger
_FOR_THE_BOOKS = 8 << 20  # bytes that the ledger, which may lie beside us, always finds while answers land
_FILES = 4  # of one call: a picture, its receipt, and a folder or two on the way to the image
_SPARE_FILES = 64  # kept free beyond those
_AGE = 0.25  # seconds for which a look at the disk holds
_PATIENCE = 20.0  # seconds for a descriptor, while the calls beside end and give theirs back
_PAUSE = 0.02

T = TypeVar("T")


class FreeSpace:
    """Watches the room below an output folder. `check` is for the event loop, the rest for threads."""

    def __init__(self, root: Folder, spool: Folder, clock: Clock, ballast: int = BALLAST) -> None:
        """Take over the ballast of a dead run.

        Raises:
            OSError: the spool cannot be read, or there are no descriptors to hold back.
        """
        self._root = root
        self._spool = spool
        self._clock = clock
        self._ballast_size = ballast
        self._ballast = Ballast(spool)
        self._spare = Spare()
        self._spare.hold()
        self._free = 0
        self._inodes: int | None = 0
        self._seen = float("-inf")
        self.leave_some_for_the_books()  # what a dead run held must not keep the next from beginning

    def check(self, promised: int, calls: int = 1) -> None:
        """Make sure that so many bytes can be written for so many calls, whatever a neighbour does meanwhile.

        Raises:
            NoRoom: they cannot.
            StoreError: nobody can say, or the folder is no longer there.
        """
        need, files = promised + self._ballast_size, calls * _FILES + _SPARE_FILES
        now = self._clock.monotonic()
        if self._short_of(need, files) or now - self._seen >= _AGE:
            self._look(promised // calls)
            self._seen = now
        room = self._free + self._ballast.held
        if room < need:
            raise NoRoom(
                f"{self._root.path} has {room / 1e6:,.0f} MB free, and the answers under way may need "
                f"{need / 1e6:,.0f} MB; make room there, then run again"
            )
        if self._lacks_inodes(files):
            raise NoRoom(
                f"{self._root.path} has room for {self._inodes:,} more files (inodes), and the answers under way may "
                f"need {files:,}; remove files there, then run again"
            )
        self._hold(need)

    def insist(self, work: Callable[[], T]) -> T:
        """Do a step that keeps paid bytes, again and again while there is something to give up for it.

        The step goes on where it failed, or begins anew. It must not be a sync: what failed once to reach the disk is
        not believed a second time.

        Raises:
            OSError: it cannot be done.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                return work()
            except OSError as error:
                if not self.give_up_for(error, until):
                    raise

    def give_up_for(self, error: OSError, until: float = 0.0) -> bool:
        """Tell whether a step that failed may succeed now: something was given up for it, or some time has passed.

        Args:
            error: how it failed.
            until: on the system's monotonic clock; how long descriptors are waited for.
        """
        if error.errno in FULL:
            return self._ballast.give()
        if error.errno not in NONE_LEFT:
            return False
        if not self._spare.give():
            time.sleep(_PAUSE)
        return time.monotonic() < until

    def leave_some_for_the_books(self) -> None:
        """Give some ballast up before the ledger, which may be on the same disk, meets a full one.

        Fails silently: it only helps, and what has landed stays landed.
        """
        with suppress(OSError):
            while self._root.free() < _FOR_THE_BOOKS and self._ballast.give():
                continue

    def close(self) -> None:
        """Give everything back.

        Raises:
            OSError: a file cannot be removed.
        """
        self._spare.close()
        self._ballast.close()

    def _short_of(self, need: int, files: int) -> bool:
        return self._free + self._ballast.held < need or self._lacks_inodes(files)

    def _lacks_inodes(self, files: int) -> bool:
        return self._inodes is not None and self._inodes + self._ballast.files < files

    def _look(self, each: int) -> None:
        """Look at the folders and the disk."""
        for folder in (self._root, self._spool):
            if not folder.is_in_place():
                raise StoreError(
                    f"{folder.path} is no longer the folder that the run began with; "
                    "put it back (is its drive mounted?), then run again"
                )
        if (largest := _largest_file()) is not None and largest < each:
            raise NoRoom(
                f"no file may grow beyond {largest / 1e6:,.1f} MB here, and an answer may need {each / 1e6:,.0f} MB; "
                "raise that with `ulimit -f unlimited`, then run again"
            )
        try:
            self._free, self._inodes = self._root.free(), self._root.free_files()
        except OSError as error:
            raise trouble(error, "ask for the free space of", self._root.path) from error

    def _hold(self, need: int) -> None:
        """Have the ballast and the descriptors that were given up, if any, again before another call is made."""
        before = self._ballast.held
        try:
            self._ballast.hold(need)
            self._free -= self._ballast.held - before
            if not self._spare.full:
                self._spare.hold()
        except OSError as error:
            raise trouble(error, "hold room for answers in", self._spool.path) from error


def _largest_file() -> int | None:
    """Return how large a file may become by the limits of this process, in bytes; None where nothing limits it."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if soft == resource.RLIM_INFINITY else soft
