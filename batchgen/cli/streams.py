"""Standard output and error as the commands use them: there from the start, able to say anything, and free to go away.

A terminal that hung up, a closed pipe or a full disk under a log must not end or break a run, nor change how it ends.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Outlet(io.RawIOBase):
    """Where a stream's bytes go.

    Attributes:
        endures: whether bytes that cannot be written are given up, instead of raising `OSError`.
    """

    def __init__(self, raw: io.RawIOBase) -> None:
        self.endures = False
        self._raw = raw

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: ReadableBuffer, /) -> int | None:
        try:
            return self._raw.write(data)
        except OSError:
            if not self.endures:
                raise
        return memoryview(data).nbytes


def prepare() -> None:
    """Make the three standard streams usable, whatever this process was started with.

    A descriptor that is closed would be given to the next file that is opened, and what a child prints would go there.
    A character that the encoding does not have is written out instead of raising.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for good
    sys.stdout = _wrapped(sys.stdout, 1)
    sys.stderr = _wrapped(sys.stderr, 2)


def endure() -> None:
    """From here on nothing that is printed can fail: what cannot be written is given up."""
    for stream in (sys.stdout, sys.stderr):
        outlet = getattr(getattr(stream, "buffer", None), "raw", None)
        if isinstance(outlet, _Outlet):
            outlet.endures = True


def is_utf8(stream: TextIO) -> bool:
    """Say whether a stream can take every character."""
    return (stream.encoding or "").lower().replace("-", "").replace("_", "") == "utf8"


def _wrapped(stream: TextIO | None, fd: int) -> TextIO:
    buffer: Any = io.FileIO(fd, "w", closefd=False) if stream is None else stream.buffer
    return io.TextIOWrapper(
        io.BufferedWriter(_Outlet(getattr(buffer, "raw", buffer))),  # without a buffer (python -u) it is raw itself
        encoding="utf-8" if stream is None else stream.encoding,
        errors="backslashreplace",
        line_buffering=stream is not None and bool(stream.line_buffering or getattr(stream, "write_through", False)),
    )
