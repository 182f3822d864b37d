"""Servers on loopback for tests of the wire: bytes as a test wants them, and sinks that keep what comes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RawServe = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class MemorySink:
    """A sink that keeps what it gets."""

    def __init__(self, index: int) -> None:
        self.name = f"picture-{index}"
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    async def write(self, data: bytes | memoryview) -> None:
        self.data += data


@contextlib.asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """A well-behaved server that takes large bodies."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def connections(serve: RawServe, **options: Any) -> AsyncIterator[int]:
    """A server that reads and writes bytes; gives its port and leaves no connection open.

    Args:
        serve: is called for each connection, which is closed when it returns.
        options: for `asyncio.start_server`; a port of its own on loopback unless there is a `sock`.
    """
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            tasks.discard(task)

    place = {} if "sock" in options else {"host": "127.0.0.1", "port": 0}
    server = await asyncio.start_server(handle, **place, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


@contextlib.asynccontextmanager
async def raw_server(serve: RawServe) -> AsyncIterator[str]:
    """The same; gives its base URL."""
    async with connections(serve) as port:
        yield f"http://127.0.0.1:{port}/v1"
