"""Open files: how many a run may have, how many calls fit into that, and some held back for what is paid."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from batchgen.domain.errors import NoRoom

NONE_LEFT = {errno.EMFILE, errno.ENFILE}
SPARE = 8
# One call at most: its socket, a second one while it connects or the last one closes, and a file: a reference that is
# sent, or the answer. The built-in gateway of a rehearsal has the other ends in the same process.
_OF_A_CALL = 4
_OF_A_LOCAL_CALL = 6
_OF_A_ROUTE = 32  # 16 downloads at a time, each a socket and a file
_OF_A_RUN = 60  # 8 threads that write and place, two pools of decoders, readers of the ledger, tables, name look-ups
_ENOUGH = 10_240  # more than any run takes; macOS refuses to go above it


def raise_limit() -> None:
    """Let this process open as many files as it may, or as any run takes. Windows has no such limit."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # then it stays as it is, and is counted with
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def calls_that_fit(wanted: int, *, routes: int, local: bool) -> tuple[int, str]:
    """Return how many calls may be in flight so that each answer can be opened, and a notice when they are fewer.

    Args:
        wanted: at most.
        routes: of the run.
        local: whether the gateway is on this machine.

    Raises:
        NoRoom: not a single one.
    """
    limit = _limit()
    if limit is None:
        return wanted, ""
    each = _OF_A_LOCAL_CALL if local else _OF_A_CALL
    fixed = _open_now() + _OF_A_RUN + _OF_A_ROUTE * routes
    fitting = (limit - fixed) // each
    advice = f"raise it with `ulimit -n {fixed + each * wanted}`"
    if fitting < 1:
        raise NoRoom(f"a process may open {limit:,} files here, too few for a single call; {advice}, then run again")
    if fitting >= wanted:
        return wanted, ""
    return fitting, (
        f"a process may open {limit:,} files here, so no more than {fitting} calls are in flight instead of "
        f"{wanted}; to have them all, {advice}"
    )


class Spare:
    """Holds descriptors that are of no use, to be given up one by one so that what is paid can be written."""

    def __init__(self, count: int = SPARE) -> None:
        self._count = count
        self._held: list[int] = []
        self._changing = Lock()

    @property
    def full(self) -> bool:
        """Tell whether none was given up."""
        return len(self._held) == self._count

    def hold(self) -> None:
        """Open those that were given up.

        Raises:
            OSError: the system has no more.
        """
        with self._changing:
            while len(self._held) < self._count:
                self._held.append(os.open(os.devnull, os.O_RDONLY))

    def give(self) -> bool:
        """Close one; False when there is none."""
        with self._changing:
            if not self._held:
                return False
            os.close(self._held.pop())
            return True

    def close(self) -> None:
        """Close all."""
        while self.give():
            continue


def _limit() -> int | None:
    """Return how many files this process may open; None where nothing limits them."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def _open_now() -> int:
    """Return how many files it has open."""
    try:
        return len(list(Path("/dev/fd").iterdir()))
    except OSError:
        return 2 * SPARE + 32
