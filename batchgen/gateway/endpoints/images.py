"""The images endpoint: generation without references, edits with them, and both as lines of a batch.

`n` is never sent: relays charge it n times and return one image (APIYI, pages of the -all and -vip routes), so several
images are several calls. What the manifest left open is left to the gateway.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import ContractError
from batchgen.domain.model import Claim
from batchgen.domain.wire import Prepared, PreparedInputs
from batchgen.gateway.echo import SentRequest
from batchgen.gateway.endpoints.codec import Body, Codec, Reply, check_mask, parameters
from batchgen.gateway.endpoints.forms import Form, encode_form
from batchgen.gateway.endpoints.message import FoundImages, in_chat, spoken, words_of
from batchgen.gateway.endpoints.places import elsewhere
from batchgen.gateway.endpoints.reply_fields import (
    Json,
    effective_of,
    error_of,
    is_address,
    mark_of,
    revised_prompt,
    string,
    usage_of,
)
from batchgen.gateway.json_body import json_pieces


class _ImagesCodec(Codec):
    """What generations, edits and lines of a batch have in common."""

    def body(self, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
        """Write the fields as JSON; files as data URLs, and only where the route takes them so."""
        check_mask(contract, inputs)
        document: dict[str, object] = dict(_fields(claim, contract))
        if inputs.references and not contract.references.json:
            raise ContractError(f"{contract.route} takes references as files only; save those given as addresses")
        if inputs.references:
            document["images"] = [{"image_url": image} for image in inputs.references]
        if inputs.mask is not None:
            document["mask"] = {"image_url": inputs.mask}
        return Body(json_pieces(document))

    def read_object(self, document: Json, sent: SentRequest, seen: FoundImages, /) -> Reply:
        items = list(_items(document))
        words = _words(document, items)
        seen = seen or (_in_items(items, sent) if "data" in document else FoundImages()) or in_chat(document, sent)
        seen = seen or elsewhere(document, sent, spoken=bool(words))
        error, wait = error_of(document, has_image=bool(seen))
        return Reply(
            marks=seen.marks,
            urls=seen.urls,
            text="" if seen else words,
            error=error,
            usage=usage_of(document.get("usage")),
            revised_prompt=revised_prompt(items),
            effective=effective_of(document, *items[:1]),
            retry_after=wait,
        )


class GenerationCodec(_ImagesCodec):
    """An image from words alone."""

    operation = "generations"


class EditCodec(_ImagesCodec):
    """An image from words and reference images, which a reply may echo."""

    operation = "edits"

    def body(self, claim: Claim, contract: Contract, inputs: PreparedInputs) -> Body:
        """Write a form of files, or JSON where there are addresses.

        Both encodings are in OpenAI's specification of 2026-08; relays document the form alone.
        """
        if any(image.file is None for image in _images(inputs)):
            return super().body(claim, contract, inputs)
        check_mask(contract, inputs)
        form = Form(tuple(_fields(claim, contract).items()), contract.references.field, inputs)
        content_type, pieces = encode_form(form)
        return Body(pieces, content_type)


class BatchLineCodec(_ImagesCodec):
    """Either of them in a line of a batch, always as JSON; a line's answer holds the reply as its `body`."""

    operation = "batch"


def _fields(claim: Claim, contract: Contract) -> dict[str, str]:
    """Return what is asked beside the images."""
    fields = {"model": contract.model, "prompt": contract.prompt_text(claim.text, claim.send_size)}
    size = contract.wire_size(claim.send_size)
    if size is not None:
        fields["size"] = size
    return fields | parameters(claim, contract)


def _images(inputs: PreparedInputs) -> tuple[Prepared, ...]:
    return inputs.references if inputs.mask is None else (*inputs.references, inputs.mask)


def _in_items(items: list[Json], sent: SentRequest) -> FoundImages:
    marks = tuple(mark for item in items if (mark := _mark(item)) is not None and mark not in sent.marks)
    urls = (item["url"] for item in items if _mark(item) is None and is_address(item.get("url")))
    return FoundImages(marks, tuple(url for url in urls if not sent.holds(url)))


def _items(document: Json) -> Iterator[Json]:
    """Yield the objects that tell of an image; a reply without `data` may be one itself."""
    data = document.get("data", document)
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict):
            yield item
        elif is_address(item):
            yield {"url": item}


def _mark(item: Json) -> int | None:
    """Find the picture that the scanner took out of an object."""
    found = mark_of(item.get("b64_json"))
    return mark_of(item.get("url")) if found is None else found


def _words(document: Json, items: list[Json]) -> str:
    """Find what is said where an image should be: a chat message, a refusal, an output text."""
    return spoken(document) or next((string(words_of(item)) for item in items[:1]), "") or string(document.get("data"))
