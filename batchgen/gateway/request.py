"""Turns a claimed task into the bytes of a paid request, as its route's contract wants them."""

from __future__ import annotations

import hashlib
import json

from batchgen.contracts.contract import Contract
from batchgen.domain.model import Claim
from batchgen.domain.wire import Call

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_UNASKED = ("output_format", "png")  # what every route sends anyway


def build_call(attempt: int, claim: Claim, contract: Contract) -> Call:
    """The request that buys one image of the claim's `send_size`.

    `n` is never sent: relays charge it n times and return one image (APIYI, pages of the -all and -vip routes), so
    several images are several calls. What the manifest left open is left to the gateway.
    """
    size, asked = claim.send_size, claim.parameters
    body = {"model": contract.model, "prompt": contract.prompt_text(claim.text, size)}
    wire_size = contract.wire_size(size)
    if wire_size is not None:
        body["size"] = wire_size
    body.update(parameter for parameter in contract.wire_parameters(asked) if parameter != _UNASKED)
    return Call(
        attempt=attempt,
        url=f"{contract.base_url}/images/generations",
        body=_encode(body).encode(),
        content_type="application/json",
        key_env=contract.key_env,
        timeout=contract.timeout_for(size, asked.quality),
        loopback=contract.loopback,
    )


def request_hash(call: Call) -> str:
    """What was asked, as the hex SHA-256 of address and body."""
    return hashlib.sha256(call.url.encode() + b"\n" + call.body).hexdigest()
