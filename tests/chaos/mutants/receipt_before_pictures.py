"""The receipt, which says that an answer is whole, is on disk before the answer is."""

from __future__ import annotations

import os
from collections.abc import Sequence

from batchgen.domain.wire import Answer
from batchgen.store.folder import Folder, make_durable, trouble, write_all
from batchgen.store.spool import commit
from batchgen.store.spool.disk_space import FreeSpace
from batchgen.store.spool.receipt import write_receipt
from batchgen.store.spool.sink import SpoolSink

CHECKS = ("tests/chaos/test_simulation.py",)
FIRST_SEED = 20


def _commit_answer(spool: Folder, _space: FreeSpace, answer: Answer, sinks: Sequence[SpoolSink]) -> None:
    new = f"{answer.attempt}.tmp"
    try:
        fd = spool.create_anew(new)
        write_all(fd, write_receipt(answer))
        make_durable(fd)
        os.close(fd)
        spool.rename(new, f"{answer.attempt}.json")
        spool.sync()
        for sink in sinks:
            sink.flush()
            sink.make_durable()
        spool.sync()
    except OSError as error:
        raise trouble(error, "write the answer", spool.where(new)) from error
    finally:
        for sink in sinks:
            sink.release()


_commit_answer.__name__ = "commit_answer"


def apply() -> None:
    """Break the build."""
    commit.commit_answer = _commit_answer
