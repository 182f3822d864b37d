"""The body of a request, held at its most delicate moments: before its first byte, within a file, given up."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Literal, cast

import aiofiles.threadpool.binary
import aiohttp
import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_writer import StreamWriter

from batchgen.domain.clock import SystemClock
from batchgen.domain.deadline import Deadline
from batchgen.domain.wire import FilePiece
from batchgen.gateway import sending
from tests.support.gateway import a_call, a_piece, ask
from tests.support.sockets import raw_server

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40


@pytest.mark.parametrize("end", ["revoked", "closed"])
async def test_call_that_ends_while_files_are_looked_at_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """Between looking and the first byte there is a wait, and the verdict "not sent" may have been given by then."""
    piece = a_piece(tmp_path / "a", PNG)
    body = sending.RequestBody((b"{", piece), "application/json", SystemClock(), Deadline(10.0))
    real = sending._check_files
    got: list[bytes] = []
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())
        closed.set()

    async with raw_server(serve) as base:
        _, connection = await asyncio.open_connection("127.0.0.1", int(base.split(":")[2].split("/")[0]))
        protocol = BaseProtocol(asyncio.get_running_loop(), None)
        protocol.transport = connection.transport

        async def looking(files: list[FilePiece]) -> None:
            await real(files)
            body.revoked = end == "revoked"
            if end == "closed":
                connection.close()

        monkeypatch.setattr(sending, "_check_files", looking)
        with pytest.raises(aiohttp.ClientConnectionResetError):
            await body.write_with_length(StreamWriter(protocol, asyncio.get_running_loop()), body.size)
        connection.close()
        await asyncio.wait_for(closed.wait(), 5)
        await connection.wait_closed()
    assert (body.begun, body.sent_at, got) == (False, 0.0, [b""])


async def test_file_that_shrinks_under_the_reader_is_noticed(tmp_path: Path) -> None:
    piece = a_piece(tmp_path / "a", bytes(2_000_000))
    reading = sending._read(piece)
    await anext(reading)
    os.truncate(piece.path, 500_000)
    with pytest.raises(sending.InputUnusable, match="bytes where 2000000"):
        await anext(reading)


def is_open(path: str) -> bool:
    """Whether this process holds a file; never, where the system does not tell."""
    listing = Path("/proc/self/fd")
    links = [str(each.readlink()) for each in listing.iterdir() if each.is_symlink()] if listing.is_dir() else []
    return path in links


async def test_cancelled_call_leaves_no_file_open_and_no_thread_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = a_piece(tmp_path / "a", bytes(4_000_000))
    reading, go_on = threading.Event(), threading.Event()
    real = aiofiles.threadpool.binary.AsyncBufferedReader.read

    async def slow(self: object, size: int) -> bytes:
        def wait() -> None:
            reading.set()
            go_on.wait(30)

        await asyncio.get_running_loop().run_in_executor(None, wait)
        return await real(self, size)

    monkeypatch.setattr(aiofiles.threadpool.binary.AsyncBufferedReader, "read", slow)

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_server(serve) as base:
        task = asyncio.create_task(ask(a_call(base, b"{", piece, b"}")))
        assert await asyncio.to_thread(reading.wait, 30)
        assert is_open(piece.path) or not Path("/proc/self/fd").is_dir()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
        async with asyncio.timeout(10):
            while is_open(piece.path):
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("mode", ["rb", "wb"])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_file_is_closed_however_often_we_are_cancelled_while_a_thread_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Literal["rb", "wb"], times: int
) -> None:
    path, opening, go_on, files = tmp_path / "a", threading.Event(), threading.Event(), list[IO[bytes]]()
    path.write_bytes(b"x")

    def slow(name: str, how: str) -> IO[bytes]:
        opening.set()
        go_on.wait(30)
        files.append(cast("IO[bytes]", Path(name).open(how)))  # noqa: SIM115
        return files[0]

    monkeypatch.setattr(sending, "open", slow, raising=False)
    task = asyncio.create_task(use(path, mode))
    assert await asyncio.to_thread(opening.wait, 30)
    await cancel(task, times)
    go_on.set()
    while not files or not files[0].closed:
        await asyncio.sleep(0.001)
    await asyncio.wait({task})  # its thread is done a moment before it
    assert task.cancelled()


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_file_is_closed_however_often_we_are_cancelled_while_no_thread_is_free_to_close_it(
    tmp_path: Path, times: int
) -> None:
    path, busy, entered = tmp_path / "a", threading.Event(), asyncio.Event()
    path.write_bytes(b"x")
    files: list[Any] = []
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as threads:
        loop.set_default_executor(threads)
        task = asyncio.create_task(use(path, "rb", entered, files))
        await entered.wait()
        threads.submit(busy.wait, 30)
        await cancel(task, times)
        busy.set()
        while not files[0].closed:
            await asyncio.sleep(0.001)
    await asyncio.wait({task})  # its thread is done a moment before it
    assert task.cancelled()


async def use(path: Path, mode: Literal["rb", "wb"], entered: asyncio.Event | None = None, files: Any = None) -> None:
    async with sending.opened(str(path), mode) as file:
        if entered is not None:
            files.append(file)
            entered.set()
        await asyncio.Event().wait()


async def cancel(task: asyncio.Task[None], times: int) -> None:
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
