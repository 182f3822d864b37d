"""Kept answers: whole, paid, and read by nobody so far. They wait in a folder of the spool for what can read them.

It holds a receipt with the text that came, and the pictures that nobody recognised, under the names they had in the
spool. Pictures move first and the receipt last, so that a receipt there never stands for bytes that are elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest

from batchgen.domain.wire import Answer
from batchgen.store.folder import Folder, trouble
from batchgen.store.layout import KEPT, RECEIPT, attempt_of
from batchgen.store.quarantine import make_folder, variants
from batchgen.store.spool.leftovers import files_of, look_at_answer

MOST_ANSWERS = 1_000
MOST_BYTES = 1 << 30


def keep(spool: Folder, attempt: int) -> bool:
    """Move all files of an attempt from the spool to the kept answers, durable; tell whether there is room for more.

    What was moved by an earlier try stays where it is.

    Raises:
        StoreError: one cannot be moved.
    """
    try:
        make_folder(spool, KEPT)
        spool.sync()  # it may be new, and what moves into it must not go with its name
        with spool.child(KEPT) as kept:
            for name in reversed(files_of(spool, attempt)):
                if kept.stat(name) is not None:  # a stranger's: nothing is ever written over
                    kept.rename(name, next(other for other in variants(name) if kept.stat(other) is None))
                spool.rename(name, name, kept)
            kept.sync()
            found = _amount(kept)
        spool.sync()
    except OSError as error:
        raise trouble(error, "keep the answer in", spool.where(KEPT)) from error
    return found.answers < MOST_ANSWERS and found.bytes < MOST_BYTES


def kept_attempts(spool: Folder) -> set[int]:
    """Return the attempts of which there is any file among the kept answers.

    Raises:
        OSError: they cannot be looked at.
    """
    try:
        with spool.child(KEPT) as kept:
            return {attempt for name in kept.names() if (attempt := attempt_of(name)) is not None}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def look_at_kept(spool: Folder, attempt: int) -> Answer:
    """Return the kept answer of an attempt; nothing is touched.

    Raises:
        FileNotFoundError: there is none.
        ValueError: its receipt cannot be used.
        OSError: it cannot be read.
    """
    with spool.child(KEPT) as kept:
        return look_at_answer(kept, attempt)


def look_at_any(spool: Folder, attempt: int) -> Answer | None:
    """Return the complete answer of an attempt, from the spool or a kept one; None where there is none.

    Raises:
        ValueError: its receipt cannot be used.
        OSError: it cannot be read.
    """
    for look in (look_at_answer, look_at_kept):
        with suppress(FileNotFoundError, NotADirectoryError):
            return look(spool, attempt)
    return None


def kept_digests(spool: Folder, files: Sequence[str]) -> list[str]:
    """Return the SHA-256 in hexadecimal of pictures of kept answers, in order; "" for one that is not there.

    Raises:
        OSError: one cannot be read.
    """
    found = []
    with spool.child(KEPT) as kept:
        for file in files:
            try:
                with open(kept.read_file(file), "rb") as picture:  # noqa: PTH123 - by descriptor
                    found.append(file_digest(picture, "sha256").hexdigest())
            except FileNotFoundError:
                found.append("")
    return found


def forget_kept(spool: Folder, attempt: int) -> None:
    """Remove the kept answer of an attempt whose image is in the books: the receipt first, then its pictures.

    Raises:
        OSError: a file cannot be removed.
    """
    with spool.child(KEPT) as kept:
        for name in files_of(kept, attempt):
            kept.remove(name)


@dataclass(frozen=True, slots=True)
class _Amount:
    answers: int
    bytes: int


def _amount(kept: Folder) -> _Amount:
    names = kept.names()
    sizes = (found.st_size for name in names if (found := kept.stat(name)) is not None)
    return _Amount(sum(name.endswith(RECEIPT) for name in names), sum(sizes))
