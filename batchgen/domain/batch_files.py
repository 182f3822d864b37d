"""What goes to a Batch API and comes back in files, as plain values without the bytes of images."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.domain.origin import Origin
from batchgen.domain.wire import FilePiece


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
