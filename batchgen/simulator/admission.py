"""What the gateway does with a request: turn it away, or work on it, and for how much.

The order of checks is the real one: key, body, model, rate, the account's state, parameters, money, content. Everything
before the work is free.
"""

from __future__ import annotations

import math
from dataclasses import replace
from email.utils import formatdate

from batchgen.domain.model import OutcomeKind
from batchgen.simulator.call_plan import Work, plan
from batchgen.simulator.chance import Chance, choose, in_batch, named_faults
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Declined, Reply
from batchgen.simulator.limits import BUSY
from batchgen.simulator.reference_checks import check_references
from batchgen.simulator.request_validation import Asked, Rules, wanted_size
from batchgen.simulator.state import Arrival, Desk

_AT_THE_DOOR = 0.3  # seconds to be turned away


def judge(desk: Desk, arrival: Arrival) -> Work:
    """Decide about one request. When it returns, the route's gate is entered and the price is held.

    Raises:
        Declined: the call ends here, for nothing.
        UsageError: the request names a fault that does not exist.
    """
    voice, contract, wish = arrival.voice, arrival.route.contract, arrival.wish
    if not arrival.key:
        raise Declined(OutcomeKind.UNAUTHORIZED, voice.missing_key())
    if wish.objection is not None:
        raise wish.objection
    named = named_faults(arrival.fault, wish.prompt)
    wait = arrival.route.gate.enter(desk.clock.monotonic(), arrival.options)
    if wait is not None:
        raise _throttled(desk, arrival, wait)
    chance = desk.chance(arrival)
    fault = choose(arrival.options, named, chance, wanted_size(wish.fields), contract.downgrade)
    fault = in_batch(fault) if arrival.batch else fault
    try:
        _turn_away(desk, arrival, fault)
        asked = Rules(voice, arrival.options.unsure, wish.inside).read(wish.fields)
        check_references(voice, wish)
        fault = _refused(arrival, asked, fault, chance)
        work = plan(arrival, asked, fault, chance)
        purse, limit = desk.purse(contract.provider), arrival.options.spend
        if limit is not None and work.price > purse.left(limit):
            raise Declined(OutcomeKind.QUOTA, voice.quota(purse.left(limit), work.price))
        purse.hold(work.price)
    except Declined as declined:
        declined.occurrence = chance.occurrence
        declined.fault = "" if fault is Fault.NONE else fault
        arrival.route.gate.leave()
        raise
    return work


def decline_delay(arrival: Arrival) -> float:
    """Seconds of real time until a call is turned away."""
    return 0.0 if arrival.options.latency is not None else _AT_THE_DOOR / arrival.options.speed


def _throttled(desk: Desk, arrival: Arrival, wait: float) -> Declined:
    """A 429 with as much advice as the options ask for."""
    style, official = arrival.options.retry_after, arrival.voice.official
    in_words = style == "body" or (style == "auto" and official)
    headers: tuple[tuple[str, str], ...] = ()
    if style == "auto":
        headers = (("retry-after", str(max(1, math.ceil(wait)))),)
    elif style == "date":
        headers = (("retry-after", formatdate(desk.clock.now() + max(1, math.ceil(wait)), usegmt=True)),)
    elif style.endswith("ms"):
        headers = (("retry-after-ms", style.removesuffix("ms")),)
    elif style[0].isdigit():
        headers = (("retry-after", style),)
    reply: Reply = arrival.voice.throttled(wait, in_words=in_words)
    return Declined(OutcomeKind.THROTTLED, replace(reply, headers=headers))


def _turn_away(desk: Desk, arrival: Arrival, fault: Fault) -> None:
    """The faults that end a call before it is looked at."""
    if fault is Fault.UNAUTHORIZED:
        raise Declined(OutcomeKind.UNAUTHORIZED, arrival.voice.bad_key())
    if fault is Fault.QUOTA:
        raise Declined(OutcomeKind.QUOTA, arrival.voice.quota(0, 30_000))
    if fault is Fault.THROTTLED:
        raise _throttled(desk, arrival, BUSY)


def _refused(arrival: Arrival, asked: Asked, fault: Fault, chance: Chance) -> Fault:
    """The fault, or a refusal where the prompt holds the forbidden word."""
    word = arrival.options.refuse_word
    if fault is not Fault.NONE or not word or word not in asked.prompt.lower():
        return fault
    in_words = chance.roll("refusal") < 0.5 if arrival.wish.main else not arrival.voice.official
    return Fault.REFUSE_TEXT if in_words else Fault.REFUSE
