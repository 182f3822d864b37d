"""What a gateway has against the pictures that come with a request. None of it is billed.

Words as recorded from OpenAI and APIYI in 2026; limits are the contract's.
"""

from __future__ import annotations

from typing import Any

from batchgen.domain.model import OutcomeKind
from batchgen.simulator import gateway_replies
from batchgen.simulator.gateway_replies import Declined, GatewayReplies, rejected
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.references import LONGEST_URL, Reference

_LARGEST_MASK = 4_000_000  # bytes, OpenAI's schema; its guide says 50 MB, the schema is the safer one
_MOST_TOGETHER = 10_000_000  # bytes of all pictures on a reverse route, its hard limit (APIYI, -vip FAQ)


def check_references(replies: GatewayReplies, image_request: ImageRequest) -> None:
    """Look at what came with a request.

    Raises:
        Declined: the route does not take it so.
    """
    limits, references = replies.contract.references, image_request.references
    if image_request.editing and not references:
        raise no_image(replies)
    if limits.max_count and len(references) > limits.max_count:
        message = (
            f"Invalid 'image': array too long. Expected an array with maximum length {limits.max_count},"
            f" but got an array with length {len(references)} instead."
        )
        raise rejected(replies.invalid(message, "image", "array_above_max_length"))
    for number, reference in enumerate(references, 1):
        _check(replies, reference, number, limits.max_bytes)
    if not replies.official and sum(reference.bytes for reference in references) > _MOST_TOGETHER:
        raise Declined(OutcomeKind.SERVER_ERROR, replies.shell(500, "Unknown error"))
    if image_request.mask is not None:
        _check_mask(replies, image_request.mask, references)


def check_fidelity(replies: GatewayReplies, value: Any, inside: str = "") -> None:
    """Check `input_fidelity`: it is for the 1.5 model; the mini takes `low` only, later ones nothing.

    Raises:
        Declined: it must be left out here.
    """
    model = replies.contract.model
    allowed = ("low", "high") if model.startswith("gpt-image-1.5") else ("low",) if "1-mini" in model else ()
    if value is not None and value not in allowed:
        message = f"The model '{model}' does not support the 'input_fidelity' parameter."
        raise rejected(replies.invalid(message, f"{inside}input_fidelity", "invalid_input_fidelity_model"))


def no_image(replies: GatewayReplies) -> Declined:
    """Decline a call without a picture where one must be, or with one under a name the route does not know."""
    if replies.official:
        return rejected(replies.invalid("Missing required parameter: 'image'.", "image", "missing_required_parameter"))
    message = replies.signed("image: field required")
    return rejected(gateway_replies.error(422, message, "invalid_request_error", param="image", code="missing_field"))


def _check(replies: GatewayReplies, reference: Reference, number: int, max_bytes: int) -> None:
    if reference.problem == "missing":
        raise rejected(
            gateway_replies.error(404, f"No such File object: {reference.name}", "invalid_request_error", param="id")
        )
    if reference.problem == "long":
        message = f"Invalid 'image_url': string too long. Expected a string with maximum length {LONGEST_URL}."
        raise rejected(replies.invalid(message, "image_url", "string_above_max_length"))
    if reference.problem == "address":
        message = "Invalid 'image_url'. Expected an https URL or a base64-encoded data URL with an image MIME type."
        raise rejected(replies.invalid(message, "image_url", "invalid_value"))
    if max_bytes and reference.bytes > max_bytes:
        message = f"Image {number} has {reference.bytes} bytes; the maximum is {max_bytes}."
        if replies.official:
            raise rejected(replies.invalid(message, "image", "image_file_too_large"))
        raise rejected(replies.shell(413, message))
    if reference.problem:
        message = f"Invalid image file or mode for image {number}, please check your image file."
        raise rejected(replies.invalid(message, "image", "invalid_image_file", "image_generation_user_error"))


def _check_mask(replies: GatewayReplies, mask: Reference, references: tuple[Reference, ...]) -> None:
    problem = ""
    if not replies.contract.references.mask:
        problem = f"mask is not supported by {replies.contract.model}"
    elif mask.problem or mask.kind != "PNG" or not mask.alpha:
        problem = "Invalid mask: it must be a PNG file with an alpha channel."
    elif mask.bytes > _LARGEST_MASK:
        problem = "Invalid mask: it must be smaller than 4 MB."
    elif references and (mask.width, mask.height) != (references[0].width, references[0].height):
        problem = "Invalid mask: it must have the same dimensions as the first image."
    if problem:
        raise rejected(replies.invalid(problem, "mask", "invalid_mask"))
