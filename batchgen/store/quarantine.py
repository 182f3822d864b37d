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
        _make_quarantine(spool)
        with spool.child(QUARANTINE) as quarantine:
            name = next(name for name in _variants(file) if quarantine.stat(name) is None)
            spool.rename(file, name, quarantine)
            quarantine.sync()
        spool.sync()  # the quarantine's own name may be new
    except OSError as error:
        raise trouble(error, "set aside", spool.where(file)) from error
    return f"{QUARANTINE}/{name}"


def _make_quarantine(spool: Folder) -> None:
    """Make the folder; what has its name and is no folder gets another one."""
    if not spool.make(QUARANTINE, 0o700):
        there = spool.stat(QUARANTINE)
        if there is not None and not stat.S_ISDIR(there.st_mode):
            spool.rename(QUARANTINE, next(name for name in _variants(QUARANTINE) if spool.stat(name) is None))
            spool.make(QUARANTINE, 0o700)


def _variants(name: str) -> Iterator[str]:
    yield name
    for number in range(2, 1_000_000):
        yield f"{name}.{number}"
