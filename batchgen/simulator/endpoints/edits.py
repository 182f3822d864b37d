"""POST /v1/images/edits: pictures from pictures, as a form or, at OpenAI, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchgen.simulator.endpoints.images import Generations
from batchgen.simulator.gateway_replies import GatewayReplies, rejected
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.payload import Payload, Upload
from batchgen.simulator.reference_checks import check_fidelity, no_image
from batchgen.simulator.references import FileOf, Reference, from_file, from_part
from batchgen.simulator.request_validation import check_model, parse_body
from batchgen.simulator.state import IncomingCall

_NUMBERS = frozenset({"n", "output_compression", "partial_images"})
_FLAGS = frozenset({"stream"})
_OF_EDITS = frozenset({"image", "images", "mask", "input_fidelity"})


class Edits(Generations):
    """Pictures from pictures, answered as those from words are."""

    name = "edits"
    path = "/images/edits"

    def read(self, call: IncomingCall, payload: Payload, files: FileOf) -> ImageRequest:
        """Read a form's fields, or a JSON body, with the pictures."""
        replies = call.replies
        colour = call.options.pictures == "full"
        if payload.is_form:
            fields: Mapping[str, Any] = _form_fields(payload, replies)
        elif replies.contract.references.json:
            fields = parse_body(payload.body, replies)
        else:
            raise _not_a_form(replies)
        check_model(fields, replies)
        check_fidelity(replies, fields.get("input_fidelity"))
        mask: Reference | None = None
        if payload.is_form:
            references = [_look(upload, colour=colour) for upload in _images(payload, replies)]
            masks = [upload for upload in payload.uploads if upload.name == "mask"]
            mask = _look(masks[0], colour=False) if masks else None
        else:
            references = [from_part(part, files, colour=colour) for part in _parts(fields, replies)]
            if fields.get("mask") is not None:
                mask = from_part(fields["mask"], files, colour=False)
        plain = {name: value for name, value in fields.items() if name not in _OF_EDITS}
        return ImageRequest(plain, tuple(references), mask, editing=True)


def _look(upload: Upload, *, colour: bool) -> Reference:
    return from_file(upload.file, upload.size, colour=colour)


def _form_fields(payload: Payload, replies: GatewayReplies) -> dict[str, Any]:
    """Read the text fields, numbers and flags as such."""
    if payload.broken:
        raise rejected(replies.bad_json())
    fields: dict[str, Any] = {}
    for name, text in payload.texts:
        if name in _NUMBERS:
            fields[name] = int(text) if text.isascii() and text.isdigit() else text
        elif name in _FLAGS:
            fields[name] = text.lower() in {"true", "1"}
        else:
            fields[name] = text
    if replies.official and "moderation" in fields:  # it is in the JSON schema only (OpenAI's spec and SDK)
        raise rejected(replies.invalid("Unknown parameter: 'moderation'.", "moderation", "unknown_parameter"))
    return fields


def _images(payload: Payload, replies: GatewayReplies) -> list[Upload]:
    """Find the files under the name the route knows; OpenAI takes a single one as `image`, lists as `image[]`."""
    named = replies.contract.references.field
    single = [upload for upload in payload.uploads if upload.name == "image"]
    if named == "image":
        return single
    if len(single) > 1:
        message = (
            "Duplicate parameter: 'image'. You provided multiple values for this parameter, whereas only one is"
            " allowed. If you are trying to provide a list of values, use the array syntax instead e.g."
            " 'image[]=<value>'."
        )
        raise rejected(replies.invalid(message, "image", "duplicate_parameter"))
    return single + [upload for upload in payload.uploads if upload.name == named]


def _parts(fields: Mapping[str, Any], replies: GatewayReplies) -> list[Any]:
    parts = fields.get("images")
    if not isinstance(parts, list):
        raise no_image(replies)
    return parts


def _not_a_form(replies: GatewayReplies) -> Exception:
    if not replies.official:
        return rejected(replies.shell(400, "request Content-Type isn't multipart/form-data", code="bad_request_body"))
    message = (
        "Unsupported content type: 'application/json'. This API method only accepts 'multipart/form-data' requests."
    )
    return rejected(replies.invalid(message, "content_type", "unsupported_content_type"))
