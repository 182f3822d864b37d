"""What goes to a Batch API and what comes back, in files, as plain values without the bytes of images."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.domain.origin import Origin
from batchgen.domain.wire import FilePiece

_ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class CallFile:
    """Holds the calls that are handed in together.

    Attributes:
        token: our own name of the batch.
        lines: a call each, its line feed included; input images are read while the file is written.
    """

    token: str
    lines: tuple[tuple[bytes | FilePiece, ...], ...]


@dataclass(frozen=True, slots=True)
class AwaitedAnswer:
    """Names a call whose answer is looked for in a file.

    Attributes:
        custom_id: the name that the call was handed in by.
        origin: what it is for.
    """

    custom_id: str
    attempt: int
    origin: Origin


@dataclass(frozen=True, slots=True)
class AnswerFile:
    """Names a file of answers that a gateway has ready.

    Attributes:
        id: the gateway's name of the file.
        batch: the gateway's name of the batch.
        handed_in: when that was written down, seconds since the epoch.
        awaited: the calls whose answers are wanted; others are passed over.
    """

    id: str
    batch: str
    handed_in: float
    awaited: tuple[AwaitedAnswer, ...]


@dataclass(frozen=True, slots=True)
class RemoteBatch:
    """A batch as the gateway describes it.

    Attributes:
        output_file, error_file: ids, "" while or where there is none.
        detail: what was wrong with the whole of it, "" for nothing.
        code: the gateway's word for that, "" for none.
    """

    id: str
    status: str
    output_file: str
    error_file: str
    completed: int
    failed: int
    total: int
    detail: str
    code: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether the gateway does nothing more about it."""
        return self.status in _ENDED

    @property
    def queue_is_full(self) -> bool:
        """Whether it was turned away only because too much is being worked on; nothing of it was.

        Source: openai-python issue 2084 ("Enqueued token limit reached … try again once some in_progress batches have
        been completed").
        """
        return self.status == "failed" and self.code == "token_limit_exceeded"
