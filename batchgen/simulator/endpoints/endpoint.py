"""What makes one endpoint different from another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.payload import Payload
from batchgen.simulator.references import FileOf
from batchgen.simulator.state import IncomingCall


@dataclass(frozen=True, slots=True)
class EncodedPicture:
    """A picture on its way out.

    Attributes:
        text: an address, or base64 in the form asked for; as the inside of a JSON string.
        format: `png`, `jpeg` or `webp`.
    """

    text: bytes
    format: str
    by_address: bool = False

    @property
    def data_url(self) -> bytes:
        """The address, or the picture as a data URL."""
        if self.by_address or self.text.startswith(b"data:"):
            return self.text
        return f"data:image/{self.format};base64,".encode() + self.text


class Endpoint(Protocol):
    """An endpoint that makes pictures: how it is asked, and in what shape it answers."""

    @property
    def name(self) -> str:
        """The name on the bill."""
        ...

    @property
    def path(self) -> str:
        """The path below a route's prefix, from the slash on."""
        ...

    @property
    def in_contracts(self) -> str:
        """The name in the `endpoints` of a contract; endpoints that come together share one."""
        ...

    @property
    def in_batches(self) -> bool:
        """Whether the lines of a batch may go to it."""
        ...

    def read(self, call: IncomingCall, payload: Payload, files: FileOf) -> ImageRequest:
        """Read what is asked.

        Raises:
            Declined: it cannot be read, or is about another model.
        """
        ...

    def by_address(self, call: IncomingCall, plan: CallPlan) -> bool:
        """Say whether pictures go as addresses."""
        ...

    def form(self, call: IncomingCall, plan: CallPlan) -> str:
        """Choose the form base64 goes in, in the words of `Options.b64`."""
        ...

    def reply(self, call: IncomingCall, plan: CallPlan, pictures: list[EncodedPicture], created: int) -> HttpReply:
        """Make the answer with its pictures; `created` is in whole seconds since the epoch."""
        ...

    def without_picture(self, call: IncomingCall, plan: CallPlan, created: int) -> HttpReply | None:
        """Make the answer of a call that delivers none, where this endpoint has one of its own; None elsewhere."""
        ...
