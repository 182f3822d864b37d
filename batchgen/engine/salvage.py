"""A ledger brought up to what an output folder tells: its index first, then the whole answers of its spool.

May be killed at any moment and made again: what is entered already is known by itself. Nothing is removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Delivered, IndexLine
from batchgen.engine.hand import FolderHand
from batchgen.ledger.rebuilding import Entered, Page, Pile, Written
from batchgen.store.layout import INDEX

_PAGE = 500  # answers that are entered in one transaction
_NAMED = 1000  # of what cannot be entered; the rest is only counted


class Books(Protocol):
    """The ledger, or what stands in for it when nothing is to be written."""

    def known(self, attempts: Collection[int]) -> frozenset[int]:
        """Return those of some attempts that are in the books."""
        ...

    def delivered(self, attempts: Collection[int]) -> dict[int, str]:
        """Return the checksums of the images of some attempts."""
        ...

    def enter_images(self, page: Page) -> Written:
        """Enter images."""
        ...

    def enter_answers(self, pile: Pile) -> Written:
        """Enter answers."""
        ...


@dataclass(slots=True)
class Salvaged:
    """What was found, and what became of it.

    Attributes:
        images: entered with their attempts.
        known: lines whose images the ledger had.
        answers: whole answers that the next run finishes without a call.
        doubtful: answers entered as maybe paid, because their tasks went on.
        halves: attempts whose answers are not whole; kept aside.
        others: lines and answers of other jobs that the ledger does not have, by the job.
        faults: what cannot be entered and why, by what it is; of many only the first.
        unnamed: how many more there are.
    """

    images: int = 0
    known: int = 0
    answers: int = 0
    doubtful: int = 0
    halves: int = 0
    others: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    unnamed: int = 0

    def fault(self, what: str, why: str) -> None:
        """Note what cannot be entered, and why."""
        if len(self.faults) < _NAMED or what in self.faults:
            self.faults[what] = why
        else:
            self.unnamed += 1


class Salvage:
    """Enters what one output folder tells of one job."""

    def __init__(self, job: int, name: str, folder: FolderHand, books: Books) -> None:
        """Name what is brought together.

        Args:
            job: its number in the ledger.
            name: of the job.
            folder: what tells.
            books: what is written to.
        """
        self._folder = folder
        self._books = books
        self._job = job
        self._name = name
        self._touched = frozenset[int]()
        self.found = Salvaged()

    async def run(self, progress: Callable[[int], None]) -> Salvaged:
        """Enter what the index tells, then whole answers that the ledger does not know, and keep the rest aside.

        Args:
            progress: told how many lines are done.

        Raises:
            StoreError: index or spool cannot be read.
            LedgerError: the ledger cannot be written.
        """
        done = 0
        async for some in self._folder.index_lines():
            done += len(some)
            await self._enter(self._own(some))
            progress(done)
        attempts = await self._folder.attempts() | await self._folder.kept()
        whole = await self._whole(sorted(attempts - self._books.known(attempts)))
        for start in range(0, len(whole), _PAGE):
            pile = Pile(self._job, tuple(whole[start : start + _PAGE]))
            for (attempt, _), entered in zip(pile.answers, self._books.enter_answers(pile).entered, strict=True):
                await self._count(attempt, entered)
        return self.found

    async def _count(self, attempt: int, entered: Entered) -> None:
        self.found.answers += entered is Entered.ANSWER
        self.found.doubtful += entered is Entered.DOUBT
        if entered is Entered.KNOWN:  # under another number: its file would be looked for in vain
            await self._folder.keep_aside(attempt)

    async def _whole(self, attempts: Iterable[int]) -> list[tuple[int, Origin]]:
        found = []
        for attempt in attempts:
            try:
                origin = await self._folder.origin(attempt)
            except ValueError as error:
                self.found.fault(f"the answer of attempt {attempt}", str(error))
                await self._folder.keep_aside(attempt)
                continue
            if origin is None:
                self.found.halves += 1
                await self._folder.keep_aside(attempt)
            elif origin.job == self._name:
                found.append((attempt, origin))
            else:
                self.found.others[origin.job] += 1
        return found

    async def _lies_in_spool(self, attempt: int) -> bool:
        """Tell whether the next run places an image from the spool."""
        with suppress(ValueError):
            return await self._folder.origin(attempt) is not None
        return False

    def _own(self, some: Iterable[IndexLine]) -> list[tuple[int, Delivered]]:
        """Return the lines that are whole and of this job, with their numbers; count the others."""
        own: list[tuple[int, Delivered]] = []
        strange: list[Delivered] = []
        for told in some:
            if told.image is None:
                self.found.fault(f"line {told.number} of {INDEX}", told.why)
            elif told.image.origin.job != self._name:
                strange.append(told.image)
            else:
                own.append((told.number, told.image))
        has = self._books.delivered({line.attempt for line in strange}) if strange else {}
        self.found.others.update(line.origin.job for line in strange if line.attempt not in has)
        return own

    async def _enter(self, own: list[tuple[int, Delivered]]) -> None:
        has = self._books.delivered({line.attempt for _, line in own})
        # What the ledger has already need not be read again.
        unread = {number: line for number, line in own if has.get(line.attempt) != line.image.sha256}
        faults = dict(zip(unread, await self._folder.faults(list(unread.values())), strict=True))
        wanted = [
            (number, line, wrong)
            for number, line in own
            if (wrong := faults.get(number)) is None or not await self._lies_in_spool(line.attempt)
        ]
        page = Page(self._job, tuple((line, wrong is None) for _, line, wrong in wanted), self._touched)
        written = self._books.enter_images(page)
        self._touched |= written.touched
        for (number, line, wrong), entered in zip(wanted, written.entered, strict=True):
            what = _name(line.origin)
            if entered is Entered.GONE:
                self.found.fault(what, f"{line.image.path} {wrong} (line {number} of {INDEX})")
            else:
                self.found.faults.pop(what, None)  # a later line brought it after all
                self.found.images += entered is Entered.IMAGE
                self.found.known += entered is Entered.KNOWN


async def told_jobs(folder: FolderHand, wanted: str) -> dict[str, Origin]:
    """Return the jobs that an output folder tells of, each with one of its attempts; no further than to the wanted one.

    Raises:
        StoreError: the folder cannot be read.
    """
    found: dict[str, Origin] = {}
    async for some in folder.index_lines():
        for told in some:
            if told.image is not None:
                found.setdefault(told.image.origin.job, told.image.origin)
                if wanted in found:
                    return found
    for attempt in sorted(await folder.attempts() | await folder.kept()):
        with suppress(ValueError):
            if (origin := await folder.origin(attempt)) is not None:
                found.setdefault(origin.job, origin)
    return found


def _name(origin: Origin) -> str:
    return f"{origin.key}/{origin.size}/{origin.sample}"
