"""Room on the disk that is taken before it is needed, and given back when a neighbour has taken all the rest.

It is files in the spool that hold blocks and nothing else. Each is as large as many answers, and an inode as well: with
one file given up, an answer that is under way has both. They outlive a kill and are found by the next start.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import sys
from contextlib import suppress
from itertools import count
from threading import Lock

from batchgen.store.folder import Folder, write_all

PIECE = 16 << 20  # bytes of one file
MOST = 2 << 30  # bytes in all of them
_NAME = "ballast-"
_CANNOT = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY}
# Of macOS: fcntl's F_PREALLOCATE, and its argument: all or nothing, from the end of the file.
_PREALLOCATE, _ALL, _FROM_END = 42, 4, 3


class Ballast:
    """Holds the ballast files of one spool. Threads may call it."""

    def __init__(self, spool: Folder) -> None:
        """Take over what a dead run has left.

        Raises:
            OSError: the spool cannot be read.
        """
        self._spool = spool
        self._changing = Lock()
        self._pieces: list[str] = []
        for name in spool.names():
            if name.startswith(_NAME):
                if _is_whole(spool.stat(name)):
                    self._pieces.append(name)
                else:
                    with suppress(OSError):  # not one of ours
                        spool.remove(name)

    @property
    def held(self) -> int:
        """Return how many bytes it holds."""
        return self.files * PIECE

    @property
    def files(self) -> int:
        """Return how many files it has, each of which is an inode."""
        return len(self._pieces)

    def hold(self, size: int) -> None:
        """Hold at least so many bytes, but no more than `MOST`.

        Raises:
            OSError: there is no room for them.
        """
        with self._changing:
            while self.held < min(size, MOST):
                self._pieces.append(self._make())

    def give(self) -> bool:
        """Give one file up; False when there is none."""
        with self._changing:
            if not self._pieces:
                return False
            self._spool.remove(self._pieces.pop())
            return True

    def close(self) -> None:
        """Give everything back.

        Raises:
            OSError: a file cannot be removed.
        """
        while self.give():
            continue

    def _make(self) -> str:
        names = (f"{_NAME}{number}" for number in count())
        name = next(name for name in names if self._spool.stat(name) is None)
        fd = self._spool.create_anew(name)
        try:
            _allocate(fd, PIECE)
        except BaseException:
            os.close(fd)
            self._spool.remove(name)
            raise
        os.close(fd)
        return name


def _is_whole(found: os.stat_result | None) -> bool:
    """Tell whether a file has all of its blocks, as far as the system tells."""
    if found is None or found.st_size < PIECE:
        return False
    return stat.S_ISREG(found.st_mode) and (not hasattr(found, "st_blocks") or found.st_blocks * 512 >= PIECE)


def _allocate(fd: int, size: int) -> None:
    """Give an empty file its blocks.

    Raises:
        OSError: there is no room for them.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, 0, size)
        elif sys.platform == "darwin":
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.fcntl(fd, _PREALLOCATE, struct.pack("=Iiqqq", _ALL, _FROM_END, 0, size, 0))
            os.ftruncate(fd, size)
        else:
            os.ftruncate(fd, size)  # which takes the blocks on Windows
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        for _ in range(size >> 20):
            write_all(fd, bytes(1 << 20))
