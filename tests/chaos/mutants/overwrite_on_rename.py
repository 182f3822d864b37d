"""An image takes its name from whatever file has it."""

from __future__ import annotations

from batchgen.store.folder import Folder
from batchgen.store.output import place

CHECKS = (
    "tests/chaos/test_simulation.py",
    "tests/integration/test_engine.py::test_existing_file_of_the_user_is_never_overwritten",
)


def _put(source: place.Spooled, folder: Folder, final: str, attempt: int) -> None:
    folder.remove(final)
    source.spool.link(source.file, final, folder)


def apply() -> None:
    """Break the build."""
    place._put = _put
