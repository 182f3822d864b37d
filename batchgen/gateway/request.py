"""Turns a claimed task into the bytes of a paid request, as its route's contract wants them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from batchgen.contracts.contract import Contract
from batchgen.domain.model import Claim
from batchgen.domain.wire import Call, FilePiece, PreparedInputs
from batchgen.gateway.endpoints.bodies import (
    Pieces,
    chat_body,
    encode,
    images_body,
    json_images_body,
    responses_body,
)

_BODIES = {"images": images_body, "chat": chat_body, "responses": responses_body}
_BATCH_ROOT = "/v1"  # lines of a batch name their endpoint with it, whatever the base URL


def build_call(attempt: int, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Call:
    """The request that buys one image of the claim's `send_size`, over the contract's endpoint (not `batch`).

    Raises:
        ContractError: the route does not take these inputs.
    """
    body = _BODIES[contract.endpoint](claim, contract, inputs)
    return Call(
        attempt=attempt,
        endpoint=body.endpoint,
        url=contract.base_url + body.path,
        body=body.pieces,
        content_type=body.content_type,
        key_env=contract.key_env,
        timeout=contract.timeout_for(claim.send_size, claim.parameters.quality, claim.inputs.count),
        loopback=contract.loopback,
    )


def batch_line(custom_id: str, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Pieces:
    """One line of a Batch input file, its line feed included; the body is what the JSON endpoint takes.

    Raises:
        ContractError: the route does not take these inputs.
    """
    path, pieces = batch_body(claim, contract, inputs)
    head = f'{{"custom_id":{encode(custom_id)},"method":"POST","url":{encode(path)},"body":'
    return (head.encode(), *pieces, b"}\n")


def batch_body(claim: Claim, contract: Contract, inputs: PreparedInputs) -> tuple[str, Pieces]:
    """The endpoint that a line of a Batch input file is for, and the line's body, which `body_hash` knows it by.

    Raises:
        ContractError: the route does not take these inputs.
    """
    body = json_images_body(claim, contract, inputs)
    return _BATCH_ROOT + body.path, body.pieces


def request_hash(call: Call) -> str:
    """What was asked, as the hex SHA-256 of address and body."""
    return body_hash(call.url, call.body)


def body_hash(address: str, pieces: Iterable[bytes | FilePiece]) -> str:
    """The hex SHA-256 of an address and a body; a file counts by its own hash."""
    found = hashlib.sha256(address.encode() + b"\n")
    for piece in pieces:
        found.update(piece.sha256.encode() if isinstance(piece, FilePiece) else piece)
    return found.hexdigest()
