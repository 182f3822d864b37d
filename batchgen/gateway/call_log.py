"""What a gateway says it charged: its log of calls, fetched by windows of time and pages. Reading it costs nothing.

The log-query pages of LaoZhang and APIYI (facts of 2026-11): `GET /api/log/self` below the server's root, the account's
access token as the whole `Authorization` header, ten rows a page whatever is asked, newest first, rows of type 2 are
calls, 500,000 quota units are a dollar, and a bad token is a 200 with `success: false`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from asyncio_throttle.throttler import Throttler

from batchgen.domain.clock import Clock
from batchgen.domain.deadline import Deadline
from batchgen.domain.errors import LogUnavailable, UsageError
from batchgen.domain.log_row import LogRow
from batchgen.domain.text import one_line, without
from batchgen.gateway.address import is_loopback
from batchgen.gateway.headers import retry_after
from batchgen.gateway.inflate import inflater_for
from batchgen.gateway.proxy import DIRECT, Proxies
from batchgen.gateway.transport import WIRE_ERRORS, SessionOwner, described, next_piece, wake_when_closed

MICROS_PER_UNIT = 2
_CALLS = 2  # the type of rows that are about calls; the others are about payments and the like
_PAGE = 10
# Rows in a window of time that is read page by page; a longer one is halved. Gateways count to the first row of a page,
# so that the last pages of a long log take them the longest, and what is new moves all of them on.
_MOST_OF_WINDOW = 1_000
_STALE = 20  # equal pages in a row, of a log that has no end
_UNTOLD = 1 << 60  # rows of a log that does not say how many it has
_LARGEST = 4 << 20  # bytes of one page
_WITHIN = 60.0  # seconds for one page
_PERIOD = 0.25  # seconds for one page at most, so that reading a night's log is no attack
_TRIES = 5
_LONGEST_PAUSE = 60.0
_FIRST = (None, "", 0, 1, "1")  # the newest row's id in a log whose ids only count the rows of an answer
_Identity = tuple[str, float, int, str]  # model, time, amount, what tells it from others of these


@dataclass(frozen=True, slots=True)
class _Window:
    """Whole seconds of which a log is asked, both inclusive."""

    first: int
    last: int

    @property
    def halves(self) -> tuple[_Window, _Window]:
        middle = (self.first + self.last) // 2
        return _Window(self.first, middle), _Window(middle + 1, self.last)


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of a window, and how many rows that has in all."""

    window: _Window
    items: list[Any]
    total: int


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What to ask a log for.

    Attributes:
        address: of the log, without a query.
        models: only rows of these.
        first: seconds since the epoch, like `last`; both inclusive.
    """

    address: str
    token: str
    models: tuple[str, ...]
    first: float
    last: float


def log_address(base_url: str, path: str) -> str:
    """Find where the log of a gateway is. A base URL ends in /v1; what is in front of that is the server's root.

    >>> log_address("https://api.example/v1", "/api/log/self")
    'https://api.example/api/log/self'
    """
    return base_url.rstrip("/").removesuffix("/v1") + path


class LogReader(SessionOwner):
    """Reads logs with a session of its own; nothing is sent along but the token, and no redirect is followed."""

    def __init__(self, clock: Clock, proxies: Proxies = DIRECT) -> None:
        super().__init__(proxies=proxies)
        self._clock = clock
        self._turns: Throttler | None = None  # None for a gateway on this machine

    async def rows(self, query: LogQuery, step: Callable[[], None] = lambda: None) -> list[LogRow]:
        """Read every charge that the query is about, each once.

        Args:
            query: what to ask.
            step: called for each row.

        Raises:
            UsageError: the token is not accepted, or the address is not https.
            LogUnavailable: the log cannot be had, or is not of the form we know.
        """
        near = is_loopback(urlsplit(query.address).hostname or "")
        if not near and not query.address.startswith("https://"):
            raise UsageError(f"{query.address} is not https, so no token is sent there; give an export with --log FILE")
        self._turns = None if near else Throttler(rate_limit=1, period=_PERIOD)
        found: dict[_Identity, LogRow] = {}
        for model in query.models:
            whole = _Window(int(query.first), int(query.last) + 1)
            async for page in self._windows(query, model, await self._page(query, model, whole, 1)):
                await self._read(query, model, page, found, step)
        return list(found.values())

    async def _windows(self, query: LogQuery, model: str, page: _Page) -> AsyncIterator[_Page]:
        """Yield the first page of every window that is short enough to be read page by page."""
        if not _MOST_OF_WINDOW < page.total < _UNTOLD or page.window.first >= page.window.last:
            yield page
            return
        earlier, later = [await self._page(query, model, half, 1) for half in page.window.halves]
        if earlier.total + later.total > page.total + _MOST_OF_WINDOW // 2:
            yield page  # it does not look at times
            return
        for half in (later, earlier):
            async for each in self._windows(query, model, half):
                yield each

    async def _read(
        self, query: LogQuery, model: str, page: _Page, found: dict[_Identity, LogRow], step: Callable[[], None]
    ) -> None:
        """Read a window page by page.

        Raises:
            LogUnavailable: also where the pages hold fewer rows than the log says that it has, or always the same.
        """
        seen, counted, number, stale = 0, False, 1, 0
        while True:
            for place, item in enumerate(page.items, (number - 1) * _PAGE + 1):
                row = _row(item, f"{model} {place}")
                if place == 1:
                    counted = item.get("id") in _FIRST
                if row is not None:
                    found[_identity(row, page.total + 1 - place if counted else item.get("id"))] = row
                step()
            seen += len(page.items)
            if not page.items or number * _PAGE >= page.total:
                break
            number, before = number + 1, page.items
            page = await self._page(query, model, page.window, number)
            stale = stale + 1 if page.items == before else 0
            if stale > _STALE:
                raise LogUnavailable(f"the log gives the same rows of {model} on every page; {_EXPORT}")
        if seen < page.total < _UNTOLD:
            short = f"the log says that it has {page.total:,} rows of {model} and gives {seen:,}"
            raise LogUnavailable(f"{short}; try again, or {_EXPORT}")

    async def _page(self, query: LogQuery, model: str, window: _Window, page: int) -> _Page:
        """Fetch the rows of one page, a moment after the one before."""
        if self._turns is not None:
            await self._turns.acquire()  # type: ignore[no-untyped-call]
        asked = {
            "p": page,
            "page_size": _PAGE,
            "type": _CALLS,
            "start_timestamp": window.first,
            "end_timestamp": window.last,
            "model_name": model,
        }
        body = await self._get(f"{query.address}?{urlencode(asked)}", query.token)
        try:
            document = self._clean(query.token, json.loads(body))
        except (ValueError, RecursionError):
            raise LogUnavailable(f"the log at {query.address} does not answer in JSON; {_EXPORT}") from None
        if not isinstance(document, dict):
            raise LogUnavailable(f"the log at {query.address} answers in a form that is not known; {_EXPORT}")
        if not document.get("success"):
            said = without(query.token, one_line(str(document.get("message", "")), 200))
            raise UsageError(
                f"the log at {query.address} refuses: {said or 'no reason given'}; its token is the account's access "
                "token, not a key of the calls"
            )
        data = document.get("data")
        items = data.get("items") if isinstance(data, dict) else data
        if items is None:
            items = []  # an empty slice, as Go writes it
        if not isinstance(items, list):
            raise LogUnavailable(f"the log at {query.address} holds no rows where they are known to be; {_EXPORT}")
        total = data.get("total") if isinstance(data, dict) else None
        return _Page(window, items, total if isinstance(total, int) else _UNTOLD)  # then until a page is empty

    async def _get(self, url: str, token: str) -> bytes:
        """Fetch one page, and try again while the gateway is only busy or cannot be reached."""
        trouble, wait = "", 0.0
        for number in range(_TRIES):
            if number:
                await self._clock.sleep(wait)
            wait = float(2**number)
            try:
                deadline = Deadline(_WITHIN)
                async with deadline.waiting():
                    response = await self._ask("GET", url, {"Authorization": token})
                try:
                    if response.status == 200:
                        return await _body(response, deadline)
                finally:
                    response.close()
            except WIRE_ERRORS as wrong:
                trouble = self._clean(token, one_line(described(wrong), 200))
                continue
            trouble = f"HTTP {response.status}"
            if response.status in {401, 403}:
                raise UsageError(f"the log refuses ({trouble}); its token is the account's access token, not a key")
            if response.status != 429 and response.status < 500:
                break
            wait = min(max(wait, retry_after(response.headers, self._clock.now()) or 0.0), _LONGEST_PAUSE)
        place = url.partition("?")[0]
        raise LogUnavailable(f"the log at {place} cannot be read ({trouble}); try again later, or {_EXPORT}")


_EXPORT = "give an export of it with --log FILE"


async def _body(response: aiohttp.ClientResponse, deadline: Deadline) -> bytes:
    """Read a whole body of bounded size. One that comes compressed all the same (both vendors do that) is inflated.

    Raises:
        LogUnavailable: it is too large.
        OSError: it is damaged, as `WIRE_ERRORS` knows it.
    """
    wake_when_closed(response)
    inflater = inflater_for(response.headers.get("content-encoding", ""))
    parts: list[bytes] = []
    size = 0
    while data := await next_piece(response.content, deadline, lambda: False):
        try:
            plain = list(inflater.feed(data)) if inflater is not None else [data]
        except zlib.error:
            raise OSError("the compressed page is damaged") from None
        parts += plain
        size += sum(map(len, plain))
        if size > _LARGEST:
            raise LogUnavailable(f"a page of the log is too large; {_EXPORT}")
    return b"".join(parts)


def _row(item: object, place: str) -> LogRow | None:
    """Read a row of the log, named by its id or its place; None for one that is not about a call.

    Raises:
        LogUnavailable: it is not of the form we know.
    """
    if not isinstance(item, dict):
        raise LogUnavailable(f"the log holds a row that is no object; {_EXPORT}")
    if item.get("type", _CALLS) != _CALLS:
        return None
    time, units, model = _count(item.get("created_at")), _count(item.get("quota")), item.get("model_name")
    if time is None or units is None or not isinstance(model, str):
        names = one_line(", ".join(map(str, item)), 200)
        raise LogUnavailable(f"a row of the log lacks created_at, quota or model_name; it has {names}; {_EXPORT}")
    return LogRow(
        name=one_line(str(item.get("id") or item.get("request_id") or place), 100),
        time=float(time),
        model=model,
        amount=units * MICROS_PER_UNIT,
        request_id=one_line(str(item.get("request_id") or ""), 200),
        token=one_line(str(item.get("token_name") or ""), 200),
    )


def _identity(row: LogRow, number: object) -> _Identity:
    """Name what a row has again when it comes again: rows move on to the next page while new ones come.

    An id may be no more than the row's place in one answer (new-api numbers what it found for each query): then the
    rows of two models share ids, and a row that moved on has another. What it keeps is its place from the oldest.
    Time and amount are part of it in any case, so that two charges for one request are two.
    """
    return row.model, row.time, row.amount, row.request_id or str(number or row.name)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None
