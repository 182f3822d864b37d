"""What comes back when a picture was made, and what every endpoint says when none was."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from typing import Any

import pybase64

from batchgen.simulator import gateway_replies
from batchgen.simulator.call_plan import Work
from batchgen.simulator.chance import Chance
from batchgen.simulator.endpoints.endpoint import Door, Made
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Reply
from batchgen.simulator.pictures import links
from batchgen.simulator.pictures.drawing import Drawing, draw, label_of, seed_of
from batchgen.simulator.state import Arrival

_LINE = 76  # characters of a wrapped line of base64
# Share of each form under `mixed`: what different versions of the same gateways were seen to send.
_FORMS = (("raw", 0.4), ("prefix", 0.8), ("unpadded", 0.9), ("wrapped", 0.95), ("escaped", 1.0))


def without_picture(arrival: Arrival, door: Door, work: Work, created: int) -> Reply | None:
    """The answer of a call that delivers no picture; None when it does."""
    own = door.without_picture(arrival, work, created)
    if own is not None:
        return own
    voice = arrival.voice
    ready = {
        Fault.SERVER_HTML: gateway_replies.SERVER_ERROR_PAGE,
        Fault.BAD_GATEWAY: gateway_replies.BAD_GATEWAY_PAGE,
        Fault.EDGE_TIMEOUT: gateway_replies.EDGE_TIMEOUT_PAGE,
        Fault.GARBAGE: gateway_replies.GARBAGE,
    }
    spoken = {Fault.SERVER: voice.server_error, Fault.REFUSE: voice.refused, Fault.ERROR_IN_200: voice.error_in_200}
    if work.fault in spoken:
        return spoken[work.fault]()
    return ready.get(work.fault)


def drawings(arrival: Arrival, work: Work, take: int) -> list[Drawing]:
    """The pictures to deliver. The first reference lends its colour to what they show."""
    options, asked, references = arrival.options, work.asked, arrival.wish.references
    note = " · ".join(part for part in (work.quality, arrival.route.contract.route) if part)
    return [
        Drawing(
            text=label_of(asked.prompt),
            size=work.size,
            seed=seed_of(asked.prompt, options.seed),
            note=note,
            take=take + number if options.takes else 1,
            format=asked.format,
            transparent=asked.background == "transparent",
            plain=options.pictures == "plain",
            pad=options.bytes,
            colour=references[0].colour if references else -1,
        )
        for number in range(work.images)
    ]


def as_addresses(arrival: Arrival, work: Work, pictures: list[Drawing], now: float) -> list[Made]:
    """Where the pictures are."""
    options, contract = arrival.options, arrival.route.contract
    life = contract.url_lifetime if options.url_lifetime is None else options.url_lifetime
    expires = int(now) - 60 if work.fault is Fault.EXPIRED_URL else int(now + life)
    cut = work.fault is Fault.BAD_IMAGE
    paths = [links.to_path(links.Link(picture, expires, cut)) for picture in pictures]
    return [
        Made(f"http://{arrival.host}{path}".encode(), picture.format, by_address=True)
        for path, picture in zip(paths, pictures, strict=True)
    ]


def inline(work: Work, pictures: list[Drawing], form: str) -> list[Made]:
    """The pictures themselves. Draws and encodes: meant for an executor."""
    made = []
    for picture in pictures:
        file = draw(picture)
        if work.fault is Fault.BAD_IMAGE:
            file = file[: len(file) * 6 // 10]
        text = encoded(file, picture.format, form)
        if work.fault is Fault.BAD_B64:
            middle = len(text) // 2
            text = text[:middle] + b"!?*" + text[middle:]
        made.append(Made(text, picture.format))
    return made


def encoded(file: bytes, kind: str, form: str) -> bytes:
    """Base64 in one of the forms gateways send, as the inside of a JSON string."""
    text = pybase64.b64encode(file)
    if form == "raw":
        return text
    if form == "wrapped":
        return b"\\n".join(text[at : at + _LINE] for at in range(0, len(text), _LINE))
    if form == "escaped":
        return text.replace(b"/", b"\\/")
    prefix = f"data:image/{kind};base64,".encode()
    return prefix + (text.rstrip(b"=") if form == "unpadded" else text)


def base64_form(arrival: Arrival, chance: Chance) -> str:
    """The form base64 goes in: official routes always send it raw."""
    options = arrival.options
    if arrival.voice.official:
        return "raw"
    if options.b64 != "mixed":
        return options.b64
    mark = chance.roll("b64")
    return next(form for form, share in _FORMS if mark < share)


def usage_of(work: Work) -> dict[str, Any]:
    """The usage as the Images API spells it, in a mapping to be added to a reply; empty when none is reported."""
    if work.usage is None:
        return {}
    return {"usage": {name: value for name, value in work.usage.items() if not name.startswith("main_")}}


def filled(document: Any, texts: Sequence[bytes]) -> bytes:
    """A document as JSON, with long texts put where their `Slots` stand, so that they are copied only once."""
    mark = _MARK.encode()
    parts = [part.split(b"@", 1) for part in compact(document).split(mark)]
    whole = [parts[0][0] if len(parts[0]) == 1 else b"@".join(parts[0])]
    for number, rest in parts[1:]:
        whole += (texts[int(number)], rest)
    return b"".join(whole)


def slot(number: int) -> str:
    """What stands in a document for text `number`, until `filled` puts it there."""
    return f"{_MARK}{number}@"


def compact(value: object) -> bytes:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


_MARK = f"~{secrets.token_hex(12)}~"  # nothing a client writes can hold it
