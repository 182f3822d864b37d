"""The removal of answers that are done with: a little later than it is asked for, many at once."""

from __future__ import annotations

from collections import deque
from contextlib import suppress

from batchgen.domain.wire import Answer
from batchgen.store.folder import Folder
from batchgen.store.layout import RECEIPT, removal_order
from batchgen.store.spool.leftovers import files_of

_AT_ONCE = 64  # attempts


class Removal:
    """Knows the files of complete answers, and which of them may go. A thread may remove while the loop goes on."""

    def __init__(self, spool: Folder) -> None:
        self._spool = spool
        self._files: dict[int, tuple[str, ...]] = {}  # in the order in which they may go
        self._cleared: deque[int] = deque()

    def remember(self, attempt: int, *files: str) -> None:
        """Add files to those of an attempt, so that nobody has to look for them."""
        before = self._files.get(attempt)
        self._files[attempt] = tuple(sorted({*before, *files}, key=removal_order)) if before else files

    def remember_answer(self, answer: Answer) -> None:
        """Add the receipt and the pictures of an answer."""
        self.remember(answer.attempt, f"{answer.attempt}{RECEIPT}", *(picture.file for picture in answer.kept))

    def clear(self, attempt: int) -> bool:
        """Have the files of an attempt go; tell whether so many wait now that it is worth a thread's while."""
        self._cleared.append(attempt)
        return len(self._cleared) == _AT_ONCE

    @property
    def waits(self) -> bool:
        """Whether there are files to remove."""
        return bool(self._cleared)

    def remove_next(self) -> None:
        """Remove the files of one attempt; nothing happens when another thread has taken the last.

        Raises:
            OSError: one cannot be removed; the next start sweeps it.
        """
        with suppress(IndexError):
            attempt = self._cleared.popleft()
            for name in self._files.pop(attempt, ()) or files_of(self._spool, attempt):
                self._spool.remove(name)
