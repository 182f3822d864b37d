"""The whole answers of a spool, and a ledger that nothing is written to: the two ends that a dry run leaves alone."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from batchgen.domain.origin import NO_ORIGIN, Origin
from batchgen.domain.wire import Answer
from batchgen.ledger.rebuilding import Entered, Page, Pile, Written, look
from batchgen.store.folder import Folder, trouble
from batchgen.store.layout import SPOOL
from batchgen.store.output.index_lines import newest
from batchgen.store.spool.leftovers import look_at_answer
from batchgen.store.spool.spool import Spool


class SpooledAnswers:
    """The answers of an open spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def attempts(self) -> set[int]:
        """The attempts of which there is any file."""
        return self._spool.attempts()

    def origin(self, attempt: int) -> Origin | None:
        """What the whole answer of an attempt is for; None where there is no whole answer.

        Raises:
            ValueError: nobody can tell.
        """
        return _origin(self._spool.look_at(attempt))

    def keep_aside(self, attempt: int) -> None:
        """Keep what nobody can tell the task of in the quarantine."""
        self._spool.keep_aside(attempt)


class UntouchedAnswers:
    """The answers of an output folder whose spool is only looked at."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def attempts(self) -> set[int]:
        """The attempts of which there is any file."""
        return set(newest(self._output)[1])

    def origin(self, attempt: int) -> Origin | None:
        """What the whole answer of an attempt is for; None where there is no whole answer.

        Raises:
            ValueError: nobody can tell.
            StoreError: the spool cannot be read.
        """
        try:
            with Folder.open(self._output / SPOOL) as spool:
                return _origin(look_at_answer(spool, attempt))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise trouble(error, "read", self._output / SPOOL) from error

    def keep_aside(self, attempt: int) -> None:
        """Leave it where it is."""


class UntouchedBooks:
    """Says what a ledger would enter, and writes nothing."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._entered: frozenset[int] = frozenset()

    def known(self, attempts: Collection[int]) -> frozenset[int]:
        """Of some attempts those that would be in the books by now."""
        return look(self._ledger, attempts)[0] | self._entered.intersection(attempts)

    def delivered(self, attempts: Collection[int]) -> dict[int, str]:
        """Of some attempts the checksums of their images."""
        return look(self._ledger, attempts)[1]

    def enter_images(self, page: Page) -> Written:
        """What would become of a page."""
        known = self._entered | set(self.delivered({line.attempt for line, _ in page.lines}))
        entered = []
        for line, whole in page.lines:
            entered.append(Entered.KNOWN if line.attempt in known else Entered.IMAGE if whole else Entered.GONE)
            known |= {line.attempt}
        self._entered |= known
        return Written(tuple(entered))

    def enter_answers(self, pile: Pile) -> Written:
        """What would become of a pile."""
        return Written((Entered.ANSWER,) * len(pile.answers))


def _origin(answer: Answer | None) -> Origin | None:
    if answer is None:
        return None
    if answer.origin == NO_ORIGIN:
        raise ValueError("its receipt does not tell what it was for")
    return answer.origin
