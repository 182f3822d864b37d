"""Reference images and masks on their way to a gateway: checked, made small enough, and kept by their content.

A file is read once for a job: when it is looked at, its prepared copies are made of the bytes in hand. Later runs, and
all calls, use the copies. What lies behind an address is fetched once and kept as it came, beside its copies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from batchgen.contracts.contract import References
from batchgen.domain.errors import StoreError
from batchgen.domain.inputs import InputFile, InputImage, Inputs, InputUse, LookedInput, is_address
from batchgen.domain.job import JobSpec
from batchgen.domain.wire import Prepared, PreparedInputs
from batchgen.files.input_root import FileState, InputRoot
from batchgen.store.affinity import use_all
from batchgen.store.checks.stream import BadImage
from batchgen.store.inputs.memory_budget import PixelBudget
from batchgen.store.inputs.send_profile import FETCHED, MASK, SendProfile, masked, profiles, shared
from batchgen.store.inputs.user_file import read_user_file
from batchgen.store.layout import INPUTS, SPOOL

if TYPE_CHECKING:
    from batchgen.store.inputs.copies import Copies, Copy
    from batchgen.store.inputs.photo import Photo

PIXELS = 30_000_000  # decoded at the same time; four bytes each
_THREADS = 2  # what one has decoded in is kept for its next image, so each costs tens of megabytes
_FETCHES = 4  # addresses at a time; each is in memory until its copies are made
_LARGE = 16_000_000  # bytes of a file of which one is in memory at a time

Fetch = Callable[[str], Awaitable[bytes]]
"""Gives what lies behind an address; raises `BadImage` where that cannot be had."""

P = ParamSpec("P")
T = TypeVar("T")


class _Read(NamedTuple):
    digest: str
    photo: Photo
    state: FileState = FileState("", 0, 0)  # of what was fetched: none


class InputStore:
    """Prepares the input images of one job. One event loop uses it; nothing is opened before it is needed."""

    def __init__(self, root: Path, cache: Path, fetch: Fetch | None = None) -> None:
        """Know the folders.

        Args:
            root: the manifest's folder, below which local files are.
            cache: where copies are kept; made when there is one.
            fetch: for addresses; None where none is looked at.
        """
        self._fetch = fetch
        self._root = InputRoot(root)
        self._cache = cache
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="inputs", initializer=use_all)
        self._pixels = PixelBudget(PIXELS)
        self._large = asyncio.Lock()
        self._making: dict[tuple[str, SendProfile], asyncio.Task[Copy]] = {}
        self._opened: Copies | None = None

    @classmethod
    def of(cls, spec: JobSpec, fetch: Fetch | None = None) -> InputStore:
        """Make the store of a job, whose copies are in the spool of its output folder."""
        return cls(spec.manifest.parent, spec.output / SPOOL / INPUTS, fetch)

    async def examine_inputs(
        self, uses: Iterable[InputUse], known: Iterable[InputFile], keep: References | None
    ) -> AsyncGenerator[LookedInput, None]:
        """Look at each file: what it is, its content, whether it is whole and can be sent. Yield them as they are done.

        Args:
            uses: the files.
            known: those that were looked at before; a file that has its size and time still is not read, and an
                address not fetched.
            keep: for a run, what its route takes: copies are made at once. None writes nothing.

        Raises:
            NoRoom: the disk is full.
            StoreError: a copy cannot be written.
        """
        waiting, before = iter(uses), {file.place: file for file in known}
        tasks, places = set[asyncio.Task[LookedInput]](), _THREADS
        try:
            while True:
                for use in islice(waiting, max(0, places - len(tasks))):
                    places = _FETCHES if is_address(use.place) else _THREADS
                    tasks.add(asyncio.create_task(self._look(use, before.get(use.place), keep)))
                if not tasks:
                    return
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    looked = task.result()
                    tasks.discard(task)
                    yield looked
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def prepare(self, inputs: Inputs, limits: References) -> PreparedInputs:
        """Return the images of one call, ready to be sent.

        Raises:
            StoreError: a file is gone, cannot be read, or is not the one the plan was made with.
        """
        if not inputs.count:
            return PreparedInputs()
        form = shared(limits, len(inputs.references) or 1)
        forms = [masked(limits) if inputs.mask and not number else form for number in range(len(inputs.references))]
        wanted = [
            self._prepared(image, profile, f"reference-{number}")
            for number, (image, profile) in enumerate(zip(inputs.references, forms, strict=True), 1)
        ]
        if inputs.mask is None:
            return PreparedInputs(tuple(await asyncio.gather(*wanted)))
        *references, mask = await asyncio.gather(*wanted, self._prepared(inputs.mask, MASK, "mask"))
        return PreparedInputs(tuple(references), mask)

    def close(self) -> None:
        """Let the threads and the folder go."""
        self._executor.shutdown()
        if self._opened is not None:
            self._opened.close()

    async def _look(self, use: InputUse, before: InputFile | None, keep: References | None) -> LookedInput:
        """Look at one file, or fetch what is behind an address."""
        if is_address(use.place):
            return LookedInput(use.place, before) if before is not None else await self._look_behind(use, keep)
        try:
            state = self._state(use.place)
            if before is not None and await self._is_known(use, before, state):
                return LookedInput(use.place, before)
            wanted = [] if keep is None else profiles(use, keep)
            async with AsyncExitStack() as stack:
                read = await self._read(state, wanted, stack)
                await self._run(self._judge, use, read, wanted)
        except BadImage as error:
            return LookedInput(use.place, None, error.reason)
        size, changed, photo = read.state.bytes, read.state.changed, read.photo
        return LookedInput(use.place, InputFile(use.place, size, changed, read.digest, photo.width, photo.height))

    async def _look_behind(self, use: InputUse, keep: References | None) -> LookedInput:
        wanted = [] if keep is None else profiles(use, keep)
        try:
            async with AsyncExitStack() as stack:
                read = await self._fetched(use.place, wanted, stack)
                await self._run(self._judge, use, read, wanted)
                if keep is not None:
                    await self._run(self._keep, read)
        except BadImage as error:
            return LookedInput(use.place, None, error.reason)
        size, photo = len(read.photo.data), read.photo
        return LookedInput(
            use.place, InputFile(use.place, size, time.time_ns(), read.digest, photo.width, photo.height)
        )

    async def _is_known(self, use: InputUse, before: InputFile, state: FileState) -> bool:
        if (before.bytes, before.changed) != (state.bytes, state.changed):
            return False
        # Nothing recorded says that a file was seen to be a mask; its copy does.
        return not use.mask or await self._run(self._copies().has, before.sha256, MASK)

    def _judge(self, use: InputUse, read: _Read, wanted: list[SendProfile]) -> None:
        """Run in a thread: check the whole file, and keep the copies that are wanted."""
        from batchgen.store.inputs.shrink import check_mask, fit  # noqa: PLC0415 - Pillow only where there are images

        copies = self._copies()
        for profile in wanted:
            if not copies.has(read.digest, profile):
                copies.put(read.digest, profile, fit(read.photo, profile))
        if not wanted:
            read.photo.check()
            if use.mask:
                check_mask(read.photo)

    async def _read(self, state: FileState, wanted: list[SendProfile], stack: AsyncExitStack) -> _Read:
        """Read and open a file; the stack keeps the room in memory that it takes from here on."""
        if state.bytes > _LARGE:
            await stack.enter_async_context(self._large)
        data, state = await read_user_file(state, self._executor)
        return _Read(*await self._opened_photo(data, wanted, stack), state)

    async def _fetched(self, url: str, wanted: list[SendProfile], stack: AsyncExitStack) -> _Read:
        """Fetch and open what is behind an address; like `_read`."""
        if self._fetch is None:
            raise BadImage("is not fetched here; a run does that")
        data = await self._fetch(url)
        return _Read(*await self._opened_photo(data, wanted, stack))

    async def _opened_photo(self, data: bytes, wanted: list[SendProfile], stack: AsyncExitStack) -> tuple[str, Photo]:
        from batchgen.store.inputs.photo import open_photo  # noqa: PLC0415 - Pillow only where there are images
        from batchgen.store.inputs.shrink import weight  # noqa: PLC0415

        digest = await self._run(lambda: sha256(data).hexdigest())
        photo = await self._run(open_photo, data)
        await stack.enter_async_context(self._pixels.hold(weight(photo, wanted)))
        return digest, photo

    def _keep(self, read: _Read) -> None:
        """Run in a thread: keep what was fetched as it came."""
        from batchgen.store.inputs.shrink import Fitted  # noqa: PLC0415 - see above

        photo, copies = read.photo, self._copies()
        if not copies.has(read.digest, FETCHED):
            copies.put(read.digest, FETCHED, Fitted(photo.data, photo.kind, photo.width, photo.height))

    async def _prepared(self, image: InputImage, profile: SendProfile, stem: str) -> Prepared:
        if image.is_address:
            return Prepared(stem, "", url=image.place)
        key = (image.sha256, profile)
        task = self._making.get(key)
        if task is None:  # calls that ask meanwhile wait for the same copy
            task = self._making[key] = asyncio.create_task(self._make(image, profile))
            task.add_done_callback(partial(self._made, key))
        return (await asyncio.shield(task)).named(stem)

    def _made(self, key: tuple[str, SendProfile], task: asyncio.Task[Copy]) -> None:
        del self._making[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; when nobody did any more, it is no news

    async def _make(self, image: InputImage, profile: SendProfile) -> Copy:
        """Return the copy of a file in a form, made now if there is none."""
        from batchgen.store.inputs.shrink import fit  # noqa: PLC0415 - see above

        copies = self._copies()
        found = await self._run(copies.find, image.sha256, profile)
        if found is not None:
            return found
        try:
            async with AsyncExitStack() as stack:
                read = await self._again(image, profile, stack)
                if read.digest == image.sha256:
                    fitted = await self._run(fit, read.photo, profile)
                    return await self._run(copies.put, image.sha256, profile, fitted)
        except BadImage as error:
            raise StoreError(f"{image.place}: {error.reason} (put it right, then run again)") from None
        again = "run with --refresh-inputs" if is_address(image.place) else "run again"
        raise StoreError(f"{image.place} has changed since the plan was recorded; {again}")

    async def _again(self, image: InputImage, profile: SendProfile, stack: AsyncExitStack) -> _Read:
        """Read an image of which a copy is missing: the file, or what was fetched, which is fetched anew if need be."""
        if not is_address(image.place):
            return await self._read(self._state(image.place), [profile], stack)
        kept = await self._run(self._copies().find, image.sha256, FETCHED)
        if kept is None:
            read = await self._fetched(image.place, [profile], stack)
            if read.digest == image.sha256:
                await self._run(self._keep, read)
            return read
        data = await self._run(Path(kept.piece.path).read_bytes)
        return _Read(*await self._opened_photo(data, [profile], stack))

    def _state(self, place: str) -> FileState:
        try:
            return self._root.state(place)
        except ValueError as error:
            raise BadImage(str(error)) from None

    def _copies(self) -> Copies:
        from batchgen.store.inputs.copies import Copies  # noqa: PLC0415 - see above

        if self._opened is None:
            self._opened = Copies(self._cache)
        return self._opened

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, partial(work, *args, **kwargs))
