"""The hand: the one object that talks to the gateway and writes bytes. It never sees the books.

What goes in and comes out are small plain values that can be pickled, so that the same class can work in another
process.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from batchgen.contracts.contract import References
from batchgen.domain.errors import StoreError
from batchgen.domain.inputs import Inputs
from batchgen.domain.output_image import Damaged, Image
from batchgen.domain.wire import Answer, Call, Download, NotKept, Picture, PreparedInputs
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from batchgen.store.inputs.input_store import InputStore
from batchgen.store.spool.spool import Spool, SpoolSink

# A 4K image reaches 20 MB; with the base64 that may still be on its way a call may need so much disk for a while.
ANSWER_BYTES = 32 << 20
# Inline pictures are numbered from 0; what is downloaded is told apart from them.
_DOWNLOADED = 1000
_DOWNLOADS = 16
_NO_INPUTS = PreparedInputs()


class _Received:
    """A spool file while it is received. When it cannot be written the answer is read on: what it says is paid for.

    Attributes:
        trouble: why the bytes could not be kept; None while they could.
    """

    __slots__ = ("_sink", "size", "trouble")

    def __init__(self, sink: SpoolSink) -> None:
        self.trouble: StoreError | None = None
        self.size = 0
        self._sink = sink

    @property
    def name(self) -> str:
        """File name in the spool."""
        return self._sink.name

    async def write(self, data: bytes | memoryview) -> None:
        """Take more bytes."""
        self.size += len(data)
        if self.trouble is None:
            try:
                await self._sink.write(data)
            except StoreError as error:
                self.trouble = error
            except MemoryError:
                self.trouble = StoreError("there is no memory left for an answer; end other programs, then run again")


class Hand:
    """Sends a call and brings its answer whole into the spool; fetches paid addresses; places images."""

    def __init__(
        self, *, client: Client, downloader: Downloader, spool: Spool, inputs: InputStore, loopback_base: str
    ) -> None:
        """Join the wire and the disk.

        Args:
            loopback_base: the gateway's base URL where that itself is loopback, "" else: the one place on this
                machine that downloads may go to.
        """
        self._client = client
        self._downloader = downloader
        self._spool = spool
        self._inputs = inputs
        self._loopback_base = loopback_base
        self._downloads = asyncio.Semaphore(_DOWNLOADS)

    def check_room(self, in_flight: int) -> None:
        """Make sure the disk has room for the answers of so many calls.

        Raises:
            NoRoom: it has not.
        """
        self._spool.check_room(in_flight * ANSWER_BYTES, in_flight)

    async def prepare(self, inputs: Inputs, limits: References) -> PreparedInputs:
        """The input images of a call as they are sent, each made ready once.

        Raises:
            StoreError: a file is gone, or is not the one the plan was made with.
        """
        return await self._inputs.prepare(inputs, limits) if inputs.count else _NO_INPUTS

    async def send(self, call: Call) -> Answer | NotKept:
        """Make the call. When this returns the answer of a success, it is durable in the spool.

        Raises:
            StoreError: it could not even be received, because the spool cannot be written.
        """
        sinks: list[SpoolSink] = []

        received: list[_Received] = []

        def sink(index: int) -> _Received:
            sinks.append(self._spool.sink(call.attempt, index))
            received.append(_Received(sinks[-1]))
            return received[-1]

        try:
            answer = await self._client.send(call, sink)
        except BaseException:
            self._spool.discard(sinks)
            raise
        if not 200 <= answer.status < 300:
            self._spool.discard(sinks)
            return answer
        trouble = next((one.trouble for one in received if one.trouble is not None), None)
        if trouble is not None:
            self._spool.discard(sinks)
            return NotKept(answer, str(trouble))
        answer = replace(answer, origin=call.origin)
        with suppress(asyncio.CancelledError):  # the call may be given up, what came of it may not
            try:
                await self._land(answer, sinks)
            except StoreError as error:
                return NotKept(answer, str(error))
        return answer

    def sink(self, attempt: int, index: int) -> SpoolSink:
        """Where the bytes of one picture go that came otherwise than by a call."""
        return self._spool.sink(attempt, index)

    def discard(self, sinks: list[SpoolSink]) -> None:
        """Give up what such sinks have taken so far, but not of a finished answer."""
        self._spool.discard(sinks)

    async def receive(self, answer: Answer, sinks: list[SpoolSink]) -> None:
        """Make an answer durable that came otherwise than by a call.

        Raises:
            StoreError: the spool cannot be written.
        """
        await self._land(answer, sinks)

    async def _land(self, answer: Answer, sinks: list[SpoolSink]) -> None:
        """Make the answer durable, however often this is cancelled meanwhile."""
        finishing, cancelled = asyncio.ensure_future(self._spool.finish(answer, sinks)), False
        while not finishing.done():
            try:
                await asyncio.wait({finishing})
            except asyncio.CancelledError:
                cancelled = True
        finishing.result()
        if cancelled:
            raise asyncio.CancelledError

    async def download(self, attempt: int, url: str, key_env: str = "") -> Download:
        """Fetch a paid address into the spool; one try.

        A picture that holds the key, which is behind the name of a variable, comes as damaged; it is kept aside then.

        Raises:
            StoreError: the bytes could not be written.
        """
        async with self._downloads:
            sink = self._spool.sink(attempt, _DOWNLOADED)
            try:
                secret = self._client.secret(key_env)
                download = await self._downloader.fetch(url, sink, loopback_base=self._loopback_base, secret=secret)
            except BaseException:
                self._spool.discard([sink])
                raise
            if download.picture is None:
                self._spool.discard([sink])
            elif download.picture.damage:
                kept = await self._spool.set_download_aside(sink)
                return replace(download, picture=replace(download.picture, file=kept))
            else:
                await self._spool.finish_download(sink)
            return download

    async def place(self, attempt: int, picture: Picture, path: str, revision: int) -> Image | Damaged:
        """Check an image of the spool wholly and put it into the output folder.

        Raises:
            StoreError: the output folder cannot be written; the spool keeps the bytes.
        """
        return await self._spool.place(picture.file, path, revision, attempt, picture.size)

    async def keep(self, picture: Picture) -> str:
        """Keep the bytes of a damaged image aside; gives where, below the spool."""
        return (await self._spool.quarantine(picture.file, picture.damage)).kept

    def clear(self, attempt: int) -> None:
        """Forget the spooled answer of a settled attempt."""
        self._spool.clear(attempt)
