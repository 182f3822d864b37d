"""The way from the output folder down to an image's own: through folders only, and durable before an image is named."""

from __future__ import annotations

import errno

from batchgen.domain.errors import StoreError
from batchgen.store.folder import Folder, trouble


class OutputFolders:
    """Opens the folders on the way step by step and never through a link; those that are missing are made.

    A folder that is there already may be one whose name a dead process, or another thread, has not synced yet: so each
    is synced once by this process, too.
    """

    def __init__(self, root: Folder, parents: list[str]) -> None:
        self._root = root
        self._opened: list[Folder] = []
        self._doubtful: list[tuple[Folder, str]] = []  # folders in which a name may not be durable, and its path
        try:
            for depth, name in enumerate(parents, 1):
                self._step(name, "/".join(parents[:depth]))
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> Folder:
        """Return the image's own folder."""
        return self._opened[-1] if self._opened else self._root

    def make_durable(self) -> None:
        """Make the image's name durable, and every folder on the way to it that may not be.

        Raises:
            OSError: they may not be on disk.
        """
        self.last.sync()
        for folder, path in reversed(self._doubtful):
            folder.sync()
            self._root.note_durable(path)

    def close(self) -> None:
        """Let go of all but the output folder."""
        for folder in self._opened:
            folder.close()
        self._opened.clear()

    def _step(self, name: str, path: str) -> None:
        above = self.last
        try:
            if above.make(name) or not self._root.is_durable(path):
                self._doubtful.append((above, path))
            self._opened.append(above.child(name))
        except OSError as error:
            where = above.where(name)
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise StoreError(
                    f"{where} is not a folder of its own but a file or a link; move it away, then run again"
                ) from error
            raise trouble(error, "make the folder", where) from error
