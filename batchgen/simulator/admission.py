"""What the gateway does with a request: turn it away, or work on it, and for how much.

The order of checks is the real one: key, body, model, rate, the account's state, parameters, money, content. Everything
before the work is free.
"""

from __future__ import annotations

import math
from dataclasses import replace
from email.utils import formatdate

from batchgen.domain.model import OutcomeKind
from batchgen.simulator.call_plan import CallPlan, plan_call
from batchgen.simulator.chance import Chance, choose, in_batch, named_faults
from batchgen.simulator.faults import Fault
from batchgen.simulator.gateway_replies import Declined
from batchgen.simulator.limits import BUSY
from batchgen.simulator.reference_checks import check_references
from batchgen.simulator.request_validation import RequestValidator, ValidatedRequest, wanted_size
from batchgen.simulator.state import IncomingCall, SimulatorState

_TURNED_AWAY_AFTER = 0.3  # seconds to be turned away


def admit(state: SimulatorState, call: IncomingCall) -> CallPlan:
    """Decide about one request. When it returns, the call has a place on the route and its price is held.

    Raises:
        Declined: the call ends here, for nothing.
        UsageError: the request names a fault that does not exist.
    """
    replies, contract, image_request = call.replies, call.route.contract, call.image_request
    if not call.key:
        raise Declined(OutcomeKind.UNAUTHORIZED, replies.missing_key())
    if image_request.objection is not None:
        raise image_request.objection
    named = named_faults(call.fault, image_request.prompt)
    wait = call.limits.enter(state.clock.monotonic(), call.options)
    if wait is not None:
        raise _throttled(state, call, wait)
    chance = state.chance(call)
    fault = choose(call.options, named, chance, wanted_size(image_request.fields), contract.downgrade)
    fault = in_batch(fault) if call.batch else fault
    try:
        _turn_away(state, call, fault)
        asked = RequestValidator(replies, call.options.unsure, image_request.inside).validate(image_request.fields)
        check_references(replies, image_request)
        fault = _refused(call, asked, fault, chance)
        plan = plan_call(call, asked, fault, chance)
        balances = state.balances(call)
        for balance, limit in zip(balances, (call.options.spend, call.options.key_spend), strict=True):
            if limit is not None and plan.price > balance.left(limit):
                raise Declined(OutcomeKind.QUOTA, replies.quota(balance.left(limit), plan.price))
        for balance in balances:
            balance.hold(plan.price)
    except Declined as declined:
        declined.occurrence = chance.occurrence
        declined.fault = "" if fault is Fault.NONE else fault
        call.limits.leave()
        raise
    return plan


def decline_delay(call: IncomingCall) -> float:
    """Say how many seconds of real time pass until a call is turned away."""
    return 0.0 if call.options.latency is not None else _TURNED_AWAY_AFTER / call.options.speed


def _throttled(state: SimulatorState, call: IncomingCall, wait: float) -> Declined:
    """Make a 429 with as much advice as the options ask for."""
    style, official = call.options.retry_after, call.replies.official
    in_words = style == "body" or (style == "auto" and official)
    headers: tuple[tuple[str, str], ...] = ()
    if style == "auto":
        headers = (("retry-after", str(max(1, math.ceil(wait)))),)
    elif style == "date":
        headers = (("retry-after", formatdate(state.clock.now() + max(1, math.ceil(wait)), usegmt=True)),)
    elif style.endswith("ms"):
        headers = (("retry-after-ms", style.removesuffix("ms")),)
    elif style[0].isdigit():
        headers = (("retry-after", style),)
    reply = call.replies.throttled(wait, in_words=in_words)
    return Declined(OutcomeKind.THROTTLED, replace(reply, headers=headers))


def _turn_away(state: SimulatorState, call: IncomingCall, fault: Fault) -> None:
    """Play the faults that end a call before it is looked at."""
    if fault is Fault.UNAUTHORIZED:
        raise Declined(OutcomeKind.UNAUTHORIZED, call.replies.bad_key())
    if fault is Fault.QUOTA:
        raise Declined(OutcomeKind.QUOTA, call.replies.quota(0, 30_000))
    if fault is Fault.THROTTLED:
        raise _throttled(state, call, BUSY)


def _refused(call: IncomingCall, asked: ValidatedRequest, fault: Fault, chance: Chance) -> Fault:
    """Return the fault, or a refusal where the prompt holds the forbidden word."""
    word = call.options.refuse_word
    if fault is not Fault.NONE or not word or word not in asked.prompt.lower():
        return fault
    in_words = chance.roll("refusal") < 0.5 if call.image_request.main else not call.replies.official
    return Fault.REFUSE_TEXT if in_words else Fault.REFUSE
