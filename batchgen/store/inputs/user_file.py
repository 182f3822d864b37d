"""A user's reference or mask, read once and whole."""

from __future__ import annotations

import os
from concurrent.futures import Executor

import aiofiles

from batchgen.files.input_root import FileState
from batchgen.store.checks.stream import BadImage

MAX_BYTES = 100_000_000


async def read_user_file(state: FileState, executor: Executor) -> tuple[bytes, FileState]:
    """Read a file in one piece; return its bytes and its state as of these. Nothing else opens a reference.

    Raises:
        BadImage: it is too large, cannot be read, or somebody writes to it.
    """
    if state.bytes > MAX_BYTES:
        raise BadImage(f"has {state.bytes:,} bytes; {MAX_BYTES // 1_000_000} MB are the most, so export it smaller")
    try:
        async with aiofiles.open(state.path, "rb", executor=executor) as file:
            before = os.fstat(file.fileno())
            data = await file.read(before.st_size + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise BadImage(f"cannot be read: {error.strerror}") from None
    if len(data) != before.st_size or before.st_mtime_ns != after.st_mtime_ns:
        raise BadImage("changed while it was read; start again when nothing writes to it")
    return data, FileState(state.path, before.st_size, before.st_mtime_ns)
