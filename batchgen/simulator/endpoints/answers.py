"""What comes back when a picture was made, and what every endpoint says when none was."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

import pybase64

from batchgen.simulator import gateway_replies
from batchgen.simulator.call_plan import CallPlan
from batchgen.simulator.chance import Chance
from batchgen.simulator.endpoints.endpoint import EncodedPicture, Endpoint
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import HttpReply
from batchgen.simulator.pictures import links
from batchgen.simulator.pictures.drawing import Drawing, draw, label_of, seed_of
from batchgen.simulator.state import IncomingCall

_LINE = 76  # characters of a wrapped line of base64
# Share of each form under `mixed`: what different versions of the same gateways were seen to send.
_FORMS = (("raw", 0.4), ("prefix", 0.8), ("unpadded", 0.9), ("wrapped", 0.95), ("escaped", 1.0))


def without_picture(call: IncomingCall, endpoint: Endpoint, plan: CallPlan, created: int) -> HttpReply | None:
    """Make the answer of a call that delivers no picture; None when it does."""
    own = endpoint.without_picture(call, plan, created)
    if own is not None:
        return own
    replies = call.replies
    ready = {
        Fault.SERVER_HTML: gateway_replies.SERVER_ERROR_PAGE,
        Fault.BAD_GATEWAY: gateway_replies.BAD_GATEWAY_PAGE,
        Fault.EDGE_TIMEOUT: gateway_replies.EDGE_TIMEOUT_PAGE,
        Fault.GARBAGE: gateway_replies.GARBAGE,
    }
    spoken = {
        Fault.SERVER: replies.server_error,
        Fault.REFUSE: replies.refused,
        Fault.ERROR_IN_200: replies.error_in_200,
    }
    if plan.fault in spoken:
        return spoken[plan.fault]()
    return ready.get(plan.fault)


def drawings(call: IncomingCall, plan: CallPlan, take: int) -> list[Drawing]:
    """List the pictures to deliver. The first reference lends its colour to what they show."""
    options, asked, references = call.options, plan.asked, call.image_request.references
    note = " · ".join(part for part in (plan.quality, call.route.contract.route) if part)
    return [
        Drawing(
            text=label_of(asked.prompt),
            size=plan.size,
            seed=seed_of(asked.prompt, options.seed),
            note=note,
            take=take + number if options.takes else 1,
            format=asked.format,
            transparent=asked.background == "transparent",
            plain=options.pictures == "plain",
            pad=options.bytes,
            colour=references[0].colour if references else -1,
        )
        for number in range(plan.images)
    ]


def as_addresses(call: IncomingCall, plan: CallPlan, pictures: list[Drawing], now: float) -> list[EncodedPicture]:
    """Put pictures behind addresses; `now` is in seconds since the epoch."""
    options, contract = call.options, call.route.contract
    life = contract.url_lifetime if options.url_lifetime is None else options.url_lifetime
    expires = int(now) - 60 if plan.fault is Fault.EXPIRED_URL else int(now + life)
    cut = plan.fault is Fault.BAD_IMAGE
    paths = [links.to_path(links.Link(picture, expires, cut)) for picture in pictures]
    return [
        EncodedPicture(f"http://{call.host}{path}".encode(), picture.format, by_address=True)
        for path, picture in zip(paths, pictures, strict=True)
    ]


def inline(plan: CallPlan, pictures: list[Drawing], form: str) -> list[EncodedPicture]:
    """Draw pictures and encode them in base64. Takes long: meant for an executor."""
    made = []
    for picture in pictures:
        file = draw(picture)
        if plan.fault is Fault.BAD_IMAGE:
            file = file[: len(file) * 6 // 10]
        text = encoded(file, picture.format, form)
        if plan.fault is Fault.BAD_B64:
            middle = len(text) // 2
            text = text[:middle] + b"!?*" + text[middle:]
        made.append(EncodedPicture(text, picture.format))
    return made


def encoded(file: bytes, kind: str, form: str) -> bytes:
    """Encode a file in one of the forms of base64 gateways send, as the inside of a JSON string."""
    text = pybase64.b64encode(file)
    if form == "raw":
        return text
    if form == "wrapped":
        return b"\\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
    if form == "escaped":
        return text.replace(b"/", b"\\/")
    prefix = f"data:image/{kind};base64,".encode()
    return prefix + (text.rstrip(b"=") if form == "unpadded" else text)


def base64_form(call: IncomingCall, chance: Chance) -> str:
    """Choose the form base64 goes in, in the words of `Options.b64`; official routes always send it raw."""
    options = call.options
    if call.replies.official:
        return "raw"
    if options.b64 != "mixed":
        return options.b64
    mark = chance.roll("b64")
    return next(form for form, share in _FORMS if mark < share)


def usage_of(plan: CallPlan) -> dict[str, Any]:
    """Spell the usage as the Images API does, as a mapping to be added to a reply; empty when none is reported."""
    if plan.usage is None:
        return {}
    return {"usage": {name: value for name, value in plan.usage.items() if not name.startswith("main_")}}


def filled(document: Any, texts: Sequence[bytes]) -> bytes:
    """Write a document as JSON, with long texts put where their slots stand, so that they are copied only once."""
    mark = _MARK.encode()
    parts = [part.split(b"@", 1) for part in compact(document).split(mark)]
    whole = [parts[0][0] if len(parts[0]) == 1 else b"@".join(parts[0])]
    for number, rest in parts[1:]:
        whole += (texts[int(number)], rest)
    return b"".join(whole)


def slot(number: int) -> str:
    """Return what stands in a document for text `number`, until `filled` puts it there."""
    return f"{_MARK}{number}@"


def compact(value: object) -> bytes:
    """Write JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


_MARK = f"~{secrets.token_hex(12)}~"  # nothing a client writes can hold it
