"""What stands in the body of a paid request, endpoint by endpoint. Files stay on disk until they are sent.

`n` is never sent: relays charge it n times and return one image (APIYI, pages of the -all and -vip routes), so several
images are several calls. What the manifest left open is left to the gateway.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError
from batchgen.domain.model import Claim
from batchgen.domain.wire import FilePiece, Prepared, PreparedInputs
from batchgen.gateway.endpoints.forms import Form, encode_form

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_JSON = "application/json"
_UNASKED = ("output_format", "png")  # what every route sends anyway

Pieces = tuple[bytes | FilePiece, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """A request body and where it goes.

    Attributes:
        endpoint: as in `Call`.
        path: below the base URL, with a slash in front.
    """

    endpoint: str
    path: str
    content_type: str
    pieces: Pieces


def images_body(claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
    """Generation without references, an edit with them: a form of files, or JSON where there are addresses.

    Both encodings of edits are in OpenAI's specification of 2026-08; relays document the form alone.

    Raises:
        ContractError: the route does not take these inputs.
    """
    if not inputs.references or any(image.file is None for image in _images(inputs)):
        return json_images_body(claim, contract, inputs)
    _check(contract, inputs)
    form = Form(tuple(_fields(claim, contract).items()), contract.references.field, inputs)
    content_type, pieces = encode_form(form)
    return Body("edits", "/images/edits", content_type, pieces)


def json_images_body(claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
    """The same in JSON, which alone carries addresses and goes into a batch; files become data URLs.

    Raises:
        ContractError: the route does not take these inputs.
    """
    _check(contract, inputs)
    document: dict[str, object] = dict(_fields(claim, contract))
    if not inputs.references:
        return Body("generations", "/images/generations", _JSON, json_pieces(document))
    if not contract.references.json:
        raise ContractError(f"{contract.route} takes references as files only; save those given as addresses")
    document["images"] = [{"image_url": image} for image in inputs.references]
    if inputs.mask is not None:
        document["mask"] = {"image_url": inputs.mask}
    return Body("edits", "/images/edits", _JSON, json_pieces(document))


def chat_body(claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
    """One message that asks for an image, as both vendors' manuals show it.

    `size` goes along where the contract lists sizes: APIYI's pages disagree whether it counts here, and what comes back
    is measured anyway. `response_format` means another thing on this endpoint, so it is not sent.

    Raises:
        ContractError: there is a mask, for which this endpoint has no place.
    """
    _check(contract, inputs)
    if inputs.mask is not None:
        raise ContractError(f"the chat endpoint of {contract.route} takes no mask; use its images endpoint")
    text = contract.prompt_text(claim.text, claim.send_size)
    content: object = text
    if inputs.references:
        images = ({"type": "image_url", "image_url": {"url": image}} for image in inputs.references)
        content = [{"type": "text", "text": text}, *images]
    elif text == claim.text:  # no phrase in front that speaks of an image
        content = contract.chat_lead + text
    message = {"role": "user", "content": content}
    document: dict[str, object] = {"model": contract.model, "messages": [message], "stream": False}
    size = contract.wire_size(claim.send_size)
    if size is not None and contract.sizes.kind == "listed":
        document["size"] = size
    document.update(_parameters(claim, contract, without="response_format"))
    return Body("chat", "/chat/completions", _JSON, json_pieces(document))


def responses_body(claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
    """A mainline model that must use its image tool once; nothing is stored (OpenAI's default is to store).

    Raises:
        ContractError: the contract names no mainline model, or the route does not take these inputs.
    """
    _check(contract, inputs)
    if not contract.main_model:
        raise ContractError(f"{contract.route} names no `main_model`, without which it has no responses endpoint")
    tool: dict[str, object] = {"type": "image_generation", "model": contract.model}
    tool["action"] = "edit" if inputs.references else "generate"
    size = contract.wire_size(claim.send_size)
    if size is not None:
        tool["size"] = size
    tool.update(_parameters(claim, contract, without="response_format"))
    if inputs.mask is not None:
        tool["input_image_mask"] = {"image_url": inputs.mask}
    text = contract.prompt_text(claim.text, claim.send_size)
    asked: object = text
    if inputs.references:
        images = ({"type": "input_image", "image_url": image, "detail": "auto"} for image in inputs.references)
        asked = [{"role": "user", "content": [{"type": "input_text", "text": text}, *images]}]
    document = {
        "model": contract.main_model,
        "input": asked,
        "tools": [tool],
        "tool_choice": {"type": "image_generation"},
        "store": False,
    }
    return Body("responses", "/responses", _JSON, json_pieces(document))


def json_pieces(document: object) -> Pieces:
    """A document as compact JSON in UTF-8, in which images stand as addresses or data URLs."""
    pieces: list[bytes | FilePiece] = []
    text: list[str] = []
    for piece in _encoded(document):
        if isinstance(piece, FilePiece):
            pieces += ("".join(text).encode(), piece)
            text.clear()
        else:
            text.append(piece)
    return (*pieces, "".join(text).encode())


def _encoded(value: object) -> Iterator[str | FilePiece]:
    if isinstance(value, Prepared):
        yield from _as_address(value)
    elif isinstance(value, dict):
        for number, (key, each) in enumerate(value.items()):
            yield f"{',' if number else '{'}{encode(key)}:"
            yield from _encoded(each)
        yield "}" if value else "{}"
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield "," if number else "["
            yield from _encoded(each)
        yield "]" if value else "[]"
    else:
        yield encode(value)


def _as_address(image: Prepared) -> Iterator[str | FilePiece]:
    if image.file is None:
        yield encode(image.url)
    else:
        yield f'"data:{image.media};base64,'
        yield FilePiece(image.file.path, image.file.size, image.file.sha256, base64=True)
        yield '"'


def _fields(claim: Claim, contract: Contract) -> dict[str, str]:
    """What both image endpoints take beside the images."""
    fields = {"model": contract.model, "prompt": contract.prompt_text(claim.text, claim.send_size)}
    size = contract.wire_size(claim.send_size)
    if size is not None:
        fields["size"] = size
    return fields | _parameters(claim, contract)


def _parameters(claim: Claim, contract: Contract, without: str = "") -> dict[str, str]:
    asked = contract.wire_parameters(claim.parameters)
    return dict(parameter for parameter in asked if parameter != _UNASKED and parameter[0] != without)


def _images(inputs: PreparedInputs) -> tuple[Prepared, ...]:
    return inputs.references if inputs.mask is None else (*inputs.references, inputs.mask)


def _check(contract: Contract, inputs: PreparedInputs) -> None:
    """What `check` refuses in a manifest, said once more before money is spent."""
    if inputs.mask is None:
        return
    if not inputs.references:
        raise ContractError("a mask needs the reference image that it masks")
    if not contract.references.mask:
        raise ContractError(f"{contract.route} takes no mask; leave it out or use a route that does")
