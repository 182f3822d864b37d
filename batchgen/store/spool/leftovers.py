"""What a dead process left in the spool: whole answers to go on with, and the rest to tidy away.

Bytes that may be paid and are nowhere else are never removed; they go to quarantine, and a note says so.
"""

from __future__ import annotations

import stat
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from batchgen.domain.wire import Answer, Picture
from batchgen.store.folder import Folder, NotAFile
from batchgen.store.layout import PART, RECEIPT, SPOOL, attempt_of, mark_of, removal_order
from batchgen.store.quarantine import set_aside
from batchgen.store.spool.receipt import read_receipt


def files_of(spool: Folder, attempt: int) -> list[str]:
    """Return all files of an attempt, in the order in which they may be removed."""
    return sorted((name for name in spool.names() if attempt_of(name) == attempt), key=removal_order)


def look_at_answer(spool: Folder, attempt: int) -> Answer:
    """Return the complete answer of an attempt; nothing is touched.

    Raises:
        FileNotFoundError: there is none.
        ValueError: its receipt cannot be used.
        OSError: the spool cannot be read.
    """
    answer = read_receipt(spool.read_bytes(f"{attempt}{RECEIPT}"))
    if answer.attempt != attempt:
        raise ValueError(f"it is of attempt {answer.attempt}")
    if strange := [picture.file for picture in answer.kept if attempt_of(picture.file) != attempt]:
        raise ValueError(f"it names {strange[0]!r}")
    return answer


def read_answer(spool: Folder, attempt: int) -> tuple[Answer | None, str]:
    """Return the complete answer of an attempt, if there is one; a note when its receipt had to be set aside.

    Raises:
        OSError: the spool cannot be read.
        StoreError: a file cannot be set aside.
    """
    try:
        return look_at_answer(spool, attempt), ""
    except FileNotFoundError:
        return None, ""
    except (ValueError, NotAFile) as error:
        kept = keep_aside(spool, attempt)
        return None, f"the receipt of attempt {attempt} cannot be used ({error}); its files are kept: {', '.join(kept)}"


def keep_aside(spool: Folder, attempt: int) -> list[str]:
    """Move all files of an attempt into the quarantine; return where they are now, below the spool.

    Raises:
        StoreError: one cannot be moved.
    """
    return [set_aside(spool, name) for name in reversed(files_of(spool, attempt))]


def find_download(spool: Folder, attempt: int) -> Picture | None:
    """Return the complete download of an attempt, if there is one.

    Raises:
        OSError: the spool cannot be read.
    """
    names = files_of(spool, attempt)
    for name in names:
        if name.endswith(PART) and mark_of(name) in names:
            found = spool.stat(name)
            if found is not None and stat.S_ISREG(found.st_mode):
                return Picture(name, found.st_size)
    return None


def sweep(spool: Folder, settled: Collection[int]) -> list[str]:
    """Remove what belongs to these attempts; return sentences about what was set aside instead.

    Raises:
        OSError: a file cannot be looked at or removed.
        StoreError: a file cannot be set aside.
    """
    attempts: dict[int, list[str]] = defaultdict(list)
    for name in spool.names():
        attempt = attempt_of(name)
        if attempt is not None and attempt in settled:
            attempts[attempt].append(name)
    return [note for attempt, names in attempts.items() for note in _sweep_one(spool, attempt, names)]


def _sweep_one(spool: Folder, attempt: int, names: list[str]) -> list[str]:
    """Set pictures aside that must stay, then remove the rest: a kill in between leaves an answer to sweep again."""
    kept = [
        set_aside(spool, name)
        for name in names
        if name.endswith(PART)
        and (f"{attempt}{RECEIPT}" in names or mark_of(name) in names)
        and _only_here(spool, name)
    ]
    for name in sorted(names, key=removal_order):
        _remove(spool, name)
    return [
        f"the ledger is done with attempt {attempt}, but its picture was only in the spool: see {at}" for at in kept
    ]


def _remove(spool: Folder, name: str) -> None:
    """Remove a file; a folder that has its name is none of ours, and is set aside."""
    found = spool.stat(name)
    if found is not None and stat.S_ISDIR(found.st_mode):
        set_aside(spool, name)
    else:
        spool.remove(name)


def _only_here(spool: Folder, name: str) -> bool:
    """Tell whether a file has bytes and no second name in the output folder."""
    found = spool.stat(name)
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_size > 0 and found.st_nlink < 2


def answered(output: Path) -> frozenset[int]:
    """Return whose answers lie whole in the spool of an output folder, where nobody has it open."""
    receipts = (output / SPOOL).glob(f"*{RECEIPT}")
    return frozenset(attempt for path in receipts if (attempt := attempt_of(path.name)) is not None)
