"""The spool: paid answers on disk that are not yet images in the output folder.

It is the folder `.batchgen` in the output folder, on the same file system, readable by nobody else. An answer is
`<attempt>-<index>.part` for each picture and then `<attempt>.json`, its receipt: with the receipt the answer is
complete, without it nobody saw the whole of it. A download is complete with its mark `<attempt>-<index>.whole`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from batchgen.domain.clock import Clock
from batchgen.domain.errors import StoreError
from batchgen.domain.output_image import Damaged, Image
from batchgen.domain.wire import Answer, Picture
from batchgen.store.checks.decode import DecodePool
from batchgen.store.checks.image import Decoder
from batchgen.store.checks.stream import PIECE
from batchgen.store.folder import Folder, trouble
from batchgen.store.layout import KEPT, PART, SPOOL, attempt_of, mark_of
from batchgen.store.output.place import Spooled, Spot, place_or_leave, place_within
from batchgen.store.quarantine import set_aside
from batchgen.store.spool.commit import commit_answer, commit_aside, commit_download
from batchgen.store.spool.disk_space import BALLAST, FreeSpace
from batchgen.store.spool.kept_answers import (
    forget_kept,
    keep,
    kept_attempts,
    look_at_any,
    look_at_kept,
)
from batchgen.store.spool.leftovers import find_download, keep_aside, read_answer, sweep
from batchgen.store.spool.opening import open_output, open_spool
from batchgen.store.spool.owner import claim_spool, lock_output
from batchgen.store.spool.removal import Removal
from batchgen.store.spool.sink import SpoolSink
from batchgen.store.spool.threads import DiskThreads

__all__ = ["BALLAST", "SPOOL", "Spool", "SpoolSink"]

_NEXT_TRY = 10_000  # above every index


class Spool:
    """Holds the spool of one output folder open. Made by `Spool.open`; one event loop uses it.

    Attributes:
        output: the output folder, absolute.
        notes: sentences about what it met and set right, for the person who watches; the caller may empty it.
    """

    def __init__(
        self, root: Folder, folder: Folder, threads: DiskThreads, space: FreeSpace, decoder: Decoder | None
    ) -> None:
        self.output = Path(root.path)
        self.notes: list[str] = []
        self._root = root
        self._folder = folder
        self._threads = threads
        self._space = space
        self._own_decoder = None
        if decoder is None:
            decoder = self._own_decoder = DecodePool()
        self._decoder = decoder
        self._removal = Removal(folder)
        self._discarded: dict[int, int] = {}  # how many sinks of an attempt were given up

    @classmethod
    def open(
        cls,
        output: Path,
        ledger: Path,
        ledger_id: str,
        *,
        clock: Clock,
        known: bool = False,
        ballast: int = BALLAST,
        decoder: Decoder | None = None,
        take_over: bool = False,
    ) -> Spool:
        """Open the spool of an output folder, made if need be, for the ledger that owns it.

        `ledger` is the absolute path of the database, to tell others; `ledger_id` what it is known by wherever it lies;
        `known` whether it says that the folder is its own. `ballast` is bytes to keep free beyond what is promised. The
        decoder takes JPEG and WebP; None makes an own pool of processes, which start with the first such image.
        `take_over` also takes the spool of a ledger that is gone.

        Raises:
            ForeignOutput: the output folder belongs to another ledger.
            StoreError: the folder cannot be made or used, or another process uses it.
        """
        output = output.absolute()
        with ExitStack() as opened:
            try:
                root = opened.enter_context(open_output(output))
                folder, notes = open_spool(root)
                opened.enter_context(folder)
                lock_output(root, folder)
                notes += claim_spool(folder, output, ledger, ledger_id, clock.now(), known=known, take_over=take_over)
                space = FreeSpace(root, folder, clock, ballast)
            except OSError as error:
                raise trouble(error, "use the output folder", output) from error
            opened.callback(space.close)
            spool = cls(root, folder, DiskThreads(), space, decoder)
            opened.pop_all()
        spool.notes += notes
        return spool

    def check_room(self, promised: int, calls: int = 1) -> None:
        """Make sure that so many bytes can be written for so many calls. Looks at the disk only now and then.

        Raises:
            NoRoom: they cannot.
            StoreError: the folder is no longer there.
        """
        self._space.check(promised, calls)

    def sink(self, attempt: int, index: int) -> SpoolSink:
        """Make what takes the bytes of one picture of an attempt. A download takes an index no inline picture has.

        Each further try has a file of its own: that of an earlier one is removed by a thread, whenever it comes to it.
        """
        number = index + _NEXT_TRY * self._discarded.get(attempt, 0)
        return SpoolSink(self._folder, self._threads.executor, self._space, attempt, f"{attempt}-{number}{PART}")

    async def finish(
        self, answer: Answer, sinks: Sequence[SpoolSink] = (), spot: Spot | None = None
    ) -> Image | Damaged | None:
        """Make an answer complete: its pictures and then its receipt, durable. Sinks it does not name are discarded.

        Where there is a spot for its picture, that is checked and put there in the same hop, as `place` does. None is
        returned where there is no picture or no spot, or where the picture could not be put there: `place` says why.

        Raises:
            NoRoom: the disk is full.
            StoreError: the spool cannot be written.
        """
        named = {picture.file for picture in answer.kept}
        kept = [sink for sink in sinks if sink.name in named]
        if len(kept) < len(sinks):
            self.discard(sink for sink in sinks if sink.name not in named)
        for sink in kept:
            sink.taken = True
        hop = self._threads.run_large if any(sink.size >= PIECE for sink in kept) else self._threads.run
        placed = await hop(self._commit, answer, kept, spot)
        self._removal.remember_answer(answer)
        return placed

    async def finish_whatever_comes(
        self, answer: Answer, sinks: Sequence[SpoolSink], spot: Spot | None = None
    ) -> Image | Damaged | None:
        """Make an answer complete as `finish` does, however often the caller is cancelled meanwhile; see there.

        Raises:
            NoRoom: the disk is full.
            StoreError: the spool cannot be written.
            asyncio.CancelledError: the caller was cancelled; the answer is complete all the same.
        """
        finishing, cancelled = asyncio.ensure_future(self.finish(answer, sinks, spot)), False
        while not finishing.done():
            try:
                await asyncio.wait({finishing})
            except asyncio.CancelledError:
                cancelled = True
        placed = finishing.result()
        if cancelled:
            raise asyncio.CancelledError
        return placed

    async def finish_download(self, sink: SpoolSink) -> Picture:
        """Make a download complete and durable.

        Raises:
            NoRoom: the disk is full.
            StoreError: the spool cannot be written.
        """
        sink.taken = True
        await self._threads.run(commit_download, self._folder, self._space, sink)
        self._removal.remember(sink.attempt, mark_of(sink.name), sink.name)
        return Picture(sink.name, sink.size)

    async def set_download_aside(self, sink: SpoolSink) -> str:
        """Keep a download that is not to be placed durable in the quarantine; return where, below the spool.

        Raises:
            NoRoom: the disk is full.
            StoreError: the spool cannot be written.
        """
        sink.taken = True
        return await self._threads.run(commit_aside, self._folder, self._space, sink)

    async def place(self, file: str, path: str, revision: int, attempt: int, size: int = 0) -> Image | Damaged:
        """Check a picture wholly and give it its name in the output folder; one hop. See `place.place`.

        Args:
            file: its name in the spool.
            path: as for `place.place`; `revision` and `attempt` too.
            revision: of the task.
            attempt: that bought it.
            size: of the file in bytes, as far as known; large ones are checked elsewhere.

        Raises:
            StoreError: the output folder cannot be used as asked; the spool keeps the bytes.
        """
        hop = self._threads.run_large if size >= PIECE else self._threads.run
        return await hop(
            place_within, Spooled(self._folder, file), self._root, Spot(path, revision, attempt), self._decoder
        )

    async def place_kept(self, file: str, path: str, revision: int, attempt: int) -> Image | Damaged:
        """Check a picture of a kept answer wholly and name it as `place` does; a damaged one stays where it is.

        Raises:
            StoreError: the output folder cannot be used as asked.
        """
        return await self._threads.run_large(self._place_kept, file, Spot(path, revision, attempt))

    async def quarantine(self, file: str, reason: str) -> Damaged:
        """Keep a file of the spool aside as damaged.

        Raises:
            StoreError: it cannot be moved.
        """
        return Damaged(reason, await self._threads.run(set_aside, self._folder, file))

    def discard(self, sinks: Iterable[SpoolSink]) -> None:
        """Give up what came so far, but not of a finished answer; files go when no thread writes to them any more."""
        for sink in sinks:
            if not sink.taken:
                self._discarded[sink.attempt] = self._discarded.get(sink.attempt, 0) + 1
                sink.when_quiet(partial(self._threads.start, self._remove_part, sink))

    def read_receipt(self, attempt: int) -> Answer | None:
        """Return the complete answer of an attempt, a kept one too.

        One in the spool that cannot be read is set aside with its pictures, and noted.

        Raises:
            StoreError: the spool cannot be read.
        """
        with self._readable():
            answer, note = read_answer(self._folder, attempt)
            if answer is None and not note:
                with suppress(FileNotFoundError, NotADirectoryError, ValueError):
                    return look_at_kept(self._folder, attempt)
        if note:
            self.notes.append(note)
        if answer is not None:
            self._removal.remember_answer(answer)
        return answer

    def downloaded(self, attempt: int) -> Picture | None:
        """Return the complete download of an attempt, if there is one.

        Raises:
            StoreError: the spool cannot be read.
        """
        with self._readable():
            picture = find_download(self._folder, attempt)
        if picture is not None:
            self._removal.remember(attempt, mark_of(picture.file), picture.file)
        return picture

    def clear(self, attempt: int) -> None:
        """Forget the answer of a settled attempt. Files go a little later, many at once; `sweep` finds what is left."""
        self._discarded.pop(attempt, None)
        if self._removal.clear(attempt):
            self._threads.start(self._remove_cleared)

    def attempts(self) -> set[int]:
        """Return the attempts of which there is any file.

        Raises:
            StoreError: the spool cannot be read.
        """
        with self._readable():
            return {attempt for name in self._folder.names() if (attempt := attempt_of(name)) is not None}

    def look_at(self, attempt: int) -> Answer | None:
        """Return the complete answer of an attempt, a kept one too, if there is one. Nothing is touched.

        Raises:
            ValueError: its receipt cannot be used.
            StoreError: the spool cannot be read.
        """
        with self._readable():
            return look_at_any(self._folder, attempt)

    async def keep(self, attempt: int) -> bool:
        """Move a complete answer to the kept ones, durable; tell whether there is room for more.

        Raises:
            StoreError: it cannot be moved.
        """
        return await self._threads.run(keep, self._folder, attempt)

    def kept(self) -> set[int]:
        """Return the attempts of which there is any file among the kept answers.

        Raises:
            StoreError: the spool cannot be read.
        """
        with self._readable():
            return kept_attempts(self._folder)

    def forget_kept(self, attempt: int) -> None:
        """Remove the kept answer of an attempt whose image is in the books.

        Raises:
            StoreError: it cannot be removed.
        """
        with self._readable():
            forget_kept(self._folder, attempt)

    def keep_aside(self, attempt: int) -> None:
        """Keep what nobody can tell the task of in the quarantine, and note it.

        Raises:
            StoreError: it cannot be moved.
        """
        kept = keep_aside(self._folder, attempt)
        self.notes.append(f"nobody can tell what attempt {attempt} was for; its files are kept: {', '.join(kept)}")

    def sweep(self, settled: Collection[int]) -> None:
        """Tidy up at the start: remove what belongs to attempts that the ledger knows and is done with.

        Bytes of a complete answer that are nowhere else go to quarantine instead, and are noted.

        Raises:
            StoreError: the spool cannot be tidied.
        """
        self._threads.wait()
        self._remove_cleared()
        with self._readable():
            self.notes += sweep(self._folder, settled)

    def close(self) -> None:
        """Wait for the threads, remove what was cleared, let go of everything."""
        with ExitStack() as last:  # whatever ends this early: who holds the folders keeps everybody else out of them
            last.callback(self._root.close)
            last.callback(self._folder.close)
            self._threads.close()
            self._remove_cleared()
            if self._own_decoder is not None:
                self._own_decoder.close()
            with self._noted():
                self._space.close()

    def _commit(self, answer: Answer, sinks: Sequence[SpoolSink], spot: Spot | None) -> Image | Damaged | None:
        commit_answer(self._folder, self._space, answer, sinks)
        if spot is None or answer.picture is None:
            return None
        try:
            return place_within(Spooled(self._folder, answer.picture.file), self._root, spot, self._decoder)
        except StoreError:
            return None  # the answer is whole; who places it again is told

    def _place_kept(self, file: str, spot: Spot) -> Image | Damaged:
        with self._readable(), self._folder.child(KEPT) as kept:
            return place_or_leave(Spooled(kept, file), self._root, spot, self._decoder)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise trouble(error, "read", self._folder.path) from error

    def _remove_part(self, sink: SpoolSink) -> None:
        with self._noted():
            sink.release()
            self._folder.remove(sink.name)

    def _remove_cleared(self) -> None:
        while self._removal.waits:
            with self._noted():
                self._removal.remove_next()

    @contextmanager
    def _noted(self) -> Iterator[None]:
        """Note what cannot be tidied now; it is swept at the next start."""
        try:
            yield
        except OSError as error:
            self.notes.append(str(trouble(error, "tidy", self._folder.path)))
