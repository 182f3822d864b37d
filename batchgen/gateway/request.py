"""Turns a claimed task into the bytes of a paid request, as its route's contract wants them."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError
from batchgen.domain.model import Claim
from batchgen.domain.origin import Origin
from batchgen.domain.wire import Call, FilePiece, PreparedInputs
from batchgen.gateway.endpoints import codec_for
from batchgen.gateway.json_body import Pieces, encode

_LOOK = 300.0  # seconds for one look, which may bring the image itself
_QUESTION = 20.0  # seconds for a question that any gateway answers at once
_BATCH_ROOT = "/v1"  # lines of a batch name their endpoint with it, whatever the base URL


def build_call(attempt: int, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Call:
    """Make the request that buys one image of the claim's `send_size` over the contract's endpoint, with its first key.

    On an endpoint in batches it is not sent but becomes a line, and its address is the path that the line names.

    Raises:
        ContractError: the route does not take these inputs, or nobody reads what it answers.
    """
    operation = contract.endpoint.operation(edit=bool(inputs.references))
    body = codec_for(operation.name).body(claim, contract, inputs)
    return Call(
        attempt=attempt,
        operation=operation.name,
        url=(_BATCH_ROOT if contract.endpoint.in_batches else contract.base_url) + operation.path,
        body=body.pieces,
        content_type=body.content_type,
        key_env=contract.key_env,
        timeout=contract.timeout_for(claim.send_size, claim.parameters.quality, claim.inputs.count),
        loopback=contract.loopback,
        picture_at=contract.picture_at,
        following=contract.task,
        path=claim.path,
    )


def build_look(attempt: int, number: str, operation: str, contract: Contract, origin: Origin, key_env: str) -> Call:
    """Make the question how far a call is that a gateway works on under a number, with the key in a variable.

    Raises:
        ContractError: the contract does not say how to ask.
    """
    if contract.task is None:
        raise ContractError(
            f"{contract.route} does not say how a call is followed; give it a `task:` as docs/routes.md says"
        )
    return Call(
        attempt=attempt,
        operation=operation,
        url=contract.base_url + contract.task.poll.replace("{id}", quote(number, safe="")),
        body=(),
        content_type="",
        key_env=key_env,
        timeout=_LOOK,
        loopback=contract.loopback,
        origin=origin,
        method="GET",
        picture_at=contract.task.picture,
        following=contract.task,
    )


def build_question(contract: Contract, key_env: str) -> Call:
    """Make the request by which a gateway shows that it is there: it costs nothing, and any answer will do."""
    return Call(
        attempt=0,
        operation="",
        url=f"{contract.base_url}/models",
        body=(),
        content_type="",
        key_env=key_env,
        timeout=_QUESTION,
        loopback=contract.loopback,
        method="GET",
    )


def batch_line(custom_id: str, call: Call) -> Pieces:
    """Write a call as one line of a Batch input file, its line feed included."""
    head = f'{{"custom_id":{encode(custom_id)},"method":"POST","url":{encode(call.url)},"body":'
    return (head.encode(), *call.body, b"}\n")


def request_hash(call: Call) -> str:
    """Return what was asked as the hex SHA-256 of address and body; a file counts by its own hash."""
    found = hashlib.sha256(call.url.encode() + b"\n")
    for piece in call.body:
        found.update(piece.sha256.encode() if isinstance(piece, FilePiece) else piece)
    return found.hexdigest()
