"""One request and its response on one connection, and how far they got by the bytes that were seen.

aiohttp reports a protocol violation as a response with status 400, and an unframed body that was cut as a whole
one. So nothing here is judged by an exception's status: only by whether the request was written, whether a
response head was parsed, and whether the JSON document in the body is whole.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter

from batchgen.domain.clock import Clock
from batchgen.domain.wire import Call, Ending, Picture
from batchgen.gateway.inflate import Inflater, inflater_for
from batchgen.gateway.reply import Shape, parse
from batchgen.gateway.scan import Scanner, Sink, SinkFactory
from batchgen.gateway.transport import PIECE, WIRE_ERRORS, described, next_piece, wake_when_closed

_PARSE_BUDGET = 8 << 20  # bytes spent on trying whether a body that has not ended is whole

_QUIET = 0.005  # seconds


class Exchange:
    """What happens to one call on the wire.

    Attributes:
        response: the response head, None until one was parsed.
        trouble: one sentence about what went wrong, "" for nothing.
        text: the body without its pictures.
        document: the same as JSON, when `shape` says that it is whole.
    """

    def __init__(self, call: Call, sinks: SinkFactory, clock: Clock) -> None:
        self.response: aiohttp.ClientResponse | None = None
        self.request = RequestBody(call, clock)
        self.scanner = Scanner()
        self.text = ""
        self.document: Any = None
        self.shape = Shape.OTHER
        self.trouble = ""
        self.first_byte = 0.0
        self._call = call
        self._clock = clock
        self._deadline = asyncio.get_running_loop().time() + call.timeout
        self._late = False
        self._broken = False
        self._make_sink = sinks
        self._sinks: dict[int, Sink] = {}
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
                self._let_go(self.response)

    def _let_go(self, response: aiohttp.ClientResponse) -> None:
        """Close the connection, or give it back to a connector that may use it again.

        A little later: a gateway that closes after its answer without having said so has done that by then.
        """
        if self._call.loopback and self.ending is Ending.COMPLETE:
            asyncio.get_running_loop().call_later(_QUIET, response.release)
        else:
            response.close()

    @property
    def ending(self) -> Ending:
        """How far it got."""
        if self.response is None:
            return self._ending_without_head()
        if self.shape is Shape.WHOLE:
            return Ending.COMPLETE
        if self.scanner.too_large:
            return Ending.TOO_LARGE
        if self._late:
            return Ending.TIMED_OUT
        return Ending.CUT if self._broken or self._cut_short(self.response) else Ending.COMPLETE

    def pictures(self) -> tuple[Picture, ...]:
        """What was decoded into the sinks, in order."""
        return tuple(
            Picture(self._sink(index).name, found.size, found.damage)
            for index, found in enumerate(self.scanner.pictures)
            if found.size or found.damage
        )

    def _ending_without_head(self) -> Ending:
        if not self.request.begun:
            return Ending.NOT_SENT
        if self._late:
            return Ending.TIMED_OUT
        return Ending.NO_ANSWER if self.request.whole else Ending.SEND_FAILED

    def _cut_short(self, response: aiohttp.ClientResponse) -> bool:
        """Whether a body that ended without an error lacks something all the same."""
        if self.shape is Shape.SHORT or (self._inflater is not None and not self._inflater.whole):
            return True
        framed = "content-length" in response.headers or "transfer-encoding" in response.headers
        return not framed and response.status == 200 and not self.text

    async def _send(self, session: aiohttp.ClientSession, headers: Mapping[str, str]) -> None:
        scope = asyncio.timeout_at(self._deadline)
        try:
            async with scope:
                self.response = await session.post(
                    self._call.url, data=self.request, headers=headers, allow_redirects=False
                )
        except WIRE_ERRORS as wrong:
            self._late = scope.expired()
            self.trouble = self._no_answer_in_time() if self._late else described(wrong)

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
        """The next bytes of the body; empty when there are no more, or none are needed."""
        if self._broken:
            return _left_over(content)
        scope = asyncio.timeout_at(self._deadline)
        try:
            return await next_piece(content, scope, self._is_whole)
        except WIRE_ERRORS as wrong:
            if scope.expired():
                self._late = True
                self.trouble = self._no_answer_in_time()
                return b""
            self._broken = True
            self.trouble = described(wrong)
        return _left_over(content)

    async def _take(self, data: bytes) -> None:
        try:
            for plain in self._inflater.feed(data) if self._inflater else (data,):
                for index, piece in self.scanner.feed(plain):
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
        """Whether nothing is missing although the connection says that more may come."""
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


def _left_over(content: aiohttp.StreamReader) -> bytes:
    """Bytes that came before the connection broke: aiohttp hides them behind the error, but they may be enough."""
    content.set_exception(cast("BaseException", None))
    return content.read_nowait(PIECE)


class RequestBody(aiohttp.BytesPayload):
    """The body of a paid request, which knows whether any of it was written.

    aiohttp sends the head together with the first bytes of the body, so before `begun` no byte of the request has
    left.

    Attributes:
        begun: whether writing has begun.
        whole: whether all of it was written.
        revoked: set when the call is over: what was not begun by then never will be.
        sent_at: seconds since the epoch at which writing began, 0.0 before.
    """

    def __init__(self, call: Call, clock: Clock) -> None:
        super().__init__(call.body, content_type=call.content_type)
        self.begun = False
        self.whole = False
        self.revoked = False
        self.sent_at = 0.0
        self._started = 0.0
        self._clock = clock

    def seconds(self) -> float:
        """Since writing began; 0.0 when it has not."""
        return self._clock.monotonic() - self._started if self.begun else 0.0

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Write all of it.

        Raises:
            aiohttp.ClientConnectionResetError: the connection is already gone, so nothing was written.
        """
        transport = writer.transport if isinstance(writer, StreamWriter) else None
        if self.revoked or transport is None or transport.is_closing():
            raise aiohttp.ClientConnectionResetError("the connection closed before the request was written")
        self.begun = True
        self.sent_at = self._clock.now()
        self._started = self._clock.monotonic()
        await super().write_with_length(writer, content_length)
        self.whole = True
