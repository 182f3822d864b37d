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
    """A call came to nothing that may go through later, and its lane holds back.

    Attributes:
        lane: its name, which tells the variable of its key where each key has its own.
        seconds: until it, or another, may go.
    """

    lane: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class GatewayDown:
    """A gateway fails call after call. From now on it is only asked whether it is back.

    Attributes:
        sizes: the tier that it is down for, "" for all.
        tasks: whose first calls failed one after the other.
        reason: what the last of them said.
    """

    route: str
    sizes: str
    tasks: int
    reason: str

    def __str__(self) -> str:
        return (
            f"{_named(self)} is down: {self.tasks} tasks failed one after the other ({self.reason[:200]}). It is only "
            "asked now and then whether it is back, and no task is charged with it"
        )


@dataclass(frozen=True, slots=True)
class GatewayBack:
    """A gateway that was down answers again."""

    route: str
    sizes: str
    seconds: float

    def __str__(self) -> str:
        return f"{_named(self)} is back after {self.seconds / 60:.0f} minutes"


@dataclass(frozen=True, slots=True)
class GatewayGivenUp:
    """A gateway that is down is waited for no longer, or not by those whose size fails on its own."""

    route: str
    sizes: str
    seconds: float

    def __str__(self) -> str:
        return f"{_named(self)} was waited for {self.seconds / 60:.0f} minutes, and is no longer"


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the person who watches."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class RunStopped:
    """No new calls will be made."""

    reason: str


def _named(event: GatewayDown | GatewayBack | GatewayGivenUp) -> str:
    return f"{event.route} for {event.sizes}" if event.sizes else event.route


GatewayEvent = LanePaused | GatewayDown | GatewayBack | GatewayGivenUp
RunEvent = CallStarted | CallEnded | ImageDelivered | GatewayEvent | Notice | RunStopped
Listener = Callable[[RunEvent], None]
