"""Which processors the threads of a run use.

The event loop, the ledger's writer and the threads for small files hand the interpreter's lock to one another many
times per image. Between cores each hand-over is a sleep and a wake-up; on one core it is next to nothing. So they share
one, and what works outside the lock (whole checks of large images, decoders) has all of them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ALL: frozenset[int] = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


@contextmanager
def on_one_core() -> Iterator[None]:
    """Have every thread there is now run on one core, until the end; nothing is done where the system has no say."""
    if len(ALL) < 2:
        yield
        return
    _put_all_on(frozenset({sorted(ALL)[os.getpid() % len(ALL)]}))
    try:
        yield
    finally:
        _put_all_on(ALL)


def _put_all_on(cores: frozenset[int]) -> None:
    for thread in threading.enumerate():
        if thread.native_id is not None:
            try:
                os.sched_setaffinity(thread.native_id, cores)
            except OSError:  # it has just ended, or the system forbids it: only speed is lost
                continue


def use_all(cores: frozenset[int] = ALL) -> None:
    """Let the calling thread, and the threads it starts, run anywhere again."""
    if len(cores) > 1:
        os.sched_setaffinity(0, cores)
