"""What happens next: every kind of outcome, every allowance."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.job import FourK, Limits, Parameters
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Claim, Outcome, OutcomeKind
from batchgen.domain.size import Size
from batchgen.engine.bookings import settlement
from batchgen.policy.backoff import Backoff
from batchgen.policy.decide import (
    CHEAP,
    LONGEST_DELAY,
    NOWHERE,
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
)

SQUARE_4K, SQUARE_2K = Size(2880, 2880), Size(2048, 2048)


def claim(attempts: int = 0, unknowns: int = 0, size: Size = SQUARE_2K) -> Claim:
    return Claim(1, 1, "mug", "text", size, size, 1, Parameters(), "mug", 1, attempts, unknowns, attempts, 0.0)


def outcome(kind: OutcomeKind, retry_after: float | None = None, charge: Charge = Charge.VOID) -> Outcome:
    return Outcome(kind, charge, "what happened", retry_after)


def top(_low: float, high: float) -> float:
    return high


def next_step(
    kind: OutcomeKind, task: Claim, retry_after: float | None = None, downgrade: bool = False, **limits: int
) -> object:
    rules = Rules(Limits(**limits), FourK.DOWNGRADE if downgrade else FourK.RETRY)  # type: ignore[arg-type]
    return decide(outcome(kind, retry_after), task, rules, top)


def test_delivered_image_is_delivered() -> None:
    assert isinstance(next_step(OutcomeKind.DELIVERED, claim()), Deliver)


@pytest.mark.parametrize("kind", [OutcomeKind.THROTTLED, OutcomeKind.BUSY, OutcomeKind.NOT_SENT])
def test_task_is_released_whatever_it_has_used_when_the_lane_must_wait(kind: OutcomeKind) -> None:
    step = next_step(kind, claim(attempts=99, unknowns=99), retry_after=7.0)
    assert step == Release(7.0, "what happened")
    assert not counts(outcome(kind))


@pytest.mark.parametrize(
    "kind", [OutcomeKind.QUOTA, OutcomeKind.UNAUTHORIZED, OutcomeKind.UNSERVED, OutcomeKind.NO_CHANNEL]
)
def test_lane_stops_when_no_call_can_succeed(kind: OutcomeKind) -> None:
    assert isinstance(next_step(kind, claim()), StopLane)
    assert not counts(outcome(kind))


@pytest.mark.parametrize(
    "kind",
    [
        OutcomeKind.REJECTED,
        OutcomeKind.REFUSED,
        OutcomeKind.REFUSED_TEXT,
        OutcomeKind.EMPTY,
        OutcomeKind.DAMAGED,
        OutcomeKind.OVERSIZED,
    ],
)
def test_task_fails_at_once_when_asking_again_would_only_pay_again(kind: OutcomeKind) -> None:
    assert isinstance(next_step(kind, claim(), attempts=9, unknown=9), Fail)


@pytest.mark.parametrize(
    "kind", [OutcomeKind.LOST, OutcomeKind.TIMED_OUT, OutcomeKind.SEND_BROKEN, OutcomeKind.EDGE_ERROR, OutcomeKind.CUT]
)
def test_lost_answer_is_retried_as_often_as_allowed_and_then_parked(kind: OutcomeKind) -> None:
    assert isinstance(next_step(kind, claim(unknowns=0)), Retry)
    assert isinstance(next_step(kind, claim(attempts=1, unknowns=1)), Park)
    assert isinstance(next_step(kind, claim(unknowns=0), unknown=0), Park)
    assert isinstance(next_step(kind, claim(attempts=2, unknowns=0)), Park)


@pytest.mark.parametrize("kind", [OutcomeKind.EMPTY, OutcomeKind.DAMAGED])
@pytest.mark.parametrize(
    ("allowed", "upper", "tries"),
    [
        (None, CHEAP, 1),
        (None, CHEAP + 1, 0),
        (None, None, 0),
        (0, 0, 0),
        (2, None, 2),
        (5, 9 * CHEAP, 3),
    ],
)
def test_hollow_answer_is_paid_once_more_where_that_is_cheap_and_as_often_as_allowed_elsewhere(
    kind: OutcomeKind, allowed: int | None, upper: int | None, tries: int
) -> None:
    rules = Rules(Limits(attempts=4, retry_paid=allowed))
    made = [
        decide(outcome(kind), replace(claim(attempts=hollow), hollow=hollow), rules, top, upper=upper)
        for hollow in range(4)
    ]
    assert [isinstance(step, Retry) for step in made] == [hollow < tries for hollow in range(4)]
    assert isinstance(made[-1], Fail)


@pytest.mark.parametrize(
    ("kind", "then", "way_out"),
    [
        (OutcomeKind.UNREAD, Park, "picture_at"),
        (OutcomeKind.EMPTY, Fail, "another route"),
        (OutcomeKind.REJECTED, Fail, "batchgen retry"),
    ],
)
def test_answers_that_are_all_alike_stop_the_route_and_the_last_task_goes_where_the_others_went(
    kind: OutcomeKind, then: type, way_out: str
) -> None:
    rules = Rules(Limits())
    assert isinstance(decide(outcome(kind), claim(), rules, top), then)
    stopped = decide(outcome(kind), claim(), rules, top, alike=True)
    assert isinstance(stopped, StopLane)
    assert isinstance(stopped.then, then)
    assert way_out in stopped.why
    assert "what happened" in stopped.why


def test_redirect_stops_the_route_and_says_where_it_leads() -> None:
    moved = replace(outcome(OutcomeKind.UNSERVED), moved=True, detail="HTTP 308 · leads to https://b.example/v1")
    stopped = decide(moved, claim(), Rules(Limits()), top, proven=True)
    assert isinstance(stopped, StopLane)
    assert stopped.then is None
    assert "base_url" in stopped.why
    assert "https://b.example/v1" in stopped.why


def test_call_that_is_taken_in_for_later_parks_its_task_and_stops_the_route() -> None:
    step = decide(outcome(OutcomeKind.ACCEPTED), claim(), Rules(Limits()), top, proven=True)
    assert isinstance(step, StopLane)
    assert isinstance(step.then, Park)


def test_expired_paid_address_is_parked_never_bought_again() -> None:
    assert isinstance(next_step(OutcomeKind.EXPIRED, claim(), attempts=9, unknown=9), Park)


def test_server_error_is_retried_until_the_attempts_are_used_up() -> None:
    assert isinstance(next_step(OutcomeKind.SERVER_ERROR, claim(attempts=1)), Retry)
    assert isinstance(next_step(OutcomeKind.SERVER_ERROR, claim(attempts=2)), Fail)


def test_4k_becomes_2k_of_the_same_ratio_when_the_job_allows_it() -> None:
    task = claim(size=Size(3840, 2160))
    step = next_step(OutcomeKind.SERVER_ERROR, task, downgrade=True)
    assert isinstance(step, Downgrade)
    assert step.size == Size(2048, 1152)
    assert isinstance(next_step(OutcomeKind.SERVER_ERROR, task), Retry)


def test_4k_failure_goes_where_the_policy_says() -> None:
    large, last = claim(size=Size(3840, 2160)), claim(attempts=2, size=Size(3840, 2160))
    onward = NextRoutes(fallback="a/b", rescue="a/b@enterprise")

    def step(task: Claim, four_k: FourK, way: NextRoutes = onward) -> object:
        return decide(outcome(OutcomeKind.SERVER_ERROR), task, Rules(Limits(), four_k), top, way)

    assert isinstance(step(large, FourK.FAIL), Fail)
    assert isinstance(step(claim(), FourK.FAIL), Retry)
    assert isinstance(step(large, FourK.RESCUE), Retry)
    assert step(last, FourK.RESCUE) == Failover("a/b@enterprise", "3 attempts failed, the last with: what happened")
    assert isinstance(step(last, FourK.RESCUE, NOWHERE), Fail)
    assert step(claim(attempts=2), FourK.RESCUE).route == "a/b"  # type: ignore[attr-defined]


def test_task_moves_on_when_its_attempts_are_used_up_and_another_route_takes_it() -> None:
    way = NextRoutes(fallback="a/b")
    step = decide(outcome(OutcomeKind.SERVER_ERROR), claim(attempts=2), Rules(Limits()), top, way)
    assert isinstance(step, Failover)
    assert step.route == "a/b"


@pytest.mark.parametrize("kind", [OutcomeKind.REFUSED, OutcomeKind.REFUSED_TEXT])
def test_refused_content_moves_on_only_when_the_job_says_so(kind: OutcomeKind) -> None:
    way = NextRoutes(fallback="a/b")
    assert isinstance(decide(outcome(kind), claim(), Rules(Limits()), top, way), Fail)
    assert isinstance(decide(outcome(kind), claim(), Rules(Limits(), on_refusal=True), top, way), Failover)
    assert isinstance(decide(outcome(kind), claim(), Rules(Limits(), on_refusal=True), top), Fail)


@pytest.mark.parametrize(
    "kind",
    [
        OutcomeKind.LOST,
        OutcomeKind.TIMED_OUT,
        OutcomeKind.CUT,
        OutcomeKind.EMPTY,
        OutcomeKind.REJECTED,
        OutcomeKind.DAMAGED,
    ],
)
def test_what_may_be_paid_or_is_asked_wrongly_never_moves_on(kind: OutcomeKind) -> None:
    rules = Rules(Limits(), on_refusal=True)
    step = decide(outcome(kind), claim(attempts=2, unknowns=1), rules, top, NextRoutes("a/b", "a/b@enterprise"))
    assert not isinstance(step, Failover)


def test_2k_is_not_made_smaller() -> None:
    assert isinstance(next_step(OutcomeKind.SERVER_ERROR, claim(), downgrade=True), Retry)


def test_wait_is_at_least_what_the_gateway_asks_for() -> None:
    step = next_step(OutcomeKind.SERVER_ERROR, claim(), retry_after=45.0)
    assert isinstance(step, Retry)
    assert step.delay == 45.0


@given(st.integers(1, 1000), st.floats(0, 1))
def test_backoff_stays_between_zero_and_its_ceiling(failures: int, draw: float) -> None:
    backoff = Backoff()
    delay = backoff.delay(failures, lambda low, high: low + draw * (high - low))
    assert 0 <= delay <= backoff.ceiling(failures) <= backoff.cap


@given(st.sampled_from(list(OutcomeKind)), st.integers(0, 5), st.integers(0, 5), st.integers(1, 5), st.integers(0, 5))
def test_no_outcome_buys_a_task_more_often_than_its_limits_allow(
    kind: OutcomeKind, attempts: int, unknowns: int, limit: int, unknown: int
) -> None:
    step = next_step(kind, claim(attempts, unknowns), downgrade=True, attempts=limit, unknown=unknown)
    if isinstance(step, Retry | Downgrade):
        assert attempts + 1 < limit
    if counts(outcome(kind)):
        assert not isinstance(step, Release)
        assert not isinstance(step, StopLane) or isinstance(step.then, Park)


def test_wait_is_an_hour_at_most_whatever_the_gateway_asks_for() -> None:
    step = next_step(OutcomeKind.SERVER_ERROR, claim(), retry_after=1e9)
    assert isinstance(step, Retry)
    assert step.delay == LONGEST_DELAY == 3600.0


def test_page_before_the_first_image_stops_the_lane_and_counts_as_a_lost_answer() -> None:
    page = replace(outcome(OutcomeKind.EDGE_ERROR), answered=False, page=True)
    first = decide(page, claim(), Rules(Limits()), top)
    assert isinstance(first, StopLane)
    assert "base_url" in first.why
    assert isinstance(first.then, Retry)
    again = decide(page, claim(attempts=1, unknowns=1), Rules(Limits()), top)
    assert isinstance(again, StopLane)
    assert isinstance(again.then, Park), "who runs again and again pays for a task no more often than the limits allow"
    settled = settlement(claim(1, 1), 7, page, again, 0.0)
    assert (settled.event, settled.counts, settled.lost) == (TaskEvent.PARK, True, True)
    settled = settlement(claim(), 7, page, first, 0.0)
    assert (settled.event, settled.counts, settled.lost) == (TaskEvent.RETRY, True, True)


def test_page_after_an_image_is_a_proxy_that_passes() -> None:
    page = replace(outcome(OutcomeKind.EDGE_ERROR), answered=False, page=True)
    rules = Rules(Limits())
    assert isinstance(decide(page, claim(), rules, top, proven=True), Retry)
    assert isinstance(decide(page, claim(1, 1), rules, top, proven=True), Park)


def proven(kind: OutcomeKind, strikes: int = 0) -> object:
    return decide(outcome(kind), claim(), Rules(Limits()), top, proven=True, strikes=strikes)


def test_key_that_worked_is_believed_to_be_bad_at_the_third_refusal_in_a_row() -> None:
    steps = [type(proven(OutcomeKind.UNAUTHORIZED, strikes)) for strikes in range(4)]
    assert steps == [Release, Release, StopLane, StopLane]


def test_route_that_worked_and_has_no_channel_now_is_waited_for() -> None:
    assert isinstance(proven(OutcomeKind.NO_CHANNEL), Release)
    assert isinstance(proven(OutcomeKind.UNSERVED), StopLane)


@pytest.mark.parametrize("kind", [OutcomeKind.THROTTLED, OutcomeKind.BUSY])
def test_refusal_that_may_be_charged_is_no_free_try(kind: OutcomeKind) -> None:
    """An error inside a 200: it counts, and ends with a person."""
    paid, rules = outcome(kind, charge=Charge.UNKNOWN), Rules(Limits(attempts=3))
    assert counts(paid)
    assert [type(decide(paid, claim(attempts), rules, top)) for attempts in range(3)] == [Retry, Retry, Park]


@pytest.mark.parametrize("kind", [OutcomeKind.QUOTA, OutcomeKind.UNAUTHORIZED, OutcomeKind.UNSERVED])
def test_lane_stops_and_the_task_has_one_try_less_when_the_refusal_may_be_charged(kind: OutcomeKind) -> None:
    step = decide(outcome(kind, charge=Charge.UNKNOWN), claim(), Rules(Limits()), top)
    assert isinstance(step, StopLane)
    assert isinstance(step.then, Retry)
