"""A folder held open, and the few file operations that must be exact: create, link, rename, make durable.

Names are resolved against the open folder where the system can do that, so no symbolic link put there later can
send a write elsewhere. Where it cannot (Windows), paths are joined and folders are not synced.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from batchgen.domain.errors import NoRoom, StoreError

PRIVATE_FILE = 0o600
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_FOLLOW  # a pipe must not make us wait
_BY_HANDLE = hasattr(os, "O_DIRECTORY") and {os.open, os.mkdir, os.link, os.unlink, os.rename, os.stat} <= set(
    os.supports_dir_fd
)
_LINK_SELF = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
_NO_LOCK = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NO_FILE = {errno.ELOOP, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENXIO, errno.EMLINK}
_NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}  # some network file systems; never EIO
_MOST_DURABLE = 10_000  # paths that are remembered


class NotAFile(OSError):
    """Something that is no file, or none that we may read, has a file's name; other files are not concerned."""


def trouble(error: OSError, doing: str, path: str | os.PathLike[str]) -> StoreError:
    """Return the error a user reads for one of the system's; `NoRoom` for a full disk, quota or file size limit."""
    why = error.strerror or type(error).__name__
    if error.errno in FULL:
        return NoRoom(f"cannot {doing} {os.fspath(path)}: {why}; make room there, then run again")
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return NoRoom(f"cannot {doing} {os.fspath(path)}: {why}; raise the limit (`ulimit -n 10240`), then run again")
    return StoreError(f"cannot {doing} {os.fspath(path)}: {why}; put that right, then run again")


def make_durable(fd: int) -> None:
    """Have the disk itself keep what was written to an open file or folder.

    Raises:
        OSError: the bytes may not be on disk.
    """
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 - only there; plain fsync leaves bytes in the drive's cache

        try:
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
        except OSError as error:
            if error.errno not in _NO_SYNC | {errno.ENOTTY}:
                raise
        else:
            return
    os.fsync(fd)


def write_all(fd: int, data: bytes | bytearray) -> None:
    """Write every byte.

    Raises:
        OSError: not all could be written.
    """
    done = os.write(fd, data)
    if done < len(data):
        view = memoryview(data)
        while done < len(data):
            done += os.write(fd, view[done:])


def _locked(fd: int) -> bool:
    """Lock an open file or folder for as long as it is open; False when it is locked already."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - only there

        with suppress(PermissionError):
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            return True
    else:
        import fcntl  # noqa: PLC0415 - not on Windows

        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


class Folder:
    """Holds a folder open. All names are single segments. Every method may raise `OSError`.

    Attributes:
        path: where it was opened, for messages and for systems without folder descriptors.
        fd: its descriptor; None where the system has none.
    """

    __slots__ = ("_asked", "_counting", "_durable", "_kept", "_lock", "_syncing", "fd", "path")

    def __init__(self, path: str, fd: int | None) -> None:
        self.path = path
        self.fd = fd
        self._durable: set[str] = set()
        self._counting = Lock()
        self._syncing = Lock()
        self._asked = 0
        self._kept = 0
        self._lock: int | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Folder:
        """Open a folder by its path; links in the path are followed."""
        path = os.fspath(path)
        return cls(path, os.open(path, _FOLDER) if _BY_HANDLE else None)

    def at(self, name: str) -> str:
        """Return a name as the system's calls take it together with `fd`."""
        return name if self.fd is not None else os.path.join(self.path, name)  # noqa: PTH118

    def where(self, name: str) -> str:
        """Return a name with its path, for people."""
        return os.path.join(self.path, name)  # noqa: PTH118

    def child(self, name: str) -> Folder:
        """Open a folder in this one.

        Raises:
            OSError: there is none, or the name is a link.
        """
        path = os.path.join(self.path, name)  # noqa: PTH118 - runs for every image
        if self.fd is not None:
            return Folder(path, os.open(name, _FOLDER | _NO_FOLLOW, dir_fd=self.fd))
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return Folder(path, None)

    def make(self, name: str, mode: int = 0o777) -> bool:
        """Make a folder in this one; False when something has that name already."""
        try:
            os.mkdir(self.at(name), mode, dir_fd=self.fd)
        except FileExistsError:
            return False
        return True

    def create(self, name: str) -> int:
        """Create a private file that is new; return its descriptor for writing.

        Raises:
            FileExistsError: the name is taken, by whatever.
        """
        return os.open(self.at(name), _CREATE, PRIVATE_FILE, dir_fd=self.fd)

    def create_anew(self, name: str) -> int:
        """Create a file after removing what has its name: what is linked elsewhere too is never written into."""
        try:
            return self.create(name)
        except FileExistsError:
            self.remove(name)
            return self.create(name)

    def read(self, name: str) -> int:
        """Open a file that is no link; return its descriptor for reading."""
        return os.open(self.at(name), _READ, dir_fd=self.fd)

    def read_file(self, name: str) -> int:
        """Open a file for reading where anybody may have put something else under its name.

        Raises:
            NotAFile: a folder, a link or a pipe has that name, or it may not be read.
        """
        try:
            fd = self.read(name)
        except OSError as error:
            if error.errno in _NO_FILE:
                raise NotAFile(error.errno, error.strerror, name) from error
            raise
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise NotAFile(errno.EINVAL, "Not a file", name)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def read_bytes(self, name: str) -> bytes:
        """Return the bytes of a small file.

        Raises:
            NotAFile: see `read_file`.
        """
        with open(self.read_file(name), "rb") as file:  # noqa: PTH123 - by descriptor
            return file.read()

    def stat(self, name: str) -> os.stat_result | None:
        """Look at what has that name, itself and not what it links to; None when nothing has."""
        try:
            return os.stat(self.at(name), dir_fd=self.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens when it is not there."""
        try:
            os.unlink(self.at(name), dir_fd=self.fd)
        except FileNotFoundError:
            return

    def rename(self, name: str, to: str, folder: Folder | None = None) -> None:
        """Give a file another name, replacing what has it, here or in another folder."""
        folder = folder or self
        os.replace(self.at(name), folder.at(to), src_dir_fd=self.fd, dst_dir_fd=folder.fd)

    def link(self, name: str, to: str, folder: Folder) -> None:
        """Give a file a second name in another folder.

        Raises:
            FileExistsError: the name is taken.
        """
        os.link(self.at(name), folder.at(to), src_dir_fd=self.fd, dst_dir_fd=folder.fd, **_LINK_SELF)

    def names(self) -> list[str]:
        """Return all names in it, in order."""
        return sorted(os.listdir(self.path if self.fd is None else self.fd))  # noqa: PTH208 - by descriptor

    def protect(self, mode: int) -> None:
        """Set the permission bits of the folder, where there are such bits."""
        if self.fd is not None:
            os.fchmod(self.fd, mode)

    def lock(self, name: str = "") -> bool:
        """Keep everybody else who does the same out of it until it is closed; False when somebody is in it.

        The lock is on the folder itself, whatever its path. Where the system has no such locks (Windows, some network
        file systems) it is on a file in it of that name, or there is none.
        """
        if self.fd is not None:
            try:
                return _locked(self.fd)
            except OSError as error:
                if error.errno not in _NO_LOCK:
                    raise
        if not name:
            return True
        self._lock = os.open(self.at(name), os.O_RDWR | os.O_CREAT | _NO_FOLLOW, PRIVATE_FILE, dir_fd=self.fd)
        return _locked(self._lock)

    def owner(self) -> os.stat_result:
        """Return owner and permission bits of the folder."""
        return os.lstat(self.path) if self.fd is None else os.fstat(self.fd)

    def free(self) -> int:
        """Return how many bytes may still be written below it."""
        if hasattr(os, "statvfs"):
            space = os.statvfs(self.path if self.fd is None else self.fd)
            return space.f_bavail * space.f_frsize
        import shutil  # noqa: PLC0415 - Windows only

        return shutil.disk_usage(self.path).free

    def free_files(self) -> int | None:
        """Return how many files may still be made below it; None where the file system does not count them."""
        if not hasattr(os, "statvfs"):
            return None
        space = os.statvfs(self.path if self.fd is None else self.fd)
        return space.f_favail if space.f_files else None

    def is_in_place(self) -> bool:
        """Tell whether it still is what its path names: not removed, replaced or unmounted since it was opened."""
        try:
            now = Path(self.path).stat()
        except OSError:
            return False
        if self.fd is None:
            return stat.S_ISDIR(now.st_mode)
        opened = os.fstat(self.fd)
        return (now.st_dev, now.st_ino) == (opened.st_dev, opened.st_ino)

    def sync(self) -> None:
        """Make the names in it durable. Callers that wait at the same time share one sync."""
        if self.fd is None:
            return
        with self._counting:
            self._asked += 1
            mine = self._asked
        with self._syncing:
            if self._kept >= mine:  # one that began after this call has covered it
                return
            covered = self._asked
            try:
                make_durable(self.fd)
            except OSError as error:
                if error.errno not in _NO_SYNC:
                    raise
            self._kept = covered

    def is_durable(self, path: str) -> bool:
        """Tell whether this process remembers that a path below it was made durable."""
        return path in self._durable

    def note_durable(self, path: str) -> None:
        """Remember that a path below it is durable; of very many, only the latest are remembered."""
        if len(self._durable) >= _MOST_DURABLE:
            self._durable.clear()
        self._durable.add(path)

    def close(self) -> None:
        """Let go of it."""
        if self._lock is not None:
            lock, self._lock = self._lock, None
            os.close(lock)
        if self.fd is not None:
            fd, self.fd = self.fd, None
            os.close(fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
