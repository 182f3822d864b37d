"""One request and its response on one connection, and how far they got by the bytes that were seen.

aiohttp reports a protocol violation as a response with status 400, and an unframed body that was cut as a whole
one. So nothing here is judged by an exception's status: only by whether the request was written, whether a
response head was parsed, and whether the JSON document in the body is whole.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp

from batchgen.domain.clock import Clock
from batchgen.domain.deadline import Deadline
from batchgen.domain.wire import Call, CallEnd, Picture
from batchgen.gateway.echo import SentRequest, sent_by
from batchgen.gateway.endpoints import codec_for
from batchgen.gateway.inflate import Inflater, inflater_for
from batchgen.gateway.json_body import Shape, parse
from batchgen.gateway.scan import Scanner, Sink, SinkFactory
from batchgen.gateway.sending import RequestBody
from batchgen.gateway.transport import WIRE_ERRORS, described, left_over, next_piece, wake_when_closed
from batchgen.gateway.watch import KeyWatch

if TYPE_CHECKING:
    from hashlib import _Hash

_PARSE_BUDGET = 8 << 20  # bytes spent on trying whether a body that has not ended is whole


class Exchange:
    """What happens to one call on the wire.

    Attributes:
        response: the response head, None until one was parsed.
        trouble: one sentence about what went wrong, "" for nothing.
        text: the body without its pictures.
        document: the same as JSON, when `shape` says that it is whole.
    """

    def __init__(self, call: Call, sinks: SinkFactory, clock: Clock, secret: str = "") -> None:
        self.response: aiohttp.ClientResponse | None = None
        self._deadline = Deadline(call.timeout)
        self.request = RequestBody(call.body, call.content_type, clock, self._deadline)
        self.scanner = Scanner(codec_for(call.operation).picture_start)
        self.text = ""
        self.document: Any = None
        self.shape = Shape.OTHER
        self.trouble = ""
        self.first_byte = 0.0
        self._call = call
        self._late = False
        self._broken = False
        self._make_sink = sinks
        self._sinks: dict[int, Sink] = {}
        self._watches = defaultdict[int, KeyWatch](lambda: KeyWatch(secret))
        self._sent = sent_by(call)
        self._hashes: dict[int, _Hash] = {}  # of the pictures that come, where some were sent
        self._inflater: Inflater | None = None
        self._budget = _PARSE_BUDGET

    async def run(self, session: aiohttp.ClientSession, headers: Mapping[str, str]) -> None:
        """Send and receive. Raises only what a sink raises, and cancellation."""
        try:
            await self._send(session, headers)
            if self.response is not None:
                self.first_byte = self.request.seconds()
                await self._receive(self.response)
        finally:
            self.request.revoked = True
            if self.response is not None:
                self.response.close()

    @property
    def ending(self) -> CallEnd:
        """How far it got."""
        if self.response is None:
            return self._ending_without_head()
        if self.shape is Shape.WHOLE:
            return CallEnd.COMPLETE
        if self.scanner.too_large:
            return CallEnd.TOO_LARGE
        if self._late:
            return CallEnd.TIMED_OUT
        return CallEnd.CUT if self._broken or self._cut_short(self.response) else CallEnd.COMPLETE

    def sent(self) -> SentRequest:
        """Return what was sent, and which of the pictures that came are only that."""
        back = (index for index, each in self._hashes.items() if each.hexdigest() in self._sent.files)
        return replace(self._sent, marks=frozenset(back))

    def pictures(self, indices: Iterable[int]) -> tuple[Picture, ...]:
        """Return the pictures with these numbers, as they were decoded into the sinks."""
        found = ((index, self.scanner.pictures[index]) for index in indices)
        return tuple(
            Picture(self._sink(index).name, one.size, one.damage or self._watches[index].damage) for index, one in found
        )

    def _ending_without_head(self) -> CallEnd:
        if not self.request.begun:
            return CallEnd.NOT_SENT
        if self._late:
            return CallEnd.TIMED_OUT
        return CallEnd.NO_ANSWER if self.request.whole else CallEnd.SEND_FAILED

    def _cut_short(self, response: aiohttp.ClientResponse) -> bool:
        """Tell whether a body that ended without an error lacks something all the same."""
        if self.shape is Shape.SHORT or (self._inflater is not None and not self._inflater.whole):
            return True
        framed = "content-length" in response.headers or "transfer-encoding" in response.headers
        return not framed and response.status == 200 and not self.text

    async def _send(self, session: aiohttp.ClientSession, headers: Mapping[str, str]) -> None:
        try:
            async with self._deadline.waiting():
                self.response = await session.post(
                    self._call.url, data=self.request, headers=headers, allow_redirects=False
                )
        except WIRE_ERRORS as wrong:
            self._late = self._deadline.rang
            self.trouble = self._no_answer_in_time() if self._late else self.request.trouble or described(wrong)

    async def _receive(self, response: aiohttp.ClientResponse) -> None:
        """Stream the body through the scanner until it ends, is whole, or no more of it is wanted."""
        wake_when_closed(response)
        self._inflater = inflater_for(response.headers.get("content-encoding", ""))
        while data := await self._next(response.content):
            await self._take(data)
            if self.scanner.too_large:
                self.trouble = self.scanner.too_large
                break
        self.scanner.finish()
        self._try_to_parse()

    async def _next(self, content: aiohttp.StreamReader) -> bytes:
        """Read the next bytes of the body; empty when there are no more, or none are needed."""
        if self._broken:
            return left_over(content)
        try:
            return await next_piece(content, self._deadline, self._is_whole)
        except WIRE_ERRORS as wrong:
            if self._deadline.rang:
                self._late = True
                self.trouble = self._no_answer_in_time()
                return b""
            self._broken = True
            self.trouble = described(wrong)
        return left_over(content)

    async def _take(self, data: bytes) -> None:
        try:
            for plain in self._inflater.feed(data) if self._inflater else (data,):
                for index, piece in self.scanner.feed(plain):
                    if self._sent.files:
                        self._hashes.setdefault(index, hashlib.sha256()).update(piece)
                    self._watches[index].take(piece)
                    await self._sink(index).write(piece)
                if self.scanner.too_large:
                    return
        except zlib.error:
            self._broken = True
            self._inflater = None
            self.trouble = "the compressed body is damaged"

    def _sink(self, index: int) -> Sink:
        sink = self._sinks.get(index)
        if sink is None:
            sink = self._sinks[index] = self._make_sink(index)
        return sink

    def _is_whole(self) -> bool:
        """Tell whether nothing is missing although the connection says that more may come."""
        return self.scanner.may_be_whole() and self._budget > 0 and self._try_to_parse()

    def _try_to_parse(self) -> bool:
        if self.scanner.inside:
            self.text, self.shape = self.scanner.text, Shape.SHORT
        elif self.shape is not Shape.WHOLE:
            self.text = self.scanner.text
            self._budget -= len(self.text)
            self.shape, self.document = parse(self.text)
        return self.shape is Shape.WHOLE

    def _no_answer_in_time(self) -> str:
        return f"no whole answer within {self._call.timeout:g} s"
