"""The hand in this process: gateways by HTTP, and an output folder on a disk of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from batchgen.contracts.contract import Contract, References
from batchgen.domain.batch_files import AnswerFile, CallFile, RemoteBatch
from batchgen.domain.clock import Clock
from batchgen.domain.errors import StoreError, UsageError
from batchgen.domain.following import Stage
from batchgen.domain.inputs import InputFile, Inputs, InputUse, LookedInput
from batchgen.domain.job import JobSpec
from batchgen.domain.output_image import Damaged, Delivered, Image
from batchgen.domain.wire import Answer, Call, Download, Look, NotKept, Picture, PreparedInputs
from batchgen.engine.local_batches import BatchFiles
from batchgen.engine.local_fetch import InputFetcher
from batchgen.engine.local_folder import OwnedFolder
from batchgen.gateway.batch.api import BatchApi
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from batchgen.gateway.proxy import DIRECT, Proxies
from batchgen.store.inputs.input_store import InputStore
from batchgen.store.output.image_index import ImageIndex
from batchgen.store.output.place import Spot
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


class _Incoming:
    """The pictures of one answer, while it is received."""

    def __init__(self, spool: Spool, attempt: int) -> None:
        self.sinks: list[SpoolSink] = []
        self._received: list[_Received] = []
        self._spool = spool
        self._attempt = attempt

    def sink(self, index: int) -> _Received:
        """Make what takes the bytes of the picture with that index."""
        self.sinks.append(self._spool.sink(self._attempt, index))
        self._received.append(_Received(self.sinks[-1]))
        return self._received[-1]

    @property
    def trouble(self) -> StoreError | None:
        """Why not all could be kept; None while it could."""
        return next((one.trouble for one in self._received if one.trouble is not None), None)

    def discard(self) -> None:
        """Give up all that came."""
        self._spool.discard(self.sinks)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Speaks to the gateway of one route, and to where its images are.

    Attributes:
        loopback_base: the gateway's base URL where that itself is loopback, "" else: the one place on this machine that
            downloads may go to.
        batches: by the variable that holds the key; empty for a route whose calls are made one by one.
        downloads: how many run at the same time.
    """

    client: Client
    downloader: Downloader
    loopback_base: str = ""
    batches: Mapping[str, BatchFiles] = field(default_factory=dict)
    downloads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_DOWNLOADS))


class LocalHand(OwnedFolder):
    """Works for one run. A route can be called once its gateway is connected; the output folder is there at once.

    Attributes:
        gateways: by the name of their route.
    """

    def __init__(self, spool: Spool, index: ImageIndex, inputs: InputStore) -> None:
        super().__init__(spool)
        self.gateways: dict[str, Gateway] = {}
        self._index = index
        self._inputs = inputs
        self._opened = ExitStack()

    @classmethod
    def open(
        cls,
        job: JobSpec,
        ledger: Path,
        ledger_id: str,
        clock: Clock,
        way_to_inputs: Callable[[], Proxies],
        *,
        known: bool,
    ) -> LocalHand:
        """Open the output folder of a job, made if need be, for the ledger that owns it.

        `ledger` is the absolute path of the database, to tell others; `ledger_id` what it is known by wherever it lies;
        `way_to_inputs` gives the ways out to references that are addresses; `known` whether it says that the folder is
        its own.

        Raises:
            ForeignOutput: the output folder belongs to another ledger.
            StoreError: the folder cannot be made or used, or another process uses it.
        """
        with ExitStack() as opened:
            spool = Spool.open(job.output, ledger, ledger_id, clock=clock, known=known)
            opened.callback(spool.close)
            index = ImageIndex.open(job.output)
            opened.callback(index.close)
            inputs = InputStore.of(job, InputFetcher(job.images_from, clock, way_to_inputs))
            opened.callback(inputs.close)
            hand = cls(spool, index, inputs)
            hand._opened = opened.pop_all()
        return hand

    def close(self) -> None:
        """Let go of all that it has opened itself."""
        self._opened.close()

    @asynccontextmanager
    async def connected(
        self, contract: Contract, clock: Clock, key: Callable[[str], str], proxies: Proxies = DIRECT
    ) -> AsyncIterator[None]:
        """Be able to call a route, until the end.

        Args:
            contract: of the route.
            clock: for stamps and durations.
            key: gives the key behind a variable's name.
            proxies: the ways out.
        """
        url, local, headers = contract.base_url, contract.loopback, contract.request_id_headers
        secrets = partial(_keys_there, contract.keys, key)
        async with AsyncExitStack() as stack:
            client = Client(clock=clock, key=key, request_id_headers=headers, proxies=proxies, secrets=secrets)
            downloader = Downloader(contract.images_from, proxies, secrets=secrets)
            await stack.enter_async_context(client)
            await stack.enter_async_context(downloader)
            batches = {}
            for name in (contract.keys or ("",)) if contract.endpoint.in_batches else ():
                api = BatchApi(
                    base_url=url,
                    key=partial(key, name),
                    clock=clock,
                    loopback=local,
                    proxies=proxies,
                    secrets=secrets,
                )
                batches[name] = BatchFiles(await stack.enter_async_context(api), self._spool, clock)
            self.gateways[contract.route] = Gateway(client, downloader, url if local else "", batches)
            yield

    async def check_room(self, in_flight: int) -> None:
        """Make sure the disk has room for the answers of so many calls.

        Raises:
            NoRoom: it has not.
        """
        self._spool.check_room(in_flight * ANSWER_BYTES, in_flight)

    def examine_inputs(
        self, uses: Sequence[InputUse], known: Sequence[InputFile], keep: References | None
    ) -> AsyncGenerator[LookedInput, None]:
        """Look at each file and yield what it is; see `InputHand.examine_inputs`."""
        return self._inputs.examine_inputs(uses, known, keep)

    async def prepare(self, inputs: Inputs, limits: References) -> PreparedInputs:
        """Return the input images of a call as they are sent, each made ready once.

        Raises:
            StoreError: a file is gone, or is not the one the plan was made with.
        """
        return await self._inputs.prepare(inputs, limits) if inputs.count else _NO_INPUTS

    async def send(self, route: str, call: Call) -> Answer | NotKept:
        """Make the call. When this returns the answer of a success, it is durable in the spool.

        Raises:
            StoreError: it could not even be received, because the spool cannot be written.
        """
        incoming = _Incoming(self._spool, call.attempt)
        try:
            answer = await self.gateways[route].client.send(call, incoming.sink)
        except BaseException:
            incoming.discard()
            raise
        return await self._keep(answer, call, incoming)

    async def look(self, route: str, call: Call) -> Look:
        """Ask how far a call is that a gateway works on; see `Hand.look`."""
        incoming = _Incoming(self._spool, call.attempt)
        try:
            stage, answer = await self.gateways[route].client.look(call, incoming.sink)
        except BaseException:
            incoming.discard()
            raise
        if stage is Stage.WAITING:
            incoming.discard()
            return Look(stage, answer)
        return Look(stage, await self._keep(answer, call, incoming))

    async def is_there(self, route: str, call: Call) -> bool:
        """Tell whether the gateway of a route answers a free question; see `Hand.is_there`."""
        return await self.gateways[route].client.is_there(call)

    async def _keep(self, answer: Answer, call: Call, incoming: _Incoming) -> Answer | NotKept:
        """Make the answer of a success durable, its picture placed, and let go of what came of any other."""
        if not 200 <= answer.status < 300:
            incoming.discard()
            return answer
        if (trouble := incoming.trouble) is not None:
            incoming.discard()
            return NotKept(answer, str(trouble))
        answer = replace(answer, origin=call.origin)
        spot = Spot(call.path, call.origin.revision, call.attempt) if call.path else None
        placed: Image | Damaged | None = None
        with suppress(asyncio.CancelledError):  # the call may be given up, what came of it may not
            try:
                placed = await self._spool.finish_whatever_comes(answer, incoming.sinks, spot)
            except StoreError as error:
                return NotKept(answer, str(error))
        return answer if placed is None else replace(answer, placed=placed)

    async def download(self, route: str, attempt: int, url: str) -> Download:
        """Fetch a paid address into the spool; see `Hand.download`."""
        gateway = self.gateways[route]
        async with gateway.downloads:
            sink = self._spool.sink(attempt, _DOWNLOADED)
            try:
                download = await gateway.downloader.fetch(url, sink, loopback_base=gateway.loopback_base)
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

    async def keep_damaged(self, picture: Picture) -> str:
        """Keep the bytes of a damaged image aside; gives where, below the spool."""
        return (await self._spool.quarantine(picture.file, picture.damage)).kept

    async def keep(self, attempt: int) -> bool:
        """Move a whole answer to the kept ones; see `Hand.keep`."""
        return await self._spool.keep(attempt)

    async def forget_kept(self, attempt: int) -> None:
        """Remove the kept answer of an attempt whose image is in the books."""
        self._spool.forget_kept(attempt)

    async def place_kept(self, attempt: int, picture: Picture, path: str, revision: int) -> Image | Damaged:
        """Check a picture of a kept answer wholly and name it; see `Hand.place_kept`."""
        return await self._spool.place_kept(picture.file, path, revision, attempt)

    async def note_image(self, *images: Delivered) -> None:
        """Add images to the index; see `Hand.note_image`."""
        self._index.add(*images)

    async def clear(self, attempt: int) -> None:
        """Forget the spooled answer of a settled attempt."""
        self._spool.clear(attempt)

    async def read_receipt(self, attempt: int) -> Answer | None:
        """Return the whole answer of an attempt in the spool; see `Hand.read_receipt`."""
        return self._spool.read_receipt(attempt)

    async def find_download(self, attempt: int) -> Picture | None:
        """Return the whole download of an attempt in the spool; see `Hand.find_download`."""
        return self._spool.downloaded(attempt)

    async def sweep(self, settled: Collection[int]) -> None:
        """Remove from the spool what belongs to these attempts; see `Hand.sweep`."""
        self._spool.sweep(settled)

    async def take_notes(self) -> list[str]:
        """Return what the spool met and set right since the last time."""
        notes, self._spool.notes[:] = list(self._spool.notes), []
        return notes

    async def upload_batch(self, route: str, key_env: str, file: CallFile) -> str:
        """Hand a file of calls in; see `BatchHand.upload_batch`."""
        return await self._batches(route, key_env).upload(file)

    async def create_batch(self, route: str, key_env: str, upload: str, endpoint: str, token: str) -> RemoteBatch:
        """Have a file that was handed in worked on; see `BatchHand.create_batch`."""
        return await self._batches(route, key_env).api.create(upload, endpoint, token)

    async def find_batch(self, route: str, key_env: str, token: str, since: float) -> RemoteBatch | None:
        """Return the batch with our token; see `BatchHand.find_batch`."""
        return await self._batches(route, key_env).api.find(token, since)

    async def get_batch(self, route: str, key_env: str, batch: str) -> RemoteBatch:
        """Return a batch as it stands."""
        return await self._batches(route, key_env).api.get(batch)

    def collect_batch(self, route: str, key_env: str, file: AnswerFile) -> AsyncGenerator[Answer, None]:
        """Yield the answers of a file as they become durable; see `BatchHand.collect_batch`."""
        return self._batches(route, key_env).collect(file)

    def _batches(self, route: str, key_env: str) -> BatchFiles:
        found = self.gateways[route].batches.get(key_env)
        if found is None:
            raise ValueError(f"{route} is not called in batches with the key in {key_env}")
        return found


def _keys_there(names: Iterable[str], key: Callable[[str], str]) -> Iterator[str]:
    """Give the keys in these variables; none where one is not set, as in a run that only finishes what is paid."""
    for name in names:
        with suppress(UsageError):
            yield key(name)
