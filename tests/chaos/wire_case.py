"""What one wire fault is, as data: what the gateway sends, and what must come of it in the books."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from enum import Enum
from functools import partial

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from tests.chaos.pictures import GOOD_PICTURE
from tests.chaos.raw_gateway import End, Script, Send

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req-1\r\n"


class Step(Enum):
    """What must happen to the task after the first answer."""

    DELIVER = "its image is delivered"
    AGAIN = "bought again, one attempt less"
    WAIT = "the lane waits, the task is as it was"
    PARK = "a person must decide"
    FAIL = "no way on"
    STOP = "the lane stops, the task is as it was"
    CLOSE = "the lane stops, one attempt less"
    WITHHOLD = "the lane stops, the paid address waits until it is allowed"


@dataclass(frozen=True, slots=True)
class Case:
    """One fault.

    Attributes:
        first: what the gateway does with the first call; each further one is answered well.
        kind: of the first attempt, at its end; `charge` what is booked for it.
        step: what happens to the task.
        downloads: what it does with downloads, one after the other, the last again.
        timeout: seconds the contract allows a call; longer than a test may take, so that waiting for it is a hang.
        pause: between how many seconds the lane pauses.
        lifetime: seconds for which the contract says an address lives.
        endpoint: `images`, `edits`, `chat` or `responses`.
        says: what the books must say of it.
        ending: of the delivered file.
        flags: of the delivered image.
        https: whether the route's address is https although the gateway speaks plain.
        refused: whether nobody listens at the address.
        heavy: whether the request is an edit of some megabytes.
    """

    name: str
    first: Script = field(repr=False)
    kind: OutcomeKind
    charge: Charge
    step: Step
    downloads: tuple[Script, ...] = field(default=(), repr=False)
    timeout: float = 300.0
    pause: tuple[float, float] | None = None
    lifetime: float = 86400.0
    endpoint: str = "images"
    says: str = ""
    ending: str = ".png"
    flags: str = ""
    https: bool = False
    refused: bool = False
    heavy: bool = False

    @property
    def lasts(self) -> bool:
        """Whether the fault is there for as long as the address is the same."""
        return self.https or self.refused

    @property
    def route(self) -> str:
        """The route whose contract holds."""
        return "openai/gpt-image-2" if self.endpoint == "responses" else "apiyi/gpt-image-2-vip"


# A case by what it must come to: its name, the gateway's script, and whatever else is to be said.
whole = partial(Case, kind=OutcomeKind.DELIVERED, charge=Charge.BILLED, step=Step.DELIVER)
cut = partial(Case, kind=OutcomeKind.CUT, charge=Charge.BILLED, step=Step.AGAIN)
empty = partial(Case, kind=OutcomeKind.EMPTY, charge=Charge.BILLED, step=Step.AGAIN)
worded = partial(Case, kind=OutcomeKind.REFUSED_TEXT, charge=Charge.BILLED, step=Step.FAIL)
unread = partial(
    Case, kind=OutcomeKind.UNREAD, charge=Charge.BILLED, step=Step.PARK, says="kept in .batchgen/kept/1.json"
)
damaged = partial(Case, kind=OutcomeKind.DAMAGED, charge=Charge.BILLED, step=Step.AGAIN)
oversized = partial(Case, kind=OutcomeKind.OVERSIZED, charge=Charge.BILLED, step=Step.FAIL)
expired = partial(Case, kind=OutcomeKind.EXPIRED, charge=Charge.BILLED, step=Step.PARK)
withheld = partial(Case, kind=OutcomeKind.DELIVERED, charge=Charge.BILLED, step=Step.WITHHOLD)
lost = partial(Case, kind=OutcomeKind.LOST, charge=Charge.UNKNOWN, step=Step.AGAIN)
timed_out = partial(Case, kind=OutcomeKind.TIMED_OUT, charge=Charge.UNKNOWN, step=Step.AGAIN)
edge = partial(Case, kind=OutcomeKind.EDGE_ERROR, charge=Charge.UNKNOWN, step=Step.AGAIN)
own_error = partial(Case, kind=OutcomeKind.SERVER_ERROR, charge=Charge.VOID, step=Step.AGAIN)
rejected = partial(Case, kind=OutcomeKind.REJECTED, charge=Charge.VOID, step=Step.FAIL)
refused = partial(Case, kind=OutcomeKind.REFUSED, charge=Charge.VOID, step=Step.FAIL)
throttled = partial(Case, kind=OutcomeKind.THROTTLED, charge=Charge.VOID, step=Step.WAIT)
busy = partial(Case, kind=OutcomeKind.BUSY, charge=Charge.VOID, step=Step.WAIT)
page = partial(Case, kind=OutcomeKind.EDGE_ERROR, charge=Charge.UNKNOWN, step=Step.CLOSE, says="a web page")
error_inside = partial(Case, kind=OutcomeKind.SERVER_ERROR, charge=Charge.UNKNOWN, step=Step.AGAIN)
unserved = partial(Case, kind=OutcomeKind.UNSERVED, charge=Charge.VOID, step=Step.STOP)
no_quota = partial(Case, kind=OutcomeKind.QUOTA, charge=Charge.VOID, step=Step.STOP)
no_entry = partial(Case, kind=OutcomeKind.UNAUTHORIZED, charge=Charge.VOID, step=Step.STOP)
not_sent = partial(Case, kind=OutcomeKind.NOT_SENT, charge=Charge.VOID, step=Step.WAIT)


def sends(*pieces: bytes, end: End = End.CLOSE) -> Script:
    """These bytes, then the end."""
    return Script(tuple(map(Send, pieces)), end)


def framed(body: bytes, *, length: int | None = None, head: bytes = HEAD) -> bytes:
    """A head and a body with a length, right or wrong."""
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def status(code: int, body: bytes = b"", *headers: str, kind: str = "application/json") -> Script:
    """A whole answer with a status."""
    lines = "".join(f"{line}\r\n" for line in (f"Content-Type: {kind}", *headers))
    return sends(framed(body, head=f"HTTP/1.1 {code} Something\r\n{lines}".encode()))


def document(value: object) -> bytes:
    """JSON as bytes."""
    return json.dumps(value).encode()


def error(message: str, code: str | None = None, kind: str = "api_error") -> bytes:
    """An error as gateways write it."""
    return document({"error": {"message": message, "type": kind, "code": code, "param": None}})


def inline(picture: bytes, before: str = "") -> bytes:
    """A whole reply that holds a picture."""
    return document({"created": 1, "data": [{"b64_json": before + base64.b64encode(picture).decode()}]})


def answer(body: bytes, *headers: str) -> Script:
    """A whole 200."""
    return status(200, body, *headers)


WHOLE = inline(GOOD_PICTURE)
HALF = WHOLE[: len(WHOLE) // 2]
GOOD = answer(WHOLE)


def several(*pictures: bytes) -> bytes:
    """A reply with more pictures than were asked for."""
    return document({"data": [{"b64_json": base64.b64encode(picture).decode()} for picture in pictures]})


def beside(picture: bytes, url: str | None, **more: object) -> bytes:
    """A reply with a picture and an address in one object."""
    return document({"data": [{"b64_json": base64.b64encode(picture).decode(), "url": url}], **more})
