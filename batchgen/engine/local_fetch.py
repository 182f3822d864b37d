"""Fetches references that are addresses, by the same rules as paid images, before anything is bought with them."""

from __future__ import annotations

from collections.abc import Callable

from batchgen.domain.clock import Clock
from batchgen.domain.images_from import ImagesFrom
from batchgen.domain.wire import Fetch
from batchgen.gateway.download import Downloader
from batchgen.gateway.proxy import Proxies
from batchgen.store.checks.stream import BadImage

_TOTAL, _IDLE = 120.0, 30.0  # seconds for one try, and without a byte
_WAITS = (1.0, 4.0)  # seconds before another try


class _Bytes:
    """Keeps what one try brings; the downloader bounds how much that is."""

    name = "reference"

    def __init__(self) -> None:
        self.data = bytearray()

    @property
    def size(self) -> int:
        return len(self.data)

    async def write(self, data: bytes | memoryview) -> None:
        self.data += data


class InputFetcher:
    """Fetches what lies behind an address, without key or cookies."""

    def __init__(
        self, images_from: ImagesFrom, clock: Clock, proxies: Callable[[], Proxies] = Proxies.of_environment
    ) -> None:
        self._images_from = images_from
        self._clock = clock
        self._proxies = proxies

    async def __call__(self, url: str) -> bytes:
        """Return the bytes behind an address; a passing fault is tried again.

        Raises:
            BadImage: they cannot be had; its reason follows the address.
            UsageError: what the proxy needs is not set.
        """
        async with Downloader(self._images_from, self._proxies(), total=_TOTAL, idle=_IDLE) as downloader:
            for wait in (*_WAITS, None):
                kept = _Bytes()
                done = await downloader.fetch(url, kept)
                if done.fetch is Fetch.DONE:
                    return bytes(kept.data)
                if done.fetch is not Fetch.AGAIN or wait is None:
                    break
                await self._clock.sleep(wait)
        if done.allow:
            raise BadImage(f'is not fetched: {done.detail}; allow it if that is right: images_from: ["{done.allow}"]')
        raise BadImage(f"cannot be fetched: {done.detail}")
