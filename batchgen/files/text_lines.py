"""Regular files, line by line in UTF-8, with a limit to each line; what consoles export otherwise is brought to it."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from batchgen.domain.errors import ManifestError, Problem

MAX_LINE = 1_000_000  # bytes; a cell has the same limit, in characters

_BOM = b"\xef\xbb\xbf"

FileStamp = tuple[int, int, int]


class BrokenText(ValueError):
    """From this line on a file cannot be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@contextmanager
def open_file(path: Path, shown: str) -> Iterator[BinaryIO]:
    """Open a regular file for reading in a `with` block.

    Raises:
        ManifestError: it is not there, is something else, may not be read, or stops being readable in the block.
    """
    try:
        if not _is_regular(path):
            raise ManifestError([Problem(shown, 0, 0, "", "is not a regular file")])
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise ManifestError([Problem(shown, 0, 0, "", f"cannot be read: {error.strerror}")]) from None


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except ValueError:  # a NUL or half a character, which no file's name has
        return False


def in_utf8(file: BinaryIO) -> BinaryIO:
    """Return a file's content in UTF-8, where it is in what Excel and Chinese consoles write: UTF-16, or GBK.

    What is none of these is returned as it is.
    """
    file.seek(0)
    data = file.read()
    for encoding in _encodings(data):
        try:
            return io.BytesIO(data.decode(encoding).encode())
        except UnicodeError:
            continue
    return io.BytesIO(data)


def _encodings(data: bytes) -> tuple[str, ...]:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return ("utf-16",)
    head = data[:200]
    if head[1::2].count(0) > len(head) // 4:
        return ("utf-16-le",)
    return ("utf-16-be",) if head[::2].count(0) > len(head) // 4 else ("utf-8", "gb18030")


def stamp_of(file: BinaryIO) -> FileStamp:
    """Return size, time of change and number of an open file: as long as they are equal, nobody wrote to it."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns, found.st_ino


def lines(file: BinaryIO) -> Iterator[str]:
    """Yield every line with its end, from the file's beginning.

    Raises:
        BrokenText: a line that is too long, is not UTF-8 or holds a NUL.
    """
    file.seek(0)
    number = 0
    while raw := file.readline(MAX_LINE + 1):
        number += 1
        if len(raw) > MAX_LINE:
            raise BrokenText(
                number, f"a line of more than {MAX_LINE:,} bytes; is a quote left open, or is this no text?"
            )
        if number == 1:
            raw = raw.removeprefix(_BOM)
        try:
            line = raw.decode()
        except UnicodeDecodeError:
            raise BrokenText(number, "not UTF-8 text; save the file as UTF-8 (in Excel: CSV UTF-8)") from None
        if "\0" in line:
            raise BrokenText(number, "holds a NUL character; is this no text?")
        yield line
