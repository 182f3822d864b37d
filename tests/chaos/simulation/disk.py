"""A disk that forgets: what was written and not synced may be gone after a crash, name by name and byte by byte.

The files are real and lie in memory (or wherever the folder is). Beside them stands a journal of every change of a
name since its folder was synced, with the way to undo it, and the length up to which each file was synced.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from batchgen.store.folder import Folder
from tests.chaos.simulation.loop import Crash


@dataclass
class _Change:
    """A change of a name that is not durable yet."""

    home: int  # the folder's number
    undo: Callable[[], None]


class Disk:
    """The disk under one output folder, over every life of the program.

    Attributes:
        step: told before every operation; may raise `Crash`, or `OSError` for a disk that fails.
        dead: whether the process has ended; nothing reaches the disk any more then.
    """

    def __init__(self, root: Path, graves: Path) -> None:
        self.root = root
        self.dead = False
        self.step: Callable[[str], None] = lambda _what: None
        self._graves = graves
        self._graves.mkdir()
        self._journal: list[_Change] = []
        self._synced: dict[int, int] = {}
        self._buried = 0

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Have the store's file operations go over this disk."""
        with (
            mock.patch.object(os, "fsync", self._fsync),
            mock.patch.object(Folder, "create", _create(self, Folder.create)),
            mock.patch.object(Folder, "make", _make(self, Folder.make)),
            mock.patch.object(Folder, "remove", _remove(self, Folder.remove)),
            mock.patch.object(Folder, "rename", _rename(self, Folder.rename)),
            mock.patch.object(Folder, "link", _link(self, Folder.link)),
        ):
            yield

    def lose(self, dice: random.Random) -> None:
        """The power is gone: for each folder some prefix of its unsynced changes survives, and of each file's bytes."""
        survive: dict[int, int] = {}
        counted: dict[int, int] = {}
        for change in self._journal:
            counted[change.home] = counted.get(change.home, 0) + 1
        for home, number in counted.items():
            survive[home] = dice.choice((0, number, dice.randint(0, number)))
        kept: list[bool] = []
        seen: dict[int, int] = {}
        for change in self._journal:
            seen[change.home] = seen.get(change.home, 0) + 1
            kept.append(seen[change.home] <= survive[change.home])
        for change, stays in zip(reversed(self._journal), reversed(kept), strict=True):
            if not stays:
                change.undo()
        self._journal.clear()
        self._cut(dice)
        self._empty_graves()

    def change(self, folder: Folder, undo: Callable[[], None]) -> None:
        """Take down that a name in a folder has changed."""
        self._journal.append(_Change(_number(folder), undo))

    def begin(self, what: str) -> None:
        """Before an operation."""
        self.step(what)

    def keep(self, path: Path) -> None:
        """A file that has been there for long."""
        found = path.lstat()
        self._synced[found.st_ino] = found.st_size

    def forget(self, number: int) -> None:
        """A file of this number begins anew."""
        self._synced.pop(number, None)

    def bury(self, path: Path) -> Path | None:
        """Keep what a name stands for, should its removal not survive."""
        self._buried += 1
        grave = self._graves / str(self._buried)
        try:
            os.link(path, grave, follow_symlinks=False)
        except OSError:
            return None
        return grave

    def _fsync(self, fd: int) -> None:
        found = os.fstat(fd)
        if self.dead:
            return
        self.begin("sync folder" if stat.S_ISDIR(found.st_mode) else "sync file")
        if stat.S_ISDIR(found.st_mode):
            self._journal = [change for change in self._journal if change.home != found.st_ino]
        else:
            self._synced[found.st_ino] = found.st_size

    def _files(self) -> Iterator[Path]:
        for folder, _, names in sorted(os.walk(self.root)):
            for name in sorted(names):
                path = Path(folder, name)
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path

    def _cut(self, dice: random.Random) -> None:
        done: set[int] = set()
        for path in self._files():
            found = path.lstat()
            synced = self._synced.get(found.st_ino, 0)
            if found.st_ino in done or found.st_size <= synced:
                continue
            done.add(found.st_ino)
            os.truncate(path, dice.choice((synced, found.st_size, dice.randint(synced, found.st_size))))
            self._synced[found.st_ino] = path.lstat().st_size

    def _empty_graves(self) -> None:
        for grave in self._graves.iterdir():
            grave.unlink()


def _number(folder: Folder) -> int:
    return os.fstat(folder.fd or 0).st_ino


def _at(folder: Folder, name: str) -> Path:
    return Path(folder.path, name)


def _create(disk: Disk, real: Callable[..., int]) -> Callable[..., int]:
    def create(folder: Folder, name: str) -> int:
        if disk.dead:
            raise Crash
        disk.begin("create")
        fd = real(folder, name)
        disk.forget(os.fstat(fd).st_ino)
        disk.change(folder, lambda: _at(folder, name).unlink(missing_ok=True))
        return fd

    return create


def _make(disk: Disk, real: Callable[..., bool]) -> Callable[..., bool]:
    def make(folder: Folder, name: str, mode: int = 0o777) -> bool:
        if disk.dead:
            raise Crash
        disk.begin("make folder")
        made = real(folder, name, mode)
        if made:
            disk.change(folder, lambda: shutil.rmtree(_at(folder, name), ignore_errors=True))
        return made

    return make


def _remove(disk: Disk, real: Callable[..., None]) -> Callable[..., None]:
    def remove(folder: Folder, name: str) -> None:
        if disk.dead or folder.stat(name) is None:
            return
        disk.begin("remove")
        grave = disk.bury(_at(folder, name))
        real(folder, name)
        disk.change(folder, lambda: _restore(grave, _at(folder, name)))

    return remove


def _rename(disk: Disk, real: Callable[..., None]) -> Callable[..., None]:
    def rename(folder: Folder, name: str, to: str, other: Folder | None = None) -> None:
        if disk.dead:
            return
        disk.begin("rename")
        home = other or folder
        old = disk.bury(_at(home, to))

        def undo() -> None:
            with suppress(FileNotFoundError):
                _at(home, to).rename(_at(folder, name))
            _restore(old, _at(home, to))

        real(folder, name, to, other)
        disk.change(home, undo)

    return rename


def _link(disk: Disk, real: Callable[..., None]) -> Callable[..., None]:
    def link(folder: Folder, name: str, to: str, other: Folder) -> None:
        if disk.dead:
            return
        disk.begin("link")
        real(folder, name, to, other)
        disk.change(other, lambda: _at(other, to).unlink(missing_ok=True))

    return link


def _restore(grave: Path | None, path: Path) -> None:
    """Give what was buried its name again; a folder on the way may be gone as well."""
    if grave is not None:
        with suppress(FileExistsError, FileNotFoundError):
            os.link(grave, path, follow_symlinks=False)


def failure(code: int) -> OSError:
    """An error of the disk: `ENOSPC` for a full one, `EIO` for a broken one."""
    return OSError(code, os.strerror(code))


FAILURES = (errno.ENOSPC, errno.EIO)
