"""One request and its response on one connection, and how far they got by the bytes that were seen.

aiohttp reports a protocol violation as a response with status 400, and an unframed body that was cut as a whole
one. So nothing here is judged by an exception's status: only by whether the request was written, whether a
response head was parsed, and whether the JSON document in the body is whole.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp

from batchgen.domain.clock import Clock
from batchgen.domain.deadline import Deadline
from batchgen.domain.json_place import Place
from batchgen.domain.wire import Call, CallEnd, Obstacle, Picture
from batchgen.gateway.echo import SentRequest, sent_by
from batchgen.gateway.endpoints import codec_for
from batchgen.gateway.event_stream import is_event_stream, may_have_ended
from batchgen.gateway.inflate import Inflater, inflater_for
from batchgen.gateway.json_body import Shape
from batchgen.gateway.picture_body import PictureBody, is_picture, may_be_picture
from batchgen.gateway.picture_start import key_pattern
from batchgen.gateway.reading import BodyText, body_of
from batchgen.gateway.scan import Scanner, Sink, SinkFactory
from batchgen.gateway.sending import RequestBody
from batchgen.gateway.transport import WIRE_ERRORS, described, left_over, next_piece, obstacle, wake_when_closed
from batchgen.gateway.watch import KeyWatch

if TYPE_CHECKING:
    from hashlib import _Hash

Ask = Callable[[RequestBody | None], Awaitable[aiohttp.ClientResponse]]
_LULL = 10.0  # seconds without an event, once there is an image
_PARSE_BUDGET = 8 << 20  # bytes spent on trying whether a body that has not ended is whole


class Exchange:
    """What happens to one call on the wire.

    Attributes:
        response: the response head, None until one was parsed.
        trouble: one sentence about what went wrong, "" for nothing.
        obstacle: what kept the request from leaving, where that is known to last.
        text: the body without its pictures.
        body: the same as a document.
    """

    def __init__(self, call: Call, sinks: SinkFactory, clock: Clock, secrets: Iterable[str] = ()) -> None:
        self.response: aiohttp.ClientResponse | None = None
        self._deadline = Deadline(call.timeout)
        self.request = RequestBody(call.body, call.content_type, clock, self._deadline)
        self._pattern = key_pattern(codec_for(call.operation).picture_keys, _last_key(call.picture_at))
        self.scanner: Scanner | PictureBody = Scanner(self._pattern)
        self.text = ""
        self.body = BodyText()
        self.trouble = ""
        self.obstacle: Obstacle | None = None
        self.first_byte = 0.0
        self._call = call
        self._late = False
        self._broken = False
        self._make_sink = sinks
        self._sinks: dict[int, Sink] = {}
        self._watches = defaultdict[int, KeyWatch](lambda: KeyWatch(*secrets))
        self._sent = sent_by(call)
        self._hashes: dict[int, _Hash] = {}  # of the pictures that come, where some were sent
        self._inflater: Inflater | None = None
        self._budget = _PARSE_BUDGET
        self._head = b""  # first bytes, until they tell what the body is
        self._begun = False
        self._streamed = False
        self._lull: Deadline | None = None  # once there is an image, and events may follow

    async def run(self, ask: Ask) -> None:
        """Send and receive. Raises only what a sink raises, and cancellation."""
        try:
            await self._send(ask)
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
        if self.body.shape is Shape.WHOLE:
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
        if self.body.shape is Shape.SHORT or (self._inflater is not None and not self._inflater.whole):
            return True
        framed = "content-length" in response.headers or "transfer-encoding" in response.headers
        return not framed and response.status == 200 and not self.text and not self.scanner.pictures

    async def _send(self, ask: Ask) -> None:
        try:
            async with self._deadline.waiting():
                self.response = await ask(None if self._call.method == "GET" else self.request)
        except WIRE_ERRORS as wrong:
            self._late = self._deadline.rang
            self.obstacle = None if self._late or self.request.begun else obstacle(wrong)
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
        await self._scan(b"", last=True)
        self.scanner.finish(cut=self._broken or self._late)
        self._try_to_parse()

    async def _next(self, content: aiohttp.StreamReader) -> bytes:
        """Read the next bytes of the body; empty when there are no more, or none are needed."""
        if self._broken:
            return left_over(content)
        try:
            return await next_piece(content, self._deadline, self._is_whole, lambda: self._lull)
        except WIRE_ERRORS as wrong:
            if self._lull is not None and self._lull.rang:
                return b""
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
                await self._scan(plain)
                if self.scanner.too_large:
                    return
        except zlib.error:
            self._broken = True
            self._inflater = None
            self.trouble = "the compressed body is damaged"

    async def _scan(self, data: bytes, *, last: bool = False) -> None:
        """Take the next plain bytes of the body, once its first ones tell whether it is a picture itself."""
        if not self._begun:
            data = self._head = self._head + data
            if not data or (may_be_picture(data) and not last):
                return
            self._begun = True
            self._streamed = is_event_stream(data.decode("utf-8", "replace"))
            if is_picture(data, self.response.headers.get("content-type", "") if self.response is not None else ""):
                self.scanner = PictureBody()
        for index, piece in self.scanner.feed(data):
            if self._sent.files:
                self._hashes.setdefault(index, hashlib.sha256()).update(piece)
            self._watches[index].take(piece)
            await self._sink(index).write(piece)

    def _sink(self, index: int) -> Sink:
        sink = self._sinks.get(index)
        if sink is None:
            sink = self._sinks[index] = self._make_sink(index)
        return sink

    def _is_whole(self) -> bool:
        """Tell whether nothing is missing although the connection says that more may come.

        A stream that brought its image and does not say that it is over is waited for a little: its usage may follow.
        """
        if not self.scanner.may_be_whole() or self._budget <= 0:
            return False
        if self._streamed and not may_have_ended(self.scanner.tail):
            return False
        self._try_to_parse()
        if self.body.shape is Shape.WHOLE and not self.body.ended and self._lull is None:
            reply = codec_for(self._call.operation).read(self.body.document, self.sent(), self._call.picture_at)
            self._lull = Deadline(_LULL) if reply.marks or reply.urls else None
        return self.body.ended

    def _try_to_parse(self) -> None:
        if not self.body.ended:
            self.text = self.scanner.text
            self._budget -= len(self.text)
            self.body = body_of(self.text)
        if self.scanner.inside:
            self.body = replace(self.body, shape=Shape.SHORT)

    def _no_answer_in_time(self) -> str:
        return f"no whole answer within {self._call.timeout:g} s"


def _last_key(place: Place) -> str:
    return next((step for step in reversed(place) if isinstance(step, str)), "")
