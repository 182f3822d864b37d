"""What the outside may observe of a run, as it happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchgen.domain.lifecycle import TaskState
from batchgen.domain.model import Claim, Outcome
from batchgen.domain.output_image import Image


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call has been reserved and is on its way."""

    claim: Claim
    attempt: int


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call came back, or will not.

    Attributes:
        billed: micro-dollars booked as billed.
        maybe: micro-dollars booked as unknown.
        becomes: the task's state from now on; None while its image is still being checked.
        then: what happens next, in words.
    """

    claim: Claim
    attempt: int
    outcome: Outcome
    billed: int
    maybe: int
    seconds: float
    becomes: TaskState | None
    then: str


@dataclass(frozen=True, slots=True)
class ImageDelivered:
    """An image is in the output folder and in the books."""

    claim: Claim
    attempt: int
    image: Image
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LanePaused:
    """A lane waits, as the gateway asked.

    Attributes:
        lane: its name, which tells the variable of its key where each key has its own.
    """

    lane: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the person who watches."""

    text: str


@dataclass(frozen=True, slots=True)
class RunStopped:
    """No new calls will be made."""

    reason: str


RunEvent = CallStarted | CallEnded | ImageDelivered | LanePaused | Notice | RunStopped
Listener = Callable[[RunEvent], None]
