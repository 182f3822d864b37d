"""A ledger that nothing is written to, for a rebuild that only says what it would enter."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from batchgen.ledger.rebuilding import Entered, Page, Pile, Written, look


class UntouchedBooks:
    """Says what a ledger would enter, and writes nothing."""

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._entered: frozenset[int] = frozenset()

    def known(self, attempts: Collection[int]) -> frozenset[int]:
        """Return those of some attempts that would be in the books by now."""
        return look(self._ledger, attempts)[0] | self._entered.intersection(attempts)

    def delivered(self, attempts: Collection[int]) -> dict[int, str]:
        """Return the checksums of the images of some attempts."""
        return look(self._ledger, attempts)[1]

    def enter_images(self, page: Page) -> Written:
        """Return what would become of a page."""
        known = self._entered | set(self.delivered({line.attempt for line, _ in page.lines}))
        entered = []
        for line, whole in page.lines:
            entered.append(Entered.KNOWN if line.attempt in known else Entered.IMAGE if whole else Entered.GONE)
            known |= {line.attempt}
        self._entered |= known
        return Written(tuple(entered))

    def enter_answers(self, pile: Pile) -> Written:
        """Return what would become of a pile."""
        return Written((Entered.ANSWER,) * len(pile.answers))
