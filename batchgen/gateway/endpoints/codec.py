"""What an endpoint is to this side of the wire: how it is asked, and how its replies are read.

Gateways differ, and what they send is hostile until read: every field may be missing, null, of another type or
endless. Nothing that reads a reply raises.
"""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError
from batchgen.domain.json_place import Place
from batchgen.domain.model import Claim
from batchgen.domain.wire import ApiError, PreparedInputs, Usage
from batchgen.gateway.echo import NOTHING_SENT, SentRequest
from batchgen.gateway.endpoints.message import FoundImages
from batchgen.gateway.endpoints.places import told
from batchgen.gateway.endpoints.reply_fields import Json, is_address
from batchgen.gateway.json_body import JSON, Pieces

_UNASKED = ("output_format", "png")  # what every route sends anyway
_QUOTED_URL = re.compile(r'"url"\s{0,32}:\s{0,32}("https?:(?:[^"\\\x00-\x20]|\\[/u&]){1,8192}")')


@dataclass(frozen=True, slots=True)
class Body:
    """A request body, and the header that says what it is."""

    pieces: Pieces
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class Reply:
    """What a JSON document says. Fields as in `Answer`.

    Attributes:
        marks: numbers of the pictures that stand where the endpoint puts its result, in order.
    """

    marks: tuple[int, ...] = ()
    urls: tuple[str, ...] = ()
    text: str = ""
    error: ApiError | None = None
    usage: Usage | None = None
    revised_prompt: str = ""
    effective: tuple[tuple[str, str], ...] = ()
    retry_after: float | None = None


class Codec(ABC):
    """One operation of an endpoint.

    Attributes:
        operation: its name, as in `EndpointFacts`.
        picture_keys: under which its replies have base64, whatever that begins with.
    """

    operation: str
    picture_keys: tuple[str, ...] = ("b64_json",)

    @abstractmethod
    def body(self, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
        """Write what asks for one image of the claim's `send_size`.

        Raises:
            ContractError: the route does not take these inputs.
        """

    def read(self, document: object, sent: SentRequest = NOTHING_SENT, picture_at: Place = ()) -> Reply:
        """Read what a whole JSON document says.

        Args:
            document: the body, with marks where the scanner took pictures out.
            sent: the request, whose images and addresses may come back and are no result.
            picture_at: where a contract says that the image is; where it is not there, it is looked for as ever.
        """
        seen = told(document, picture_at, sent) if picture_at else FoundImages()
        if isinstance(document, list):
            document = {"data": document}
        return self.read_object(document, sent, seen) if isinstance(document, dict) else Reply(seen.marks, seen.urls)

    def salvage(self, text: str, sent: SentRequest = NOTHING_SENT) -> tuple[str, ...]:
        """Find addresses of images that stand whole in a document that was cut off, those of the request left out."""
        found: list[str] = []
        for quoted in self._quoted_urls(text):
            try:
                found.append(json.loads(quoted))
            except ValueError:
                continue
        return tuple(url for url in found if is_address(url) and not sent.holds(url))

    @abstractmethod
    def read_object(self, document: Json, sent: SentRequest, seen: FoundImages, /) -> Reply:
        """Read what a JSON object says; `seen` are its images where they are known, and else to be found."""

    def _quoted_urls(self, text: str, /) -> list[str]:
        """Find JSON strings that may be addresses of images, quotes included."""
        return [match[1] for match in _QUOTED_URL.finditer(text)]


def parameters(claim: Claim, contract: Contract, without: str = "") -> dict[str, str]:
    """Return the names and values of what is asked beside model, prompt and size; one name may be left out."""
    asked = contract.wire_parameters(claim.parameters)
    return dict(parameter for parameter in asked if parameter != _UNASKED and parameter[0] != without)


def check_mask(contract: Contract, inputs: PreparedInputs) -> None:
    """Refuse what `check` refuses in a manifest, once more before money is spent.

    Raises:
        ContractError: there is a mask, and the route takes none or there is nothing that it masks.
    """
    if inputs.mask is None:
        return
    if not inputs.references:
        raise ContractError("a mask needs the reference image that it masks")
    if not contract.references.mask:
        raise ContractError(f"{contract.route} takes no mask; leave it out or use a route that does")
