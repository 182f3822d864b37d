"""Whether a delivered image is still what was bought."""

from __future__ import annotations

import os
import stat
from hashlib import file_digest
from pathlib import Path


def fault_of(output: Path, image: str, size: int, sha256: str = "") -> str | None:
    """Return what is wrong with the file of an image; None when it is what was bought.

    Args:
        output: the output folder.
        image: the image's path below it, `/` as separator.
        size: in bytes, as it was bought.
        sha256: hexadecimal; "" looks at the size alone.
    """
    if image.startswith("/") or ".." in image.split("/"):  # a ledger may come from a stranger
        return "is not below the output folder"
    try:
        with open(output / image, "rb", opener=_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return "is not a regular file"
            if found.st_size != size:
                return f"{found.st_size} bytes on disk, {size} in the books"
            if sha256 and file_digest(file, "sha256").hexdigest() != sha256:
                return "its bytes are not those that were bought"
    except FileNotFoundError:
        return "is gone"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def lies_there(output: Path, image: str, size: int) -> bool:
    """Tell whether a file of that size has the image's name; it is not opened. Arguments as for `fault_of`."""
    try:
        found = os.stat(output / image)  # noqa: PTH116 - runs for a hundred thousand images
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def fault_within(root: Path, image: str, size: int, sha256: str) -> str | None:
    """Return the fault of an image that somebody else tells of: no link may lead it out of the output folder.

    Args:
        root: the output folder, without any link in its path.
        image: as for `fault_of`; `size` and `sha256` too.
    """
    try:
        inside = (root / image).resolve().is_relative_to(root)
    except (OSError, RuntimeError, ValueError):
        inside = False
    return fault_of(root, image, size, sha256) if inside else "is not below the output folder"


def _at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end, should it be a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
