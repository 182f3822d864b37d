"""A gateway that writes its own bytes: it can send what no web framework would, and break off at any of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import Enum

from tests.support.sockets import connections

# Stands for the gateway's own port in what it sends; as long as the real one, so that lengths stay right.
PORT = b"00000"
FOREVER = 1 << 40
_TICK = 0.003  # seconds between two pieces, so that they arrive as two


@dataclass(frozen=True, slots=True)
class Send:
    """Some bytes, perhaps many times over."""

    data: bytes
    times: int = 1


@dataclass(frozen=True, slots=True)
class Drip:
    """Some bytes one at a time, over and over, so many seconds apart."""

    data: bytes
    every: float


class End(Enum):
    """What becomes of the connection when all is sent."""

    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"  # stays open, and silent
    HALF_CLOSE = "half close"  # nothing more is sent, what comes is still read


@dataclass(frozen=True, slots=True)
class Script:
    """What the gateway does with one request.

    Attributes:
        acts: in order.
        end: what becomes of the connection then.
        read: bytes of the request that are read first; None for all of them.
    """

    acts: tuple[Send | Drip, ...] = ()
    end: End = End.CLOSE
    read: int | None = None


@dataclass
class RawGateway:
    """Plays scripts: the n-th paid call gets the n-th, then the last one again and again; downloads likewise.

    Attributes:
        paths: of every whole request, in order, with its method.
        accepted: connections.
    """

    calls: tuple[Script, ...]
    downloads: tuple[Script, ...] = ()
    receive_buffer: int = 0
    port: int = 0
    accepted: int = 0
    paths: list[str] = field(default_factory=list)
    _taken: int = 0
    _fetched: int = 0

    @property
    def base(self) -> str:
        """The base URL of a route that leads here."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def taken(self) -> int:
        """Paid calls that came, whole or not."""
        return self._taken

    @property
    def fetched(self) -> int:
        """Downloads that were asked for."""
        return self._fetched

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, which takes one request."""
        self.accepted += 1
        first = await reader.read(1)
        if not first:
            return
        if first == b"G":
            self._fetched += 1
            script = self.downloads[min(self._fetched, len(self.downloads)) - 1]
        else:
            self._taken += first == b"P"  # what begins otherwise is no HTTP, and no call
            script = self.calls[min(max(self._taken, 1), len(self.calls)) - 1]
        if script.read is None:
            await self._read(first, reader)
        elif script.read > 1:
            await reader.readexactly(script.read - 1)
        for act in script.acts:
            await self._act(act, writer)
        await _end(script.end, reader, writer)

    async def _read(self, first: bytes, reader: asyncio.StreamReader) -> None:
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in lines)}
        left = int(headers.get("content-length", 0))
        while left:
            data = await reader.read(min(left, 1 << 20))
            if not data:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(data)
        self.paths.append(" ".join(line.split()[:2]))

    async def _act(self, act: Send | Drip, writer: asyncio.StreamWriter) -> None:
        data = act.data.replace(b":" + PORT, b":%d" % self.port)
        if isinstance(act, Drip):
            while True:
                for at in range(len(data)):
                    writer.write(data[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(act.every)
        for _ in range(act.times):
            writer.write(data)
            await writer.drain()
        await asyncio.sleep(_TICK)


async def _end(end: End, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if end is End.RESET:
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    elif end is End.HALF_CLOSE:
        writer.write_eof()
    if end in {End.HANG, End.HALF_CLOSE}:
        while await reader.read(1 << 16):
            pass


def _listener(receive_buffer: int) -> socket.socket:
    """A bound socket; a small receive buffer makes a sender wait."""
    while True:
        made = socket.socket()
        if receive_buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        made.bind(("127.0.0.1", 0))
        if made.getsockname()[1] >= 10_000:
            return made
        made.close()


@contextlib.asynccontextmanager
async def listening(gateway: RawGateway) -> AsyncIterator[RawGateway]:
    """The gateway on a port of its own; leaves no connection open."""
    bound = _listener(gateway.receive_buffer)
    gateway.port = bound.getsockname()[1]
    async with connections(gateway.serve, sock=bound, limit=1 << 16):
        yield gateway
