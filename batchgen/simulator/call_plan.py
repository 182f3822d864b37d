"""The work on one request: what will be delivered, what it costs, how long it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

from batchgen.contracts.contract import Contract
from batchgen.contracts.tokens import TokenPrice, output_tokens
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.size import Size
from batchgen.simulator.chance import Chance
from batchgen.simulator.faults import Fault
from batchgen.simulator.image_request import ImageRequest
from batchgen.simulator.price import price_of
from batchgen.simulator.request_validation import ValidatedRequest
from batchgen.simulator.state import IncomingCall

_NATIVE = Size(1254, 1254)  # what the ChatGPT web line draws when nothing is said (APIYI, comparison page)
_CLASSIC = (Size(1024, 1024), Size(1536, 1024), Size(1024, 1536))
# Where a family's grid is not published the simulator needs one all the same; it bills what it reports.
_GRID = {"low": 16, "medium": 24, "high": 48, "xhigh": 64, "max": 96}
_QUICKER = {"low": 0.4, "medium": 0.7}  # share of the usual time, official routes
_TOOL, _CALL = 220, 40  # tokens a mainline model reads about its image tool, and writes to call it
_NORMAL = NormalDist()

KINDS = {
    Fault.SERVER: OutcomeKind.SERVER_ERROR,
    Fault.SERVER_HTML: OutcomeKind.EDGE_ERROR,
    Fault.BAD_GATEWAY: OutcomeKind.EDGE_ERROR,
    Fault.EDGE_TIMEOUT: OutcomeKind.EDGE_ERROR,
    Fault.REFUSE: OutcomeKind.REFUSED,
    Fault.REFUSE_TEXT: OutcomeKind.REFUSED_TEXT,
    Fault.EMPTY: OutcomeKind.EMPTY,
    Fault.GARBAGE: OutcomeKind.UNREAD,
    Fault.ERROR_IN_200: OutcomeKind.EMPTY,
    Fault.NOT_HTTP: OutcomeKind.LOST,
    Fault.HANG: OutcomeKind.TIMED_OUT,
    Fault.DROP: OutcomeKind.LOST,
    Fault.CUT: OutcomeKind.CUT,
    Fault.BAD_B64: OutcomeKind.DAMAGED,
}
# Where the client cannot know, the gateway does: the picture was made, only nobody saw it.
_MADE_UNSEEN = frozenset({Fault.EDGE_TIMEOUT, Fault.NOT_HTTP, Fault.HANG, Fault.DROP, Fault.CUT})


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What is to become of a call that was let in.

    Attributes:
        size: pixels that will be delivered; `quality` likewise, "" where the route has none.
        images: pictures that will be delivered; reverse routes make one whatever `n` says.
        usage: what the answer reports, None for nothing.
        price: micro-dollars of a success, `charged` of what really happens.
        delay: seconds of real time until the answer.
    """

    asked: ValidatedRequest
    fault: Fault
    kind: OutcomeKind
    chance: Chance
    size: Size
    quality: str
    images: int
    usage: dict[str, Any] | None
    price: int
    charged: int
    delay: float


def plan_call(call: IncomingCall, asked: ValidatedRequest, fault: Fault, chance: Chance) -> CallPlan:
    """Work out all that follows from what is asked and what goes wrong."""
    contract, image_request = call.route.contract, call.image_request
    size, quality = _size(contract, asked, chance), _quality(contract, asked, chance)
    images = asked.n if contract.channel == "official" else 1
    # Where a mainline model answers in words it has not called its tool, and the tool costs nothing.
    drawn = 0 if image_request.main and fault in {Fault.REFUSE, Fault.REFUSE_TEXT, Fault.EMPTY} else images
    usage = _usage(contract, image_request, size, quality, drawn, chance)
    price = price_of(contract, usage, asked.n)
    kind = KINDS.get(fault, OutcomeKind.DELIVERED)
    if image_request.main and kind is OutcomeKind.REFUSED:
        kind = OutcomeKind.REFUSED_TEXT  # a 200 whose usage says what the mainline model has cost
    return CallPlan(
        asked=asked,
        fault=fault,
        kind=kind,
        chance=chance,
        size=Size(size.width // 2, size.height // 2) if fault is Fault.WRONG_SIZE else size,
        quality=quality,
        images=images,
        usage=usage,
        price=price,
        charged=_charged(contract, kind, fault, price),
        delay=_delay(call, size, quality, fault, chance),
    )


def _size(contract: Contract, asked: ValidatedRequest, chance: Chance) -> Size:
    if not asked.size.is_auto:
        return asked.size
    if contract.channel == "official":
        return _CLASSIC[int(chance.roll("size") * len(_CLASSIC))]
    if contract.sizes.kind == "listed" and contract.sizes.listed:
        return contract.sizes.listed[0]
    return contract.sizes.answers.get("1:1", _NATIVE)


def _quality(contract: Contract, asked: ValidatedRequest, chance: Chance) -> str:
    if contract.channel != "official":
        return asked.quality or ""
    if asked.quality not in {None, "auto"}:
        return str(asked.quality)
    rule = contract.parameters.get("quality")
    known = contract.price.qualities if isinstance(contract.price, TokenPrice) else ()
    choice = [each for each in rule.values if each != "auto" and (not known or each in known)] if rule else []
    return choice[int(chance.roll("quality") * len(choice))] if choice else "medium"


def _usage(
    contract: Contract, image_request: ImageRequest, size: Size, quality: str, images: int, chance: Chance
) -> dict[str, Any] | None:
    """Count tokens: one for every four bytes of the prompt, begun ones too, and the calculator's for pictures.

    Reverse routes report a shorter usage or none, and nobody bills it.
    """
    text = -(-len(image_request.prompt.encode("utf-8", "surrogatepass")) // 4)
    seen = sum(reference.tokens for reference in image_request.references)
    main = (
        {"main_input_tokens": text + seen + _TOOL, "main_output_tokens": min(text, 400) + _CALL}
        if image_request.main
        else {}
    )
    if not isinstance(contract.price, TokenPrice):
        made = -(-size.pixels // 1024) * images
        short = {"input_tokens": text, "output_tokens": made, "total_tokens": text + made}
        return short if chance.roll("usage") < 0.5 else None
    if image_request.main and not images:
        text = seen = 0
    made = _output_tokens(contract.price, size, quality) * images
    return {
        "input_tokens": text + seen,
        "input_tokens_details": {"text_tokens": text, "image_tokens": seen},
        "output_tokens": made,
        "output_tokens_details": {"image_tokens": made, "text_tokens": 0},
        "total_tokens": text + seen + made,
        **main,
    }


def _output_tokens(price: TokenPrice, size: Size, quality: str) -> int:
    known = output_tokens(price, size, quality)
    if known is None:
        grid = replace(price, bases=_GRID, table={})
        known = output_tokens(grid, size, quality if quality in _GRID else "high")
    return known or 1


def _charged(contract: Contract, kind: OutcomeKind, fault: Fault, price: int) -> int:
    charge = contract.charges[kind]
    paid = charge is Charge.BILLED or (charge is not Charge.VOID and fault in _MADE_UNSEEN)
    return price if paid else 0


def _delay(call: IncomingCall, size: Size, quality: str, fault: Fault, chance: Chance) -> float:
    options = call.options
    if options.latency is not None:
        return options.latency
    usual = _usual(call.route.contract, size, quality, chance)
    seconds = {
        Fault.SERVER: usual * 0.6,
        Fault.SERVER_HTML: 2.0,
        Fault.BAD_GATEWAY: 2.0,
        Fault.EDGE_TIMEOUT: 100.0,
        Fault.REFUSE: usual if chance.roll("stage") < 0.3 else 3.0,  # after the picture was made, or before
        Fault.REFUSE_TEXT: usual * 0.2,
    }.get(fault, usual)
    return seconds / options.speed


def _usual(contract: Contract, size: Size, quality: str, chance: Chance) -> float:
    """Draw the seconds a success takes: lognormal, the contract's usual range as its middle 80 per cent."""
    low, high = contract.latency.get(size.tier) or next(iter(contract.latency.values()), (30.0, 60.0))
    spread = math.log(max(high / low, 1.01)) / 2
    normal = _NORMAL.inv_cdf(min(max(chance.roll("latency"), 1e-6), 1 - 1e-6)) / 1.2816
    usual = math.sqrt(low * high) * math.exp(spread * normal)
    return usual * (_QUICKER.get(quality, 1.0) if contract.channel == "official" else 1.0)
