"""The quarantine of a spool: files that are kept because they may be paid, but that nobody can use as they are."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from batchgen.store.folder import Folder, trouble
from batchgen.store.layout import QUARANTINE


def set_aside(spool: Folder, file: str) -> str:
    """Move a file of the spool into its quarantine, over nothing; return its name below the spool.

    Raises:
        StoreError: it cannot be moved.
    """
    try:
        make_folder(spool, QUARANTINE)
        with spool.child(QUARANTINE) as quarantine:
            name = next(name for name in variants(file) if quarantine.stat(name) is None)
            spool.rename(file, name, quarantine)
            quarantine.sync()
        spool.sync()  # the quarantine's own name may be new
    except OSError as error:
        raise trouble(error, "set aside", spool.where(file)) from error
    return f"{QUARANTINE}/{name}"


def make_folder(spool: Folder, folder: str) -> None:
    """Make a folder in the spool; what has its name and is no folder gets another one.

    Raises:
        OSError: it cannot be made.
    """
    if not spool.make(folder, 0o700):
        there = spool.stat(folder)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            spool.rename(folder, next(name for name in variants(folder) if spool.stat(name) is None))
            spool.make(folder, 0o700)


def variants(name: str) -> Iterator[str]:
    """Yield a name, and others that a file can have where that is taken."""
    yield name
    for number in range(2, 1_000_000):
        yield f"{name}.{number}"
