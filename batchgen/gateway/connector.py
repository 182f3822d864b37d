"""One connection for each question, and nothing on it that was said before the question.

Nothing in HTTP says which request an answer belongs to but its place on the connection. So no connection is used twice,
and what comes before the first byte of a request leaves is nobody's answer: aiohttp would take it for ours. That holds
behind a proxy as well; what the proxy itself says when it is asked for the way is no answer, either.
"""

from __future__ import annotations

import asyncio
from asyncio import BaseTransport, Transport
from collections.abc import Callable
from functools import partial
from socket import socket
from typing import Any

import aiohttp
from aiohttp import StreamReader
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_parser import RawResponseMessage
from aiohttp.tracing import Trace

_DNS_CACHE = 300  # seconds
# How long we listen on a new connection before we speak: behind TLS, where a handshake lies before, a few turns of the
# loop; in the clear so many seconds, for a server on this machine needs a moment to accept, and to say what it was not
# asked.
_TURNS = 5
_LISTEN = 0.01
# Answers such as "102 Processing" that may come before the real one. Servers send one in some seconds; what sends them
# without end keeps the loop busy with reading them, and every other call waits.
_MOST_INTERIM = 1_000

AddrInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class SpokeFirst(aiohttp.ClientConnectionError):
    """Something was said on a connection before it was asked anything. Stays inside this package."""


class ProxyFailed(aiohttp.ClientConnectionError):
    """The proxy cannot be reached, or lets nothing through; `__cause__` says more. Stays inside this package."""


class UnaskedGuard(ResponseHandler):
    """The protocol of one connection; it is closed by what comes before `asked`, and by interim answers without end.

    Attributes:
        asked: set when the first byte of the request is about to leave.
        spoke_first: whether something came before.
    """

    asked = False
    spoke_first = False
    _interim = 0

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self.asked:
            super().data_received(data)
            return
        self.spoke_first = True
        self.abort()

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Take the head of an answer."""
        if 100 <= data[0].code < 200:
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                self.abort()
                return
        super().feed_data(data, size)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tell whoever waits."""
        super().connection_lost(SpokeFirst() if self.spoke_first else exc)


class OwnConnections(aiohttp.TCPConnector):
    """Gives each request a connection of its own; how many there are at once is its users' affair.

    Attributes:
        reached: whether there ever was one, so that names, certificates and proxies on the way are right.
    """

    reached = False

    def __init__(self, open_socket: Callable[[AddrInfo], socket], resolver: AbstractResolver | None = None) -> None:
        """Make connections by sockets of the user's own; those with a resolver of their own look names up each time."""
        super().__init__(
            limit=0,
            ttl_dns_cache=_DNS_CACHE,
            use_dns_cache=resolver is None,
            resolver=resolver,
            socket_factory=open_socket,
            force_close=True,
        )
        self._factory = partial(_line, loop=self._loop)

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's
        """Open a new connection, on which nothing has been said.

        Raises:
            SpokeFirst: the other side did.
            aiohttp.ClientError: there is none.
        """
        connection = await super().connect(req, traces, timeout)
        if isinstance(connection.protocol, UnaskedGuard):
            connection.protocol.asked = False  # only the proxy was, for the way
        try:
            line = await _silent(connection.protocol, in_the_clear=req.url.scheme == "http")
        except BaseException:
            connection.close()
            raise
        line.asked = not isinstance(req.body, aiohttp.Payload)  # a body says so itself, at its first byte
        self.reached = True
        return connection

    async def _create_proxy_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> tuple[BaseTransport, ResponseHandler]:
        """Open the way through a proxy, up to the handshake with the target where that is behind TLS.

        Raises:
            ProxyFailed: there is none.
            aiohttp.ClientConnectorError: the target itself was not what it should be.
        """
        try:
            return await super()._create_proxy_connection(req, traces, timeout)
        except (ProxyFailed, aiohttp.ClientConnectorError):
            raise
        except aiohttp.ClientError as wrong:
            raise ProxyFailed from wrong

    async def _create_direct_connection(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
        *,
        client_error: type[Exception] = aiohttp.ClientConnectorError,
    ) -> tuple[Transport, ResponseHandler]:
        if client_error is not aiohttp.ClientProxyConnectionError:
            return await super()._create_direct_connection(req, traces, timeout, client_error=client_error)
        try:
            transport, line = await super()._create_direct_connection(req, traces, timeout, client_error=client_error)
        except aiohttp.ClientError as wrong:
            raise ProxyFailed from wrong
        if isinstance(line, UnaskedGuard):
            line.asked = True  # next it is asked for the way, and answers
        return transport, line


def _line(loop: asyncio.AbstractEventLoop) -> ResponseHandler:
    return UnaskedGuard(loop)


async def _silent(line: ResponseHandler | None, *, in_the_clear: bool) -> UnaskedGuard:
    """Listen on a new connection, and return its guard when nothing was said."""
    for pause in (_LISTEN,) if in_the_clear else (0.0,) * _TURNS:
        await asyncio.sleep(pause)
    if not isinstance(line, UnaskedGuard) or line.spoke_first:
        raise SpokeFirst
    return line
