"""The body of a paid request while it is sent: bytes as they are, files a piece at a time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import aiohttp
from aiofiles.threadpool import wrap
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from pybase64 import b64encode

from batchgen.domain.clock import Clock
from batchgen.domain.deadline import Deadline
from batchgen.domain.text import one_line
from batchgen.domain.wire import FilePiece
from batchgen.gateway.connector import UnaskedGuard
from batchgen.gateway.json_body import Pieces
from batchgen.gateway.transport import SPOKE_FIRST

_STEP = 3 << 17  # bytes of a file at a time; groups of three become base64 without padding in between


class InputUnusable(OSError):
    """A file that should be sent is gone, cannot be read or is not the one announced. Stays inside this package."""


class RequestBody(aiohttp.Payload):
    """The body of a paid request, which knows whether any of it was written.

    aiohttp sends the head together with the first bytes of the body, so before `begun` no byte of the request has
    left.

    Attributes:
        begun: whether writing has begun.
        whole: whether all of it was written.
        revoked: set when the call is over: what was not begun by then never will be.
        sent_at: seconds since the epoch at which writing began, 0.0 before.
        trouble: what was wrong with a file that it should send, "" for nothing.
    """

    def __init__(self, pieces: Pieces, content_type: str, clock: Clock, deadline: Deadline) -> None:
        super().__init__(pieces, content_type=content_type)
        self._size = sum(piece.length if isinstance(piece, FilePiece) else len(piece) for piece in pieces)
        self.begun = False
        self.whole = False
        self.revoked = False
        self.sent_at = 0.0
        self.trouble = ""
        self._pieces = pieces
        self._started = 0.0
        self._clock = clock
        self._deadline = deadline

    def seconds(self) -> float:
        """Return the seconds since writing began; 0.0 when it has not."""
        return self._clock.monotonic() - self._started if self.begun else 0.0

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Return its text, files left out. It belongs to aiohttp's interface, where nobody asks for it."""
        return b"".join(piece for piece in self._pieces if isinstance(piece, bytes)).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all of it, as `write_with_length` does."""
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write all of it.

        Raises:
            aiohttp.ClientConnectionResetError: the connection is already gone, so nothing was written.
            InputUnusable: a file cannot be sent as announced; before `begun` unless it changed meanwhile.
            ValueError: another length was announced.
        """
        if content_length not in {None, self._size}:
            raise ValueError(f"{content_length} bytes were announced where the body has {self._size}")
        self._check(writer)
        try:
            await _check_files([piece for piece in self._pieces if isinstance(piece, FilePiece)])
            async with aclosing(stream(self._pieces)) as body:
                async for data in body:
                    self._begin(writer)
                    await writer.write(data)
        except InputUnusable as error:
            self.trouble = str(error)
            raise
        self._begin(writer)
        self.whole = True

    def _begin(self, writer: AbstractStreamWriter) -> None:
        """Note that bytes leave from here on; nothing may wait between this and the first of them."""
        if self.begun:
            return
        self._check(writer)
        self.begun = True
        if isinstance(writer, StreamWriter) and isinstance(writer.protocol, UnaskedGuard):
            writer.protocol.asked = True
        self.sent_at = self._clock.now()
        self._started = self._clock.monotonic()

    def _check(self, writer: AbstractStreamWriter) -> None:
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        guard = writer.protocol if isinstance(writer, StreamWriter) else None
        if isinstance(guard, UnaskedGuard) and guard.spoke_first:
            self.trouble = SPOKE_FIRST
        if self.revoked or self._deadline.over or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection closed before the request was written")


async def _check_files(files: list[FilePiece]) -> None:
    """Look at every file before a byte leaves: afterwards a missing one would cost a broken call."""
    if files:
        await asyncio.to_thread(_look_at, files)


def _look_at(files: list[FilePiece]) -> None:
    for piece in files:
        try:
            with Path(piece.path).open("rb") as file:
                _compare(piece, os.fstat(file.fileno()).st_size)
        except InputUnusable:
            raise
        except OSError as error:
            raise _unreadable(piece, error) from error


async def stream(pieces: Iterable[bytes | FilePiece]) -> AsyncGenerator[bytes, None]:
    """Yield the body in order, never more than one step of a file at a time."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        async with aclosing(_read(piece)) as file:
            async for data in file:
                yield b64encode(data) if piece.base64 else data


async def _read(piece: FilePiece) -> AsyncGenerator[bytes, None]:
    try:
        async with opened(piece.path) as file:
            _compare(piece, os.fstat(file.fileno()).st_size)
            left = piece.size
            while left:
                data = await file.read(min(left, _STEP))
                left -= len(data)
                if not data or (left and len(data) < _STEP):
                    raise InputUnusable(_changed(piece, piece.size - left))
                yield data
    except InputUnusable:
        raise
    except OSError as error:
        raise _unreadable(piece, error) from error


@asynccontextmanager
async def opened(path: str, mode: Literal["rb", "wb"] = "rb") -> AsyncIterator[Any]:
    """Open a file that is closed in the end, however often this is cancelled meanwhile, and whatever a thread is doing.

    A thread that opens cannot be stopped, so its file is closed when it comes. Closing is a thread's from the moment it
    is asked for. Buffered on purpose: its lock makes closing wait for a thread that still reads after a cancellation.

    Raises:
        OSError: it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    opening = loop.run_in_executor(None, open, path, mode)
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_late)
        raise
    try:
        yield wrap(file)
    finally:
        await asyncio.shield(loop.run_in_executor(None, file.close))


def _close_late(opening: asyncio.Future[BinaryIO]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _compare(piece: FilePiece, size: int) -> None:
    if size != piece.size:
        raise InputUnusable(_changed(piece, size))


def _changed(piece: FilePiece, size: int) -> str:
    return one_line(f"the input image {piece.path} has {size} bytes where {piece.size} were announced", 300)


def _unreadable(piece: FilePiece, error: OSError) -> InputUnusable:
    reason = error.strerror or type(error).__name__
    return InputUnusable(one_line(f"the input image {piece.path} cannot be read: {reason}", 300))
