"""A lock on an open file, by whatever name it was opened. The kernel frees it with its holder, and tells whose it is.

It lies far behind the end of the file and SQLite's own locks. Neither `flock` nor a classic POSIX lock would do: on
macOS the first gets in the way of SQLite's, and the second is lost, and SQLite's with it, whenever the process closes
a descriptor of the file. A lock of an open file has neither fault. Its range also says whose it is: it reaches from as
many bytes before one place as there were seconds since the epoch to as many behind it as the process has for a number,
so that any two of them meet at that place.
"""

from __future__ import annotations

import errno
import os
import struct
import sys

_PLACE = 1 << 40
_TAKEN = {errno.EACCES, errno.EAGAIN}

if sys.platform == "win32":
    import msvcrt

    def lock(fd: int, process: int, since: int) -> bool:
        """As on other systems, but nobody can be told who has it."""
        del process, since
        os.lseek(fd, _PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def locked_by(fd: int) -> tuple[int, int] | None:
        """As on other systems, but process 0 since 0 is whoever it is: what is locked cannot be read there."""
        os.lseek(fd, _PLACE, os.SEEK_SET)
        try:
            os.read(fd, 1)
        except PermissionError:
            return 0, 0
        return None

else:
    import fcntl

    # Python names the commands only where its own headers had them.
    if sys.platform == "darwin":
        _FIELDS, _RECORD = ("start", "length", "process", "kind", "whence"), struct.Struct("@qqihh")
        _SET, _GET = 90, 92
    else:
        _FIELDS, _RECORD = ("kind", "whence", "start", "length", "process"), struct.Struct("@hhqqi0q")
        _SET, _GET = getattr(fcntl, "F_OFD_SETLK", None), getattr(fcntl, "F_OFD_GETLK", None)

    def lock(fd: int, process: int, since: int) -> bool:
        """Lock a file for as long as it stays open here; False when it is locked already.

        Args:
            fd: a descriptor that may write; no other process may inherit it.
            process: the number of this one, to tell others.
            since: seconds since the epoch, 0 at least, to tell others.

        Raises:
            OSError: the system, or the file's, has no such locks.
        """
        try:
            _call(fd, _SET, _PLACE - since, since + process)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        return True

    def locked_by(fd: int) -> tuple[int, int] | None:
        """The process that has a file locked, and since when; None when none has. Asking keeps nobody out.

        Raises:
            OSError: the system, or the file's, has no such locks.
        """
        found = _call(fd, _GET, _PLACE, 1)
        if found["kind"] == fcntl.F_UNLCK:
            return None
        since = _PLACE - found["start"]
        return found["length"] - since, since

    def _call(fd: int, command: int | None, start: int, length: int) -> dict[str, int]:
        if command is None:
            raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
        given = {"kind": fcntl.F_WRLCK, "whence": os.SEEK_SET, "start": start, "length": length, "process": 0}
        packed = _RECORD.pack(*(given[name] for name in _FIELDS))
        return dict(zip(_FIELDS, _RECORD.unpack(fcntl.fcntl(fd, command, packed)), strict=True))
