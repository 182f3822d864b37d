"""Where the bytes of one picture go while they arrive: memory first, then whole pieces to the spool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

import aiofiles

from batchgen.store.checks.stream import PIECE
from batchgen.store.folder import Folder, make_durable, trouble
from batchgen.store.layout import mark_of
from batchgen.store.spool.disk_space import FreeSpace


class _RawFile(Protocol):
    async def write(self, data: bytearray, /) -> int: ...


class SpoolSink:
    """Collects one picture of one attempt. A small one touches the disk once, when it is made durable.

    Attributes:
        name: file name in the spool.
        size: bytes received so far.
        taken: whether an answer or a download has it; it can no longer be discarded then.
    """

    __slots__ = (
        *("_executor", "_fd", "_file", "_folder", "_memory", "_space", "_spilling"),
        *("attempt", "name", "size", "taken"),
    )

    def __init__(self, folder: Folder, executor: Executor, space: FreeSpace, attempt: int, name: str) -> None:
        self.attempt = attempt
        self.name = name
        self.size = 0
        self.taken = False
        self._folder = folder
        self._executor = executor
        self._space = space
        self._memory = bytearray()
        self._fd = -1
        self._file: _RawFile | None = None
        self._spilling: asyncio.Task[None] | None = None

    async def write(self, data: bytes | memoryview) -> None:
        """Take more bytes; they are copied.

        Raises:
            NoRoom: the disk is full.
            StoreError: the spool cannot be written.
        """
        self._memory += data
        self.size += len(data)
        if len(self._memory) < PIECE:
            return
        if self._spilling is not None and not self._spilling.done():  # left behind by a cancelled write
            await asyncio.shield(self._spilling)
        # A thread that writes cannot be stopped: a cancelled caller leaves it to end, and `when_quiet` waits for it.
        self._spilling = asyncio.ensure_future(self._spill())
        await asyncio.shield(self._spilling)

    def flush(self) -> None:
        """Write what is still in memory; called in a thread.

        Raises:
            OSError: not all could be written.
        """
        if self._fd < 0:
            self._fd = self._create()
        while self._memory:
            done = os.write(self._fd, self._memory)
            del self._memory[:done]

    def make_durable(self) -> None:
        """Have the disk keep what was written; called in a thread.

        Raises:
            OSError: it may not.
        """
        make_durable(self._fd)

    def release(self) -> None:
        """Close the file, if it is open."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def when_quiet(self, then: Callable[[], object]) -> None:
        """Forget what is in memory; once no thread writes, and if there is a file, go on with `then`."""
        self._memory = bytearray()

        def quiet(spilling: asyncio.Task[None]) -> None:
            # Cancelled itself only when the loop ends: its thread may still write, so the file stays for the sweep.
            if not spilling.cancelled() and (spilling.exception() or self._fd >= 0):
                then()

        if self._spilling is not None and not self._spilling.done():
            self._spilling.add_done_callback(quiet)
        elif self._fd >= 0:
            then()

    async def _spill(self) -> None:
        piece, self._memory = self._memory, bytearray()
        try:
            if self._file is None:
                loop = asyncio.get_running_loop()
                self._fd = await loop.run_in_executor(self._executor, self._space.insist, self._create)
                self._file = await aiofiles.open(self._fd, "wb", buffering=0, closefd=False, executor=self._executor)
            while piece:
                await self._pour(self._file, piece)
        except OSError as error:
            self._memory = piece + self._memory
            raise trouble(error, "write", self._folder.where(self.name)) from error

    async def _pour(self, file: _RawFile, piece: bytearray) -> None:
        """Write some of it; on a full disk, once something was given up for it."""
        try:
            del piece[: await file.write(piece)]
        except OSError as error:
            loop = asyncio.get_running_loop()
            if not await loop.run_in_executor(self._executor, self._space.give_up_for, error):
                raise

    def _create(self) -> int:
        try:
            return self._folder.create(self.name)
        except FileExistsError:  # of an earlier try to download it
            self._folder.remove(mark_of(self.name))
            return self._folder.create_anew(self.name)
