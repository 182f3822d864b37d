"""What an output folder on this machine tells: the lines of its index, its images, the whole answers of its spool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

from batchgen.domain.origin import NO_ORIGIN, Origin
from batchgen.domain.output_image import Delivered, IndexLine
from batchgen.domain.wire import Answer, Call
from batchgen.gateway.echo import sent_by
from batchgen.gateway.rereading import read_again
from batchgen.store.folder import Folder, trouble
from batchgen.store.layout import SPOOL
from batchgen.store.output.image_faults import fault_within
from batchgen.store.output.index_lines import lines_of, newest
from batchgen.store.spool.kept_answers import kept_attempts, kept_digests, look_at_any, look_at_kept
from batchgen.store.spool.spool import Spool

_PAGE = 500  # lines
_THREADS = 4


class UntouchedFolder:
    """An output folder that is only looked at."""

    def __init__(self, output: Path) -> None:
        """Know the folder; `output` is absolute."""
        self._output = output

    async def index_lines(self) -> AsyncIterator[tuple[IndexLine, ...]]:
        """Yield the lines of the index in order, some hundred at a time."""
        lines = lines_of(self._output)
        while some := tuple(islice(lines, _PAGE)):
            yield some

    async def faults(self, images: Sequence[Delivered]) -> list[str | None]:
        """Return what is wrong with the file of each image; None for one that is what was bought."""
        run, fault = asyncio.get_running_loop().run_in_executor, partial(fault_within, self._output.resolve())
        with ThreadPoolExecutor(_THREADS, "checksum") as pool:
            files = (each.image for each in images)
            return await asyncio.gather(*(run(pool, fault, file.path, file.bytes, file.sha256) for file in files))

    async def attempts(self) -> set[int]:
        """Return the attempts of which the spool has any file."""
        return set(newest(self._output)[1])

    async def origin(self, attempt: int) -> Origin | None:
        """Return what the whole answer of an attempt is for; None where there is no whole answer.

        Raises:
            ValueError: nobody can tell.
            StoreError: the spool cannot be read.
        """
        try:
            with Folder.open(self._output / SPOOL) as spool:
                return _origin(look_at_any(spool, attempt))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise trouble(error, "read", self._output / SPOOL) from error

    async def kept(self) -> set[int]:
        """Return the attempts of which there is any file among the kept answers."""
        try:
            with Folder.open(self._output / SPOOL) as spool:
                return kept_attempts(spool)
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise trouble(error, "read", self._output / SPOOL) from error

    async def read_kept(self, call: Call) -> Answer | None:
        """Return a kept answer with the images that are found in it now; see `FolderHand.read_kept`."""
        try:
            with Folder.open(self._output / SPOOL) as spool:
                answer, sent = look_at_kept(spool, call.attempt), sent_by(call)
                files = [picture.file for picture in answer.spare] if sent.files else []
                digests = await asyncio.to_thread(kept_digests, spool, files) if files else []
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        except OSError as error:
            raise trouble(error, "read", self._output / SPOOL) from error
        return read_again(answer, call, sent, digests)

    async def keep_aside(self, attempt: int) -> None:
        """Leave the files of an attempt where they are."""


class OwnedFolder(UntouchedFolder):
    """An output folder whose spool is held open."""

    def __init__(self, spool: Spool) -> None:
        super().__init__(spool.output)
        self._spool = spool

    async def attempts(self) -> set[int]:
        """Return the attempts of which the spool has any file."""
        return self._spool.attempts()

    async def origin(self, attempt: int) -> Origin | None:
        """Return what the whole answer of an attempt is for; None where there is no whole answer.

        Raises:
            ValueError: nobody can tell.
        """
        return _origin(self._spool.look_at(attempt))

    async def kept(self) -> set[int]:
        """Return the attempts of which there is any file among the kept answers."""
        return self._spool.kept()

    async def keep_aside(self, attempt: int) -> None:
        """Keep what nobody can tell the task of in the quarantine."""
        self._spool.keep_aside(attempt)


def _origin(answer: Answer | None) -> Origin | None:
    if answer is None:
        return None
    if answer.origin == NO_ORIGIN:
        raise ValueError("its receipt does not tell what it was for")
    return answer.origin
