"""The output folder and the spool in it, made if need be and held open."""

from __future__ import annotations

import os
from pathlib import Path

from batchgen.domain.errors import StoreError
from batchgen.store.folder import Folder
from batchgen.store.layout import SPOOL

_PRIVATE = 0o700


def open_output(output: Path) -> Folder:
    """Open the output folder, made if need be; folders on the way to it that are new are durable.

    Raises:
        OSError: it cannot be made or opened.
    """
    missing = []
    folder = output
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        with Folder.open(folder.parent) as above:
            above.sync()
    return Folder.open(output)


def open_spool(root: Folder) -> tuple[Folder, list[str]]:
    """Open the spool of an output folder, closed to others; return it and what there is to say about that.

    Raises:
        StoreError: it is a link, or somebody else's.
        OSError: it cannot be made or opened.
    """
    root.make(SPOOL, _PRIVATE)
    root.sync()  # also of one that is there: an earlier start may have died, or been refused, before it had this done
    where = root.where(SPOOL)
    try:
        spool = root.child(SPOOL)
    except NotADirectoryError:
        raise StoreError(f"{where} is not a folder of its own; move it away, then run again") from None
    owner = spool.owner()
    if hasattr(os, "geteuid") and owner.st_uid not in {os.geteuid(), root.owner().st_uid}:
        spool.close()
        raise StoreError(f"{where} belongs to another user; choose another output folder")
    if not owner.st_mode & 0o077:
        return spool, []
    try:
        spool.protect(_PRIVATE)
    except OSError as error:
        return spool, [f"{where} cannot be closed to other users: {error.strerror}"]
    return spool, []
