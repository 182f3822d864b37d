"""Fetches images that came as addresses. The address comes from outside, so where it may lead is checked each time.

A fetch is one try. It costs nothing, so the engine tries again as often as it likes; what it never does is buy again.
"""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable, Iterable, Iterator

import aiohttp
from yarl import URL

from batchgen.domain.deadline import Deadline
from batchgen.domain.images_from import NOTHING_MORE, USUAL_PORTS, ImagesFrom, entry_for
from batchgen.domain.wire import Download, Fetch, Picture
from batchgen.gateway.address import AddressRefused, CheckedResolver, check, check_unresolved, is_loopback
from batchgen.gateway.connector import AddrInfo, OwnConnections
from batchgen.gateway.image_address import as_given
from batchgen.gateway.inflate import Inflater, inflater_for
from batchgen.gateway.proxy import DIRECT, Proxies
from batchgen.gateway.scan import MAX_PICTURE, Sink
from batchgen.gateway.transport import (
    WIRE_ERRORS,
    Hop,
    SessionOwner,
    described,
    next_piece,
    open_socket,
    wake_when_closed,
)
from batchgen.gateway.watch import KeyWatch

_MOST_REDIRECTS = 3
_LONGEST_URL = 8192
_PASSING = frozenset({408, 421, 425, 429})  # of the 4xx; the others, 403, 404 and 410 above all, stay as they are
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Downloader(SessionOwner):
    """Downloads without key or cookies, from public addresses over https.

    Through a proxy it is the proxy that looks names up: then only what an address says of itself can be checked.

    Args:
        images_from: what else may be gone to.
        proxies: the ways out.
        secrets: gives the keys of the route. They are not sent but looked for: a picture that holds one is damaged.
        total: seconds for one fetch.
        idle: seconds without a byte after which a fetch is given up.
    """

    def __init__(
        self,
        images_from: ImagesFrom = NOTHING_MORE,
        proxies: Proxies = DIRECT,
        *,
        secrets: Callable[[], Iterable[str]] = tuple,
        total: float = 300.0,
        idle: float = 60.0,
    ) -> None:
        super().__init__("image/*", proxies, secrets)
        self._images_from = images_from
        self._total = total
        self._idle = idle

    async def fetch(self, url: str, sink: Sink, *, loopback_base: str = "") -> Download:
        """Stream one image into a sink.

        Args:
            url: as the gateway gave it.
            sink: a fresh one for each fetch; after anything but `DONE` what it holds is worthless.
            loopback_base: the base URL of the route if that is loopback: its host and port, and no others on this
                machine, may then be fetched from, also over plain http.

        Raises:
            Exception: only what the sink raises, and cancellation.
        """
        deadline = Deadline(self._total, silence=self._idle)
        try:
            target = _parsed(url)
            for _ in range(_MOST_REDIRECTS + 1):
                response = await self._get(target, loopback_base, deadline)
                try:
                    if response.status not in _REDIRECTS:
                        return await self._receive(response, sink, deadline, KeyWatch(*self._secrets()))
                    target = target.join(_parsed(response.headers.get("location", "")))
                finally:
                    response.close()
        except _Over as over:
            return self._clean("", over.download)
        return Download(Fetch.UNUSABLE, detail=f"more than {_MOST_REDIRECTS} redirects")

    async def _get(self, target: URL, loopback_base: str, deadline: Deadline) -> aiohttp.ClientResponse:
        """Ask for the file, and return the response head.

        Raises:
            _Over: there is none.
        """
        try:
            here = _allowed(target, loopback_base, self._images_from)
            if not here and self._proxies.to(target) is not None:
                check_unresolved(target.raw_host or "", target.port or 0, self._images_from)
            async with deadline.waiting():
                return await self._ask("GET", target, loopback=here)
        except WIRE_ERRORS as wrong:
            raise _Over(_failed(wrong)) from None

    async def _receive(
        self, response: aiohttp.ClientResponse, sink: Sink, deadline: Deadline, watch: KeyWatch
    ) -> Download:
        if response.status != 200:
            gone = 400 <= response.status < 500 and response.status not in _PASSING
            return Download(Fetch.GONE if gone else Fetch.AGAIN, detail=f"status {response.status}")
        size = 0
        wake_when_closed(response)
        inflater = inflater_for(response.headers.get("content-encoding", ""))
        while data := await self._next(response.content, deadline):
            for plain in _plain(inflater, data):
                size += len(plain)
                if size > MAX_PICTURE:
                    return Download(Fetch.UNUSABLE, detail=f"the file is larger than {MAX_PICTURE >> 20} MiB")
                watch.take(plain)
                await sink.write(plain)
        if not size:
            return Download(Fetch.AGAIN, detail="the file came empty")
        return Download(Fetch.DONE, Picture(sink.name, size, watch.damage))

    async def _next(self, content: aiohttp.StreamReader, deadline: Deadline) -> bytes:
        try:
            return await next_piece(content, deadline, lambda: False)
        except WIRE_ERRORS as wrong:
            raise _Over(_failed(wrong)) from None

    def _connector(self, hop: Hop) -> OwnConnections:
        if hop is Hop.PROXY:
            return super()._connector(hop)
        loopback = hop is Hop.HERE

        def checked_socket(addr_info: AddrInfo) -> socket.socket:
            """Check for the last time, on the very address that is connected to."""
            address = addr_info[4]
            check(str(address[0]), int(address[1]), loopback=loopback, images_from=self._images_from)
            return open_socket(addr_info)

        return OwnConnections(checked_socket, CheckedResolver(loopback=loopback, images_from=self._images_from))


class _Over(Exception):
    """Ends a fetch from within; never leaves this file."""

    def __init__(self, download: Download) -> None:
        self.download = download
        super().__init__(download.detail)


def _plain(inflater: Inflater | None, data: bytes) -> Iterator[bytes]:
    """Yield the data as it was before the server compressed it.

    Raises:
        _Over: the compression is damaged.
    """
    if inflater is None:
        yield data
        return
    try:
        yield from inflater.feed(data)
    except zlib.error:
        raise _Over(Download(Fetch.AGAIN, detail="the compressed file is damaged")) from None


def _parsed(url: str) -> URL:
    """Read an address as it was written; a signed one must not be quoted anew.

    Raises:
        _Over: it is none.
    """
    if len(url) > _LONGEST_URL or not url.isprintable():
        raise _Over(Download(Fetch.REFUSED, detail="the address is too long or holds control characters"))
    try:
        return as_given(url)
    except ValueError:
        raise _Over(Download(Fetch.REFUSED, detail="the address is not a URL")) from None


def _allowed(target: URL, loopback_base: str, images_from: ImagesFrom) -> bool:
    """Tell whether the target is the loopback gateway itself; else it is to be checked again at connecting.

    Raises:
        AddressRefused: it is neither.
    """
    host = target.host or ""
    if target.user is not None or target.password is not None or not host:
        raise AddressRefused("the address has no host, or a user in it")
    base = URL(loopback_base) if loopback_base else None
    if base is not None and is_loopback(base.host or "") and (host, target.port) == (base.host, base.port):
        return True
    # A name is shown as it goes out, in ASCII: it comes from outside, and may look like another.
    scheme, name = target.scheme, (target.raw_host or "").rstrip(".")[:253]
    if images_from.allows(scheme, name, target.port):
        return False
    if scheme == "http":
        raise AddressRefused(f"the address is not https but plain http ({name})", entry_for(scheme, name, target.port))
    if scheme != "https":
        raise AddressRefused("the address is not https")
    if target.port not in USUAL_PORTS:
        why = f"port {target.port} of {name} is not one that images come from"
        raise AddressRefused(why, entry_for(scheme, name, target.port))
    return False


def _failed(wrong: BaseException) -> Download:
    """Say what a wire error means for a fetch."""
    refused = wrong if isinstance(wrong, AddressRefused) else getattr(wrong, "os_error", None)
    if isinstance(refused, AddressRefused):
        return Download(Fetch.REFUSED, detail=str(refused), allow=refused.allow)
    if isinstance(wrong, ValueError) and not isinstance(wrong, OSError):
        return Download(Fetch.REFUSED, detail="the address is not a URL")
    if isinstance(wrong, TimeoutError):
        return Download(Fetch.AGAIN, detail="the download stood still or took too long")
    return Download(Fetch.AGAIN, detail=described(wrong))
