"""Prepared copies of references and masks, in the spool's folder `inputs`, known by content and form.

A copy is `<sha256 of the original, 32 digits>-<profile>.<ending>`, whole or absent. Losing one costs only time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from threading import Lock

from batchgen.domain.wire import FilePiece, Prepared
from batchgen.store.checks.stream import BadImage
from batchgen.store.folder import Folder, trouble, write_all
from batchgen.store.inputs.photo import is_whole, open_photo
from batchgen.store.inputs.send_profile import SendProfile
from batchgen.store.inputs.shrink import Fitted
from batchgen.store.layout import TEMPORARY
from batchgen.store.output.file_names import ENDINGS

_PRIVATE = 0o700


@dataclass(frozen=True, slots=True)
class Copy:
    """Names a prepared file on disk."""

    piece: FilePiece
    kind: str
    width: int
    height: int

    def named(self, stem: str) -> Prepared:
        """Return the copy as it is sent in a form, under the name that it has there."""
        return Prepared(
            name=stem + ENDINGS[self.kind],
            media=f"image/{self.kind}",
            file=self.piece,
            width=self.width,
            height=self.height,
        )


class Copies:
    """Keeps all copies of one job. Its methods block; threads may call them."""

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._folder: Folder | None = None
        self._opening = Lock()
        self._numbers = count()
        self._known: dict[str, Copy] = {}

    def has(self, digest: str, profile: SendProfile) -> bool:
        """Tell whether there is a copy, as far as its name tells."""
        return any((self._path / name).is_file() for name in _names(digest, profile))

    def find(self, digest: str, profile: SendProfile) -> Copy | None:
        """Return the copy of an original in a form. It is read once per run, which finds one that is not whole.

        Raises:
            StoreError: it cannot be read.
        """
        for kind, name in zip(ENDINGS, _names(digest, profile), strict=True):
            path = self._path / name
            try:
                size = path.stat().st_size
                known = self._known.get(name)
                if known is not None and known.piece.size == size:
                    return known
                if (copy := _look(path, kind)) is not None:
                    self._known[name] = copy
                    return copy
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise trouble(error, "read", path) from error
        return None

    def put(self, digest: str, profile: SendProfile, fitted: Fitted) -> Copy:
        """Write a prepared file as the copy of an original in a form.

        Raises:
            NoRoom: the disk is full.
            StoreError: it cannot be written.
        """
        name = f"{_stem(digest, profile)}{ENDINGS[fitted.kind]}"
        path = self._path / name
        try:
            folder = self._open()
            temporary = f"{os.getpid()}-{next(self._numbers)}{TEMPORARY}"
            fd = folder.create_anew(temporary)
            try:
                write_all(fd, fitted.data)
            except OSError:
                folder.remove(temporary)
                raise
            finally:
                os.close(fd)
            folder.rename(temporary, name)
        except OSError as error:
            raise trouble(error, "write", path) from error
        piece = FilePiece(os.fspath(path.absolute()), len(fitted.data), sha256(fitted.data).hexdigest())
        self._known[name] = copy = Copy(piece, fitted.kind, fitted.width, fitted.height)
        return copy

    def close(self) -> None:
        """Let go of the folder."""
        if self._folder is not None:
            self._folder.close()
            self._folder = None

    def _open(self) -> Folder:
        """Return the folder, made if need be and rid of what a dead process was writing."""
        with self._opening:
            if self._folder is None:
                self._path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
                self._folder = Folder.open(self._path)
                for name in self._folder.names():
                    if name.endswith(TEMPORARY):
                        self._folder.remove(name)
            return self._folder


def _stem(digest: str, profile: SendProfile) -> str:
    return f"{digest[:32]}-{profile.name}"


def _names(digest: str, profile: SendProfile) -> list[str]:
    return [f"{_stem(digest, profile)}{ending}" for ending in ENDINGS.values()]


def _look(path: Path, kind: str) -> Copy | None:
    """Return a copy that an earlier run has made; None when the power failed before all of it was on disk."""
    data = path.read_bytes()
    try:
        photo = open_photo(data)
    except BadImage:
        return None
    if photo.kind != kind or not is_whole(data, kind):
        return None
    piece = FilePiece(os.fspath(path.absolute()), len(data), sha256(data).hexdigest())
    return Copy(piece, kind, photo.width, photo.height)
