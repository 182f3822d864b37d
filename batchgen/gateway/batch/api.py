"""The Batch API of OpenAI: a file of calls is handed in, worked on within a day at half price, and fetched.

Every request here is free; only what the gateway then does with the file costs money. Shapes: OpenAI's SDK, 2026-11.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, closing
from math import inf
from pathlib import Path
from typing import Any

import aiohttp

from batchgen.domain.batch_files import RemoteBatch
from batchgen.domain.clock import Clock
from batchgen.domain.deadline import Deadline
from batchgen.domain.errors import GatewayError
from batchgen.domain.text import one_line, without
from batchgen.domain.wire import Answer, FilePiece
from batchgen.gateway.batch.lines import BatchLines
from batchgen.gateway.endpoints.reply_fields import error_of
from batchgen.gateway.inflate import inflater_for
from batchgen.gateway.proxy import DIRECT, Proxies
from batchgen.gateway.scan import Sink
from batchgen.gateway.sending import InputUnusable, RequestBody
from batchgen.gateway.transport import WIRE_ERRORS, SessionOwner, described, next_piece, obstacle, wake_when_closed

OURS = "batchgen"  # the name in a batch's metadata under which our own id of it stands
_PAGE = 100
_PAGES = 20
_EARLIER = 3600.0  # seconds: a batch is not older than its row, but clocks differ
_LONGEST_REPLY = 4 << 20
_QUESTION = 60.0  # seconds for a short answer
_TRANSFER = 3600.0  # seconds for handing a file in
_SILENCE = 60.0  # seconds without a byte of a file that is fetched; it may take as long as it likes
_BOUNDARY = "batchgen-6f1c0a52e84d4c0b9a37"


class BatchApi(SessionOwner):
    """The batches of one key. Every method raises `GatewayError`, which says whether asking again may help."""

    def __init__(
        self,
        *,
        base_url: str,
        key: Callable[[], str],
        clock: Clock,
        loopback: bool,
        proxies: Proxies = DIRECT,
        secrets: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        super().__init__(proxies=proxies, secrets=secrets)
        self._base_url = base_url
        self._key = key
        self._clock = clock
        self._loopback = loopback

    async def upload(self, file: Path, size: int) -> str:
        """Hand a file of calls over; gives its id."""
        head = "".join(
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}'
            for name, more, value in (
                ("purpose", "", "batch\r\n"),
                ("file", f'; filename="{file.name}"\r\nContent-Type: application/jsonl', ""),
            )
        )
        body = (head.encode(), FilePiece(str(file), size, ""), f"\r\n--{_BOUNDARY}--\r\n".encode())
        return str((await self._post("/files", body, f"multipart/form-data; boundary={_BOUNDARY}", _TRANSFER))["id"])

    async def create(self, file: str, endpoint: str, token: str) -> RemoteBatch:
        """Have an uploaded file worked on: from here on it costs money. `token` makes it known again."""
        wanted = {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h", "metadata": {OURS: token}}
        body = (json.dumps(wanted).encode(),)
        return self._batch(await self._post("/batches", body, "application/json", _QUESTION))

    async def get(self, remote: str) -> RemoteBatch:
        """Ask for a batch as it stands."""
        return self._batch(await self._get(f"/batches/{remote}"))

    async def find(self, token: str, since: float) -> RemoteBatch | None:
        """Find the batch with our token, if it was ever handed in; `since` is when its row was written."""
        after = ""
        for _ in range(_PAGES):
            page = await self._get(f"/batches?limit={_PAGE}" + (f"&after={after}" if after else ""))
            found = [each for each in page.get("data") or () if isinstance(each, dict)]
            for each in found:
                metadata = each.get("metadata")
                if isinstance(metadata, dict) and metadata.get(OURS) == token:
                    return self._batch(each)
            oldest = found[-1].get("created_at") if found else None
            if not page.get("has_more") or (isinstance(oldest, int | float) and oldest < since - _EARLIER):
                return None
            after = str(found[-1].get("id")) if found else ""
        raise GatewayError("the gateway lists more batches than can be looked through; it cannot be told what is there")

    async def content(self, file: str) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of a file, as they come."""
        deadline = Deadline(inf, silence=_SILENCE)
        async with self._request("GET", f"/files/{file}/content", deadline) as response:
            try:
                async for data in _plain(response, deadline):
                    yield data
            except WIRE_ERRORS as wrong:
                said = self._clean(self._key(), described(wrong))
                raise GatewayError(f"the batch's answers broke off: {said}", passing=True) from None

    def lines(self, sink: Callable[[str, int], Sink | None]) -> BatchLines:
        """Make the reader of a file of answers, which looks for every key in their pictures."""
        return BatchLines(sink, *self._secrets(self._key()))

    def clean(self, answer: Answer) -> Answer:
        """Return an answer without the key, should the gateway have echoed it."""
        return self._clean(self._key(), answer)

    def _batch(self, found: dict[str, Any]) -> RemoteBatch:
        return self._clean(self._key(), _batch(found))

    async def _get(self, path: str) -> dict[str, Any]:
        deadline = Deadline(_QUESTION)
        async with self._request("GET", path, deadline) as response:
            return await _document(response, deadline)

    async def _post(
        self, path: str, body: tuple[bytes | FilePiece, ...], content_type: str, seconds: float
    ) -> dict[str, Any]:
        deadline = Deadline(seconds)
        sent = RequestBody(body, content_type, self._clock, deadline)
        async with self._request("POST", path, deadline, sent) as response:
            return await _document(response, deadline)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, deadline: Deadline, body: RequestBody | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield a response with a good status; its body is read under the same deadline."""
        secret = self._key()
        if not self._loopback and not self._base_url.startswith("https://"):
            raise GatewayError("the address is not https, so no key is sent there; set base_url to an https address")
        try:
            async with deadline.waiting():
                headers = {"Authorization": f"Bearer {secret}"}
                response = await self._ask(method, self._base_url + path, headers, data=body)
            with closing(response):
                wake_when_closed(response)
                if response.status >= 300:
                    text = self._clean(secret, await _text(response, deadline))
                    raise _refused(response.status, text, path, secret)
                yield response
        except InputUnusable as wrong:
            raise GatewayError(f"the file of calls cannot be sent: {wrong}") from wrong
        except WIRE_ERRORS as wrong:
            said = f"{method} {path.partition('?')[0]}: {self._clean(secret, described(wrong))}"
            barred = None if self._reached else obstacle(wrong)
            if barred is not None:
                raise GatewayError(f"{barred.advice} ({said})") from None
            raise GatewayError(said, passing=True) from None


def _refused(status: int, text: str, path: str, secret: str) -> GatewayError:
    """Say what a bad status means: whether to ask again, and what the gateway says of it."""
    try:
        document = json.loads(text)
        error = error_of(document, has_image=False)[0] if isinstance(document, dict) else None
    except (ValueError, RecursionError):
        error = None
    said = error.message if error is not None and error.message else one_line(without(secret, text), 200)
    passing = status in {408, 409, 425, 429} or status >= 500
    if error is not None and error.code in {"insufficient_quota", "billing_hard_limit_reached"}:
        passing = False
    place = path.partition("?")[0]
    return GatewayError(f"{place}: HTTP {status} · {without(secret, said)}", passing=passing, status=status)


async def _plain(response: aiohttp.ClientResponse, deadline: Deadline) -> AsyncIterator[bytes]:
    """Yield the body, inflated where it comes compressed although it was asked for plain.

    Raises:
        GatewayError: it cannot be inflated, or ends too early.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    inflater = inflater_for(encoding)
    if inflater is None and encoding not in {"", "identity"}:
        raise GatewayError(f"the gateway's answer about a batch comes compressed as {one_line(encoding, 20)}")
    try:
        while data := await next_piece(response.content, deadline, lambda: False):
            for piece in inflater.feed(data) if inflater is not None else (data,):
                yield piece
    except zlib.error as wrong:
        raise GatewayError("the gateway's compressed answer about a batch is damaged", passing=True) from wrong
    if inflater is not None and not inflater.whole:
        raise GatewayError("the gateway's compressed answer about a batch broke off", passing=True)


async def _text(response: aiohttp.ClientResponse, deadline: Deadline) -> str:
    data = bytearray()
    async for piece in _plain(response, deadline):
        data += piece
        if len(data) > _LONGEST_REPLY:
            break
    return data.decode("utf-8", "replace")


async def _document(response: aiohttp.ClientResponse, deadline: Deadline) -> dict[str, Any]:
    data = bytearray()
    async for piece in _plain(response, deadline):
        data += piece
        if len(data) > _LONGEST_REPLY:
            raise GatewayError("the gateway's answer about a batch never ended", passing=True)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or (not isinstance(found.get("id"), str) and "data" not in found):
        raise GatewayError("the gateway's answer about a batch is not one", passing=True)
    return found


def _batch(found: dict[str, Any]) -> RemoteBatch:
    counts = found.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    errors = (found.get("errors") or {}).get("data") if isinstance(found.get("errors"), dict) else None
    said = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    detail = "; ".join(one_line(f"line {each.get('line')}: {each.get('message')}", 200) for each in said[:3])

    def count(name: str) -> int:
        value = counts.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    return RemoteBatch(
        id=one_line(str(found.get("id")), 200),
        status=one_line(str(found.get("status")), 200),
        output_file=one_line(str(found.get("output_file_id") or ""), 200),
        error_file=one_line(str(found.get("error_file_id") or ""), 200),
        completed=count("completed"),
        failed=count("failed"),
        total=count("total"),
        detail=detail,
        code=one_line(str(said[0].get("code") or ""), 60) if said else "",
    )
