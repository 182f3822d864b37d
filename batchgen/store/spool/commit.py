"""How an answer becomes complete on disk. In a thread, in one go, safe at any kill."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial

from batchgen.domain.wire import Answer
from batchgen.store.folder import Folder, make_durable, trouble, write_all
from batchgen.store.layout import RECEIPT, TEMPORARY, mark_of
from batchgen.store.quarantine import set_aside
from batchgen.store.spool.disk_space import FreeSpace
from batchgen.store.spool.receipt import write_receipt
from batchgen.store.spool.sink import SpoolSink


def commit_answer(spool: Folder, space: FreeSpace, answer: Answer, sinks: Sequence[SpoolSink]) -> None:
    """Write the pictures of an answer, then its receipt; when this returns, all is durable.

    Everything is written before anything is synced, because the first sync then does most of the work of the others.

    Raises:
        NoRoom: the disk is full.
        StoreError: the spool cannot be written.
    """
    new, fd = f"{answer.attempt}{TEMPORARY}", -1
    try:
        for sink in sinks:
            space.insist(sink.flush)
        fd = space.insist(partial(_write, spool, new, write_receipt(answer)))
        for sink in sinks:
            sink.make_durable()
        make_durable(fd)
        space.insist(partial(spool.rename, new, f"{answer.attempt}{RECEIPT}"))
        spool.sync()
        space.leave_some_for_the_books()
    except OSError as error:
        raise trouble(error, "write the answer", spool.where(new)) from error
    finally:
        if fd >= 0:
            os.close(fd)
        for sink in sinks:
            sink.release()


def commit_download(spool: Folder, space: FreeSpace, sink: SpoolSink) -> None:
    """Write a downloaded picture, then the mark that it is whole; when this returns, both are durable.

    Raises:
        NoRoom: the disk is full.
        StoreError: the spool cannot be written.
    """
    try:
        space.insist(sink.flush)
        sink.make_durable()
        os.close(space.insist(partial(spool.create_anew, mark_of(sink.name))))
        spool.sync()
        space.leave_some_for_the_books()
    except OSError as error:
        raise trouble(error, "write", spool.where(sink.name)) from error
    finally:
        sink.release()


def commit_aside(spool: Folder, space: FreeSpace, sink: SpoolSink) -> str:
    """Write a downloaded picture that is not to be placed to the quarantine; return its name below the spool.

    Raises:
        NoRoom: the disk is full.
        StoreError: the spool cannot be written.
    """
    try:
        space.insist(sink.flush)
        sink.make_durable()
    except OSError as error:
        raise trouble(error, "write", spool.where(sink.name)) from error
    finally:
        sink.release()
    return set_aside(spool, sink.name)


def _write(spool: Folder, name: str, data: bytes) -> int:
    """Make a new file with all of these bytes; return its descriptor, still open."""
    fd = spool.create_anew(name)
    try:
        write_all(fd, data)
    except BaseException:
        os.close(fd)
        raise
    return fd
