"""What comes back when a picture was made, and the forms it takes on the wire."""

from __future__ import annotations

import json
from typing import Any

import pybase64

from batchgen.simulator import bodies, links
from batchgen.simulator.bodies import Reply
from batchgen.simulator.desk import Arrival
from batchgen.simulator.faults import Chance, Fault, Options
from batchgen.simulator.picture import Drawing, draw, label_of, seed_of
from batchgen.simulator.work import Work

_LINE = 76  # characters of a wrapped line of base64
# Share of each form under `mixed`: what different versions of the same gateways were seen to send.
_FORMS = (("raw", 0.4), ("prefix", 0.8), ("unpadded", 0.9), ("wrapped", 0.95), ("escaped", 1.0))


def without_picture(arrival: Arrival, work: Work, created: int) -> Reply | None:
    """The answer of a call that delivers no picture; None when it does."""
    voice = arrival.voice
    if work.fault is Fault.REFUSE_TEXT:
        return bodies.refusal_in_words(work.chance.roll("words"), created, arrival.route.contract.model, _usage(work))
    if work.fault is Fault.EMPTY:
        return Reply(200, _compact({"created": created, "data": [], **_usage(work)}))
    ready = {
        Fault.SERVER_HTML: bodies.SERVER_ERROR_PAGE,
        Fault.BAD_GATEWAY: bodies.BAD_GATEWAY_PAGE,
        Fault.EDGE_TIMEOUT: bodies.EDGE_TIMEOUT_PAGE,
        Fault.GARBAGE: bodies.GARBAGE,
    }
    spoken = {Fault.SERVER: voice.server_error, Fault.REFUSE: voice.refused, Fault.ERROR_IN_200: voice.error_in_200}
    if work.fault in spoken:
        return spoken[work.fault]()
    return ready.get(work.fault)


def drawings(arrival: Arrival, work: Work, take: int) -> list[Drawing]:
    """The pictures to deliver."""
    options, asked = arrival.options, work.asked
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
        )
        for number in range(work.images)
    ]


def by_address(work: Work) -> bool:
    """Whether pictures go as addresses."""
    return work.fault in {Fault.URL, Fault.EXPIRED_URL} or work.asked.response_format == "url"


def with_addresses(arrival: Arrival, work: Work, pictures: list[Drawing], now: float) -> Reply:
    """An answer that names where its pictures are."""
    options, contract = arrival.options, arrival.route.contract
    life = contract.url_lifetime if options.url_lifetime is None else options.url_lifetime
    expires = int(now) - 60 if work.fault is Fault.EXPIRED_URL else int(now + life)
    cut = work.fault is Fault.BAD_IMAGE
    paths = [links.to_path(links.Link(picture, expires, cut)) for picture in pictures]
    items = [_compact({"url": f"http://{arrival.host}{path}"}) for path in paths]
    return _assemble(arrival, work, items, int(now))


def inline(arrival: Arrival, work: Work, pictures: list[Drawing], now: float) -> Reply:
    """An answer with its pictures in it. Draws and encodes: meant for an executor."""
    items = []
    for picture in pictures:
        file = draw(picture)
        if work.fault is Fault.BAD_IMAGE:
            file = file[: len(file) * 6 // 10]
        text = encoded(file, picture.format, _form(arrival, work.chance))
        if work.fault is Fault.BAD_B64:
            middle = len(text) // 2
            text = text[:middle] + b"!?*" + text[middle:]
        items.append(b'{"b64_json":"' + text + b'"}')
    return _assemble(arrival, work, items, int(now))


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


def _form(arrival: Arrival, chance: Chance) -> str:
    options: Options = arrival.options
    if arrival.voice.official:
        return "raw"
    if options.b64 != "mixed":
        return options.b64
    mark = chance.roll("b64")
    return next(form for form, share in _FORMS if mark < share)


def _usage(work: Work) -> dict[str, Any]:
    return {"usage": work.usage} if work.usage is not None else {}


def _assemble(arrival: Arrival, work: Work, items: list[bytes], created: int) -> Reply:
    """The body, in the order of keys each channel sends. Official routes say what they really delivered."""
    before: dict[str, Any] = {"created": created}
    after = _usage(work)
    if arrival.voice.official:
        asked = work.asked
        before["background"] = asked.background if asked.background not in {None, "auto"} else "opaque"
        after = {"output_format": asked.format, "quality": work.quality, "size": str(work.size), **after}
    head = _compact(before)[:-1]
    tail = _compact(after)[1:] if after else b"}"
    comma = b"," if after else b""
    return Reply(200, b"".join((head, b',"data":[', b",".join(items), b"]", comma, tail)))


def _compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
