"""Whole histories of one task: whatever comes back, in whatever order, it is never bought more than its limits allow."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.domain.job import FourK, Limits, Parameters
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Claim, Outcome, OutcomeKind
from batchgen.domain.size import Size
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.decide import (
    CHEAP,
    HOLLOW_KINDS,
    LONGEST_DELAY,
    NOWHERE,
    REFUSALS,
    Decision,
    Deliver,
    Downgrade,
    Fail,
    Failover,
    NextRoutes,
    Park,
    Release,
    Retry,
    Rules,
    StopLane,
    counts,
    decide,
    paid_retries,
)

LARGE = Size(3840, 2160)
ROUTES = ("home", "second", "third")
EXAMPLES = 20_000 if os.environ.get("CHAOS") == "long" else 500
START = Claim(1, 1, "mug", "text", LARGE, LARGE, 1, Parameters(), "mug", 1, 0, 0, 0, 0.0, send_route=ROUTES[0])

kinds = st.lists(
    st.tuples(st.sampled_from(list(OutcomeKind)), st.none() | st.floats(0, 1e9), st.booleans()), max_size=60
)
limits = st.builds(
    Limits, attempts=st.integers(1, 4), unknown=st.integers(0, 3), retry_paid=st.none() | st.integers(0, 3)
)
rules = st.builds(Rules, limits, st.sampled_from(list(FourK)), on_refusal=st.booleans())


def outcome(kind: OutcomeKind, wait: float | None = None, page: bool = False) -> Outcome:
    lost = kind in LOST_KINDS
    return Outcome(
        kind, Charge.VOID, "what happened", wait, answered=not lost, page=page and kind is OutcomeKind.EDGE_ERROR
    )


def onward(claim: Claim) -> NextRoutes:
    """The next route; the last one leads nowhere."""
    later = ROUTES[ROUTES.index(claim.send_route) + 1 :]
    return NextRoutes(later[0], later[0]) if later else NOWHERE


def after(claim: Claim, kind: OutcomeKind, step: Decision) -> Claim | None:
    """The task as the ledger has it next; None when it waits for nothing any more."""
    unknowns = claim.unknowns + (kind in LOST_KINDS)
    claim = replace(claim, hollow=claim.hollow + (kind in HOLLOW_KINDS))
    match step:
        case StopLane(then=then) if then is not None:
            return after(claim, kind, then)
        case Release() | StopLane():
            return claim
        case Retry():
            return replace(claim, attempts=claim.attempts + counts(outcome(kind)), unknowns=unknowns)
        case Downgrade(size):
            return replace(claim, attempts=claim.attempts + counts(outcome(kind)), unknowns=unknowns, send_size=size)
        case Failover(route):
            return replace(claim, attempts=0, unknowns=unknowns, send_route=route)
        case _:
            return None


@settings(max_examples=EXAMPLES, deadline=None)
@given(kinds, rules, st.floats(0, 1), st.sampled_from([None, CHEAP, CHEAP + 1]))
def test_no_history_buys_a_task_more_often_than_its_limits_allow(
    history: list[tuple[OutcomeKind, float | None, bool]], rule: Rules, draw: float, upper: int | None
) -> None:
    claim, paid, lost, hollow = START, Counter[str](), 0, 0
    left: set[str] = set()
    for kind, wait, page in history:
        paid[claim.send_route] += counts(outcome(kind))
        lost += kind in LOST_KINDS
        hollow += kind in HOLLOW_KINDS
        assert claim.send_route not in left
        step = decide(
            outcome(kind, wait, page),
            claim,
            rule,
            lambda low, high: low + draw * (high - low),
            onward(claim),
            upper=upper,
        )
        if isinstance(step, Retry | Downgrade):
            assert 0.0 <= step.delay <= LONGEST_DELAY
        if isinstance(step, Failover):
            assert kind is OutcomeKind.SERVER_ERROR or (kind in REFUSALS and rule.on_refusal)
            left.add(claim.send_route)
        elif kind in REFUSALS:
            assert isinstance(step, Fail)
        following = after(claim, kind, step)
        if following is None:
            break
        assert following.send_size.width * following.send_size.height <= claim.send_size.width * claim.send_size.height
        claim = following
    assert all(calls <= rule.limits.attempts for calls in paid.values())
    assert lost <= rule.limits.unknown + 1
    assert hollow <= paid_retries(rule.limits, upper) + 1


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.sampled_from(list(OutcomeKind)),
    rules,
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_who_has_used_more_is_never_given_more(
    kind: OutcomeKind, rule: Rules, attempts: int, unknowns: int, more: int, further: int
) -> None:
    def step(claim: Claim) -> Decision:
        return decide(outcome(kind), claim, rule, lambda low, high: high, onward(claim))

    before = step(replace(START, attempts=attempts, unknowns=unknowns))
    later = step(replace(START, attempts=attempts + more, unknowns=unknowns + further))
    if isinstance(before, Park | Fail | Failover):
        assert not isinstance(later, Retry | Downgrade)
    assert isinstance(before, Deliver) == isinstance(later, Deliver)
