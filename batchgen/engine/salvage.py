"""A ledger brought up to what an output folder tells: its index first, then the whole answers of its spool.

May be killed at any moment and made again: what is entered already is known by itself. Nothing is removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol

from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Delivered
from batchgen.ledger.rebuilding import Entered, Page, Pile, Written
from batchgen.store.output.image_faults import fault_within
from batchgen.store.output.image_index import NAME
from batchgen.store.output.index_lines import IndexLine, lines_of

_PAGE = 500  # lines that are entered in one transaction
_THREADS = 4
_NAMED = 1000  # of what cannot be entered; the rest is only counted


class Books(Protocol):
    """The ledger, or what stands in for it when nothing is to be written."""

    def known(self, attempts: Collection[int]) -> frozenset[int]:
        """Of some attempts those that are in the books."""
        ...

    def delivered(self, attempts: Collection[int]) -> dict[int, str]:
        """Of some attempts the checksums of their images."""
        ...

    def enter_images(self, page: Page) -> Written:
        """Enter images."""
        ...

    def enter_answers(self, pile: Pile) -> Written:
        """Enter answers."""
        ...


class Answers(Protocol):
    """The spool, or what stands in for it."""

    def attempts(self) -> set[int]:
        """The attempts of which there is any file."""
        ...

    def origin(self, attempt: int) -> Origin | None:
        """What the whole answer of an attempt is for; None where there is no whole answer.

        Raises:
            ValueError: nobody can tell.
        """
        ...

    def keep_aside(self, attempt: int) -> None:
        """Keep what nobody can tell the task of."""
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
        """Something that cannot be entered."""
        if len(self.faults) < _NAMED or what in self.faults:
            self.faults[what] = why
        else:
            self.unnamed += 1


class Salvage:
    """Enters what one output folder tells of one job."""

    def __init__(self, job: int, name: str, folder: tuple[Path, Answers], books: Books) -> None:
        """Name what is brought together.

        Args:
            job: its number in the ledger.
            name: of the job.
            folder: the output folder, absolute, and its spool.
            books: what is written to.
        """
        output, self._answers = folder
        self._books = books
        self._job = job
        self._name = name
        self._output = output
        self._root = output.resolve()
        self._touched = frozenset[int]()
        self.found = Salvaged()

    def run(self, progress: Callable[[int], None]) -> Salvaged:
        """Enter what the index tells, then whole answers that the ledger does not know, and keep the rest aside.

        Args:
            progress: told how many lines are done.

        Raises:
            StoreError: index or spool cannot be read.
            LedgerError: the ledger cannot be written.
        """
        lines, done = lines_of(self._output), 0
        with ThreadPoolExecutor(_THREADS, "checksum") as pool:
            while some := list(islice(lines, _PAGE)):
                done += len(some)
                self._enter(pool, list(self._own(some)))
                progress(done)
        attempts = self._answers.attempts()
        whole = list(self._whole(sorted(attempts - self._books.known(attempts))))
        for start in range(0, len(whole), _PAGE):
            pile = Pile(self._job, tuple(whole[start : start + _PAGE]))
            for (attempt, _), entered in zip(pile.answers, self._books.enter_answers(pile).entered, strict=True):
                self._count(attempt, entered)
        return self.found

    def _count(self, attempt: int, entered: Entered) -> None:
        self.found.answers += entered is Entered.ANSWER
        self.found.doubtful += entered is Entered.DOUBT
        if entered is Entered.KNOWN:  # under another number: its file would be looked for in vain
            self._answers.keep_aside(attempt)

    def _whole(self, attempts: Iterable[int]) -> Iterator[tuple[int, Origin]]:
        for attempt in attempts:
            try:
                origin = self._answers.origin(attempt)
            except ValueError as error:
                self.found.fault(f"the answer of attempt {attempt}", str(error))
                self._answers.keep_aside(attempt)
                continue
            if origin is None:
                self.found.halves += 1
                self._answers.keep_aside(attempt)
            elif origin.job == self._name:
                yield attempt, origin
            else:
                self.found.others[origin.job] += 1

    def _lies_in_spool(self, attempt: int) -> bool:
        """Whether the next run places an image from the spool."""
        with suppress(ValueError):
            return self._answers.origin(attempt) is not None
        return False

    def _own(self, some: Iterable[IndexLine]) -> Iterator[tuple[int, Delivered]]:
        """The lines that are whole and of this job, with their numbers; the others are told."""
        strange: list[Delivered] = []
        for told in some:
            if told.image is None:
                self.found.fault(f"line {told.number} of {NAME}", told.why)
            elif told.image.origin.job != self._name:
                strange.append(told.image)
            else:
                yield told.number, told.image
        has = self._books.delivered({line.attempt for line in strange}) if strange else {}
        self.found.others.update(line.origin.job for line in strange if line.attempt not in has)

    def _enter(self, pool: ThreadPoolExecutor, own: list[tuple[int, Delivered]]) -> None:
        has = self._books.delivered({line.attempt for _, line in own})
        check = partial(_fault, self._root, has)
        checked = list(pool.map(check, (line for _, line in own)))
        wanted = [
            (number, line, wrong)
            for (number, line), wrong in zip(own, checked, strict=True)
            if wrong is None or not self._lies_in_spool(line.attempt)
        ]
        page = Page(self._job, tuple((line, wrong is None) for _, line, wrong in wanted), self._touched)
        written = self._books.enter_images(page)
        self._touched |= written.touched
        for (number, line, wrong), entered in zip(wanted, written.entered, strict=True):
            what = _name(line.origin)
            if entered is Entered.GONE:
                self.found.fault(what, f"{line.image.path} {wrong} (line {number} of {NAME})")
            else:
                self.found.faults.pop(what, None)  # a later line brought it after all
                self.found.images += entered is Entered.IMAGE
                self.found.known += entered is Entered.KNOWN


def told_jobs(output: Path, answers: Answers, wanted: str) -> dict[str, Origin]:
    """The jobs that an output folder tells of, each with one of its attempts; no further than to the wanted one.

    Raises:
        StoreError: the folder cannot be read.
    """
    found: dict[str, Origin] = {}
    for told in lines_of(output):
        if told.image is not None:
            found.setdefault(told.image.origin.job, told.image.origin)
            if wanted in found:
                return found
    for attempt in sorted(answers.attempts()):
        with suppress(ValueError):
            if (origin := answers.origin(attempt)) is not None:
                found.setdefault(origin.job, origin)
    return found


def _fault(root: Path, has: dict[int, str], line: Delivered) -> str | None:
    """What is wrong with the file of an image; one that the ledger has already need not be read again."""
    if has.get(line.attempt) == line.image.sha256:
        return None
    return fault_within(root, line.image.path, line.image.bytes, line.image.sha256)


def _name(origin: Origin) -> str:
    return f"{origin.key}/{origin.size}/{origin.sample}"
