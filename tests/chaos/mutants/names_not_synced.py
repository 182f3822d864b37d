"""Files are synced, the folders that name them are not."""

from __future__ import annotations

from batchgen.store.folder import Folder

CHECKS = ("tests/chaos/test_simulation.py",)


def apply() -> None:
    """Break the build."""
    Folder.sync = lambda self: None  # type: ignore[method-assign]
