"""What paid calls and downloads share: the socket, the errors a connection can raise, and reading under a deadline."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self, TypeVar, cast

import aiohttp
from yarl import URL

from batchgen.domain.deadline import Deadline
from batchgen.domain.text import cleaned, one_line
from batchgen.domain.wire import Obstacle
from batchgen.gateway.connector import AddrInfo, OwnConnections, ProxyFailed, SpokeFirst
from batchgen.gateway.proxy import DIRECT, Proxies, ProxyUnusable

_Value = TypeVar("_Value")

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
        proxies: the ways out.
        secrets: gives the keys of the route, which are looked for in what comes.
    """

    def __init__(
        self, accept: str = "application/json", proxies: Proxies = DIRECT, secrets: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._proxies = proxies
        self._keys = secrets
        self._headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": "batchgen"}
        self._sessions: dict[Hop, aiohttp.ClientSession] = {}

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

    async def _ask(
        self,
        method: str,
        url: str | URL,
        headers: Mapping[str, str] | None = None,
        *,
        data: aiohttp.Payload | None = None,
        loopback: bool = False,
    ) -> aiohttp.ClientResponse:
        """Send one request, through the proxy that is named for its address, and return the head of its answer.

        Raises:
            aiohttp.ClientError: there is none, like each of `WIRE_ERRORS`.
        """
        target = URL(url)
        proxy = self._proxies.to(target)
        hop = Hop.PROXY if proxy is not None else Hop.HERE if loopback else Hop.OUT
        way: dict[str, Any] = {"headers": headers} if proxy is None else proxy.options(target, headers or {})
        return await self._session(hop).request(method, url, data=data, allow_redirects=False, **way)

    def _secrets(self, secret: str = "") -> tuple[str, ...]:
        """Return all that must not come back: the key of a request, the others of its route, passwords of proxies."""
        return tuple(dict.fromkeys((secret, *self._keys(), *self._proxies.secrets)))

    def _clean(self, secret: str, value: _Value) -> _Value:
        """Return a value without what must not come back with it, should somebody have echoed that."""
        for each in self._secrets(secret):
            value = cleaned(each, value)
        return value

    @property
    def _reached(self) -> bool:
        """Whether a connection stood before, so that what fails now passes."""
        connectors = (session.connector for session in self._sessions.values())
        return any(isinstance(each, OwnConnections) and each.reached for each in connectors)

    def _session(self, hop: Hop) -> aiohttp.ClientSession:
        if hop not in self._sessions:
            self._sessions[hop] = _open_session(self._connector(hop), self._headers)
        return self._sessions[hop]

    def _connector(self, hop: Hop) -> OwnConnections:  # noqa: ARG002 - of those who check where they go
        return OwnConnections(open_socket)


class Hop(Enum):
    """Where a connection itself goes to."""

    OUT = auto()
    HERE = auto()  # a gateway on this machine
    PROXY = auto()  # wherever that is; it goes on from there


def _open_session(connector: aiohttp.TCPConnector, headers: dict[str, str]) -> aiohttp.ClientSession:
    """Open a session without cookies, environment or hidden limits; deadlines and proxies are its users'."""
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
    (aiohttp.ClientHttpProxyError, "it refuses the way: {reason}"),
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
    if isinstance(wrong, ProxyUnusable):
        return str(wrong)
    if isinstance(wrong, ProxyFailed):
        return f"the proxy does not let the call through: {described(wrong.__cause__ or wrong)}"
    for kind, sentence in _SENTENCES:
        if isinstance(wrong, kind):
            return sentence.replace("{reason}", _reason(wrong))
    return f"the connection failed ({type(wrong).__name__})"


def obstacle(wrong: BaseException) -> Obstacle | None:
    """Say what stood in the way of a connection, where it will do so until somebody acts; None for anything else."""
    if isinstance(wrong, ProxyUnusable | ProxyFailed):
        return Obstacle.PROXY
    if isinstance(wrong, aiohttp.ClientConnectorDNSError):
        return Obstacle.NAME
    if isinstance(wrong, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return Obstacle.CERTIFICATE
    return None


def _reason(wrong: BaseException) -> str:
    if isinstance(wrong, aiohttp.ClientHttpProxyError):
        return one_line(f"HTTP {wrong.status} {wrong.message}", 200)
    if isinstance(wrong, aiohttp.ClientResponseError):
        return one_line(wrong.message, 200)
    cause = getattr(wrong, "os_error", None) or getattr(wrong, "certificate_error", None) or wrong
    number = getattr(cause, "errno", None)
    if isinstance(number, int) and number in errno.errorcode and not isinstance(cause, ssl.SSLError):
        return os.strerror(number)  # asyncio's own words repeat the address
    words = getattr(cause, "strerror", None) or getattr(cause, "reason", None) or type(cause).__name__
    return one_line(str(words), 200)
