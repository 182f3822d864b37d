"""The manifest's folder, below which references and masks lie: finds them, and lets no path lead out of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from batchgen.domain.names import fold


class FileState(NamedTuple):
    """A regular file: where it really is, its size, and when it was last changed, in nanoseconds since the epoch."""

    path: str
    bytes: int
    changed: int


class InputRoot:
    """A folder whose files are looked up by place: a relative path with `/` as separator."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real = os.path.realpath(folder)
        self._parents: dict[str, str] = {}
        self._names: dict[str, dict[str, str]] = {}

    def state(self, place: str) -> FileState:
        """Look at the file at a place: once at the disk, and once per folder.

        Raises:
            ValueError: nothing, no regular file, or something outside the folder; one clause that follows its name.
        """
        head, _, tail = place.rpartition("/")
        try:
            path = os.path.join(self._parent(head), tail)  # noqa: PTH118 - runs for every file of a catalog
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                path = self._inside(os.path.realpath(path))
                found = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(f"there is no such file{self._similar(head, tail)}") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is a folder, not a file" if stat.S_ISDIR(found.st_mode) else "is not a regular file")
        return FileState(path, found.st_size, found.st_mtime_ns)

    def _parent(self, head: str) -> str:
        if head not in self._parents:
            self._parents[head] = self._inside(os.path.realpath(os.path.join(self._real, head)))  # noqa: PTH118
        return self._parents[head]

    def _inside(self, path: str) -> str:
        if path != self._real and not path.startswith(self._real.rstrip(os.sep) + os.sep):
            raise ValueError("is reached by a link that leads out of the manifest's folder; put the file itself there")
        return path

    def _similar(self, head: str, tail: str) -> str:
        """Say `; there is X` where only case or Unicode form differ, else ""."""
        if head not in self._names:
            try:
                self._names[head] = {fold(name): name for name in os.listdir(self._parent(head))}  # noqa: PTH208
            except OSError:
                self._names[head] = {}
        name = self._names[head].get(fold(tail))
        return f"; there is {name}, and case counts" if name else ""
