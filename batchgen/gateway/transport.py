"""What paid calls and downloads share: the socket, the errors a connection can raise, and reading under a deadline."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

import aiohttp

from batchgen.domain.deadline import Deadline
from batchgen.domain.text import one_line
from batchgen.gateway.connector import AddrInfo, OwnConnections, SpokeFirst

PIECE = 1 << 16
IDLE_BEFORE_PROBE = 30  # seconds; a call is silent for minutes, and routers forget quiet connections
_LONGEST_HEADER = 1 << 16  # a paid answer must not be lost for a proxy's long headers
_MOST_HEADERS = 512

# All that aiohttp raises for what the other side or the network does. Its assertions about a connection that went
# away in the meantime are among it, and a deadline's TimeoutError is an OSError.
WIRE_ERRORS = (aiohttp.ClientError, aiohttp.EofStream, OSError, EOFError, ValueError, RuntimeError, AssertionError)


def open_socket(addr_info: AddrInfo) -> socket.socket:
    """Open a TCP socket that probes a silent connection.

    Raises:
        OSError: no socket to be had.
    """
    family, kind, protocol, _, _ = addr_info
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    idle = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None))  # Linux; macOS
    if idle is not None:
        made.setsockopt(socket.IPPROTO_TCP, idle, IDLE_BEFORE_PROBE)
    return made


class SessionOwner:
    """Has HTTP sessions: each is opened when it is first needed, all are closed together, and it may go on afterwards.

    Args:
        accept: what answers are asked to be.
    """

    def __init__(self, accept: str = "application/json") -> None:
        self._headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": "batchgen"}
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    def _session(self, *, loopback: bool = False) -> aiohttp.ClientSession:
        """Return the session for this machine or for all others, where these are kept apart."""
        if loopback not in self._sessions:
            self._sessions[loopback] = _open_session(self._connector(loopback=loopback), self._headers)
        return self._sessions[loopback]

    def _connector(self, *, loopback: bool) -> aiohttp.TCPConnector:  # noqa: ARG002 - of those who keep them apart
        return OwnConnections(open_socket)


def _open_session(connector: aiohttp.TCPConnector, headers: dict[str, str]) -> aiohttp.ClientSession:
    """Open a session without cookies, proxies, environment or hidden limits; deadlines are its users'."""
    return aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
        trust_env=False,
        auto_decompress=False,
        read_bufsize=PIECE,
        max_line_size=_LONGEST_HEADER,
        max_field_size=_LONGEST_HEADER,
        max_headers=_MOST_HEADERS,
    )


def wake_when_closed(response: aiohttp.ClientResponse) -> None:
    """Make a closed connection end the wait for a body in every case.

    After a broken frame within a body aiohttp closes the connection but leaves the reader waiting for good.
    """
    connection = response.connection
    protocol = connection.protocol if connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if closed is None:
        return
    content = response.content

    def wake(future: asyncio.Future[None]) -> None:
        if not future.cancelled():
            future.exception()  # looked at, so that asyncio does not complain
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed"))

    closed.add_done_callback(wake)


async def next_piece(
    content: aiohttp.StreamReader,
    deadline: Deadline,
    enough: Callable[[], bool],
    lull: Callable[[], Deadline | None] = lambda: None,
) -> bytes:
    """Read the next bytes of a body, empty at its end.

    Args:
        content: the body.
        deadline: only waiting is under it, not what is there already.
        enough: asked before waiting; when true, no more is waited for.
        lull: asked then; a deadline of its own for this wait.

    Raises:
        TimeoutError: the deadline passed.
        aiohttp.ClientError: the connection broke, like each of `WIRE_ERRORS`.
    """
    data = content.read_nowait(PIECE)
    if data or content.at_eof() or enough():
        return data
    try:
        async with (lull() or deadline).waiting():
            return await content.read(PIECE)
    except TimeoutError:
        if late := left_over(content):  # came in the very turn in which the time was over
            return late
        raise


def left_over(content: aiohttp.StreamReader) -> bytes:
    """Return bytes that came before the connection broke: aiohttp hides them behind the error, but they may do."""
    content.set_exception(cast("BaseException", None))
    return content.read_nowait(PIECE)


SPOKE_FIRST = "the other side spoke before it was asked, so its words are no answer and nothing was sent"
_SENTENCES: tuple[tuple[type[BaseException], str], ...] = (  # the first that fits
    (aiohttp.ClientConnectorDNSError, "the host's name could not be resolved"),
    (aiohttp.ClientConnectorCertificateError, "no secure connection: {reason}"),
    (aiohttp.ClientConnectorSSLError, "no secure connection: {reason}"),
    (aiohttp.ClientConnectorError, "no connection: {reason}"),
    (aiohttp.ServerDisconnectedError, "the connection was closed before an answer came"),
    (aiohttp.ClientResponseError, "what came back is not HTTP: {reason}"),
    (aiohttp.ClientPayloadError, "the connection was closed within the answer"),
    (SpokeFirst, SPOKE_FIRST),
    (aiohttp.InvalidURL, "the address is not a URL"),
    (TimeoutError, "nothing came in time"),
    (OSError, "the connection broke: {reason}"),
)


def described(wrong: BaseException) -> str:
    """Say in one sentence what a wire error is. Never its `repr`, which shows request headers."""
    for kind, sentence in _SENTENCES:
        if isinstance(wrong, kind):
            return sentence.replace("{reason}", _reason(wrong))
    return f"the connection failed ({type(wrong).__name__})"


def _reason(wrong: BaseException) -> str:
    if isinstance(wrong, aiohttp.ClientResponseError):
        return one_line(wrong.message, 200)
    cause = getattr(wrong, "os_error", None) or getattr(wrong, "certificate_error", None) or wrong
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and number in errno.errorcode and not isinstance(cause, ssl.SSLError):
        return os.strerror(number)  # asyncio's own words repeat the address
    words = getattr(cause, "strerror", None) or getattr(cause, "reason", None) or type(cause).__name__
    return one_line(str(words), 200)
