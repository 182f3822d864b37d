"""What the rule of a lane makes of a gateway whose limits nobody told: in virtual time, against the best there is."""

from __future__ import annotations

import statistics

import pytest

from batchgen.domain.learned import Learned, LimitKind, Whose
from batchgen.policy.lanes.found_pace import FoundPace
from batchgen.policy.lanes.in_flight import InFlightLimit
from batchgen.policy.lanes.known_pace import KnownPace
from batchgen.policy.lanes.marks import Mark, Marks
from batchgen.policy.lanes.memory import learned, recalled
from batchgen.policy.lanes.rule import LaneRule, NoLimit
from benchmarks.lanes import SCENARIOS, Night, nights

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


def first_nights(name: str, seeds: int = 3) -> list[Night]:
    return [next(nights(BY_NAME[name], seed)) for seed in range(1, seeds + 1)]


# Name of the scenario, the least share of what is allowed that is taken, and the most refusals per task.
REACHED = [
    ("no limit, 1 s, 500 at once", 0.98, 0.0),
    ("no limit, 100 s, 60 tasks", 0.97, 0.0),
    ("no limit, 120 s, 5000 tasks", 0.98, 0.0),
    ("30 in flight, 1 s", 0.97, 0.03),
    ("30 in flight, 60 s", 0.97, 0.03),
    ("30 in flight, 120 s, 60 tasks", 0.95, 0.08),
    ("30, then 60 in flight", 0.93, 0.04),
    ("60, then 20 in flight", 0.85, 0.05),
    ("50/s burst 50, 0.2 s", 0.97, 0.07),
    ("50/s burst 1, 500 at once", 0.80, 0.05),
    ("50/s burst 1, Retry-After 1", 0.80, 0.05),
    ("50/s burst 1, 20 ms jitter", 0.70, 0.10),
    ("20/min burst 1, 60 s", 0.80, 0.06),
    ("30 in flight and 20/min", 0.95, 0.05),
    ("2 % refused by chance", 0.88, 0.04),
    ("10 % refused by chance", 0.80, 0.15),
    ("50/s known, burst 2", 0.99, 0.0),
    ("50/s known, burst 1", 0.94, 0.005),
    ("50/s known, burst 50 known", 0.99, 0.0),
]


@pytest.mark.parametrize(("name", "taken", "refused"), REACHED, ids=[name for name, *_ in REACHED])
def test_rule_takes_what_is_allowed_and_is_seldom_refused(name: str, taken: float, refused: float) -> None:
    found = first_nights(name)
    assert statistics.mean(night.taken for night in found) >= taken
    assert statistics.mean(night.refused for night in found) <= refused


def test_limit_of_calls_in_flight_is_told_from_a_pace() -> None:
    for night in first_nights("30 in flight, 60 s"):
        assert isinstance(night.rule.limit, InFlightLimit)
        assert 28 <= night.rule.limit.calls <= 30
    for night in first_nights("20/min burst 1, 60 s"):
        assert isinstance(night.rule.limit, FoundPace)
        assert night.rule.limit.rate == pytest.approx(20 / 60, rel=0.05)
    for night in first_nights("no limit, 60 s, 500 at once"):
        assert night.rule.limit == NoLimit()


def test_call_that_never_left_teaches_nothing() -> None:
    rule = LaneRule.start(64, 1.0)
    sent, call = rule.after_sent(1.0, 0)
    assert sent.after_unsent(call).taken.unproven == ()
    assert sent.settled(60.0).after_unsent(call).taken.calls == 0


def test_first_calls_are_few_until_one_of_them_is_taken_in() -> None:
    """The address, the key and the model may all be wrong, and each call may be charged."""
    rule, flying = LaneRule.start(500, 1.0), 0
    while rule.opening(0.0, flying, 10_000) <= 0.0:
        rule, _ = rule.after_sent(0.0, flying)
        flying += 1
    assert flying == 4
    assert rule.settled(1.0).opening(1.0, flying, 10_000) <= 1.0


def test_long_wait_is_the_lane_s_and_a_short_one_the_task_s() -> None:
    sent, call = LaneRule.start(64, 1.0).after_sent(0.0, 0)
    assert sent.after_refusal(call, 0.5, 5.0).opening(0.5, 0, 0) <= 0.5
    assert sent.after_refusal(call, 0.5, 30.0).opening(0.5, 0, 0) == 30.5


def test_known_pace_keeps_to_its_grid_and_yields_when_it_is_refused() -> None:
    pace = KnownPace(50.0).after_sent(0.0)
    assert pace.slot == pytest.approx(pace.gap, rel=0.03)
    assert pace.after_sent(pace.slot).slot == pytest.approx(2 * pace.gap, rel=0.03)
    refused = pace.after_refused(0.1)
    assert (refused.margin, refused.slot) == (0.01, pytest.approx(0.12))
    assert not refused.strained


def test_pace_is_read_from_the_calls_between_two_refusals() -> None:
    marks = Marks(0.0, (Mark(0.0, 0, 0), Mark(10.0, 100, 101), Mark(20.0, 200, 202)))
    found, kept = marks.best_rate(10.0)
    assert found is not None
    assert (found.rate, kept) == (10.0, marks)
    found, kept = marks.after(30.0, 220, 302).best_rate(10.0)
    assert found is not None
    assert (found.rate, len(kept.all)) == (2.0, 2)
    idle = marks.after(30.0, 220, 223)  # there were no more calls to make
    found, kept = idle.best_rate(10.0)
    assert found is not None
    assert (found.rate, kept) == (pytest.approx(7.33, rel=0.01), idle)


# Name of the scenario, and the same of a night that begins with what the first has learned.
REACHED_AGAIN = [
    ("no limit, 60 s, 500 at once", 0.99, 0.0),
    ("30 in flight, 1 s", 0.99, 0.01),
    ("30 in flight, 120 s, 60 tasks", 0.99, 0.01),
    ("50/s burst 50, 0.2 s", 0.99, 0.02),
    ("50/s burst 1, 500 at once", 0.90, 0.03),
    ("20/min burst 1, 60 s", 0.90, 0.03),
]


@pytest.mark.parametrize(("name", "taken", "refused"), REACHED_AGAIN, ids=[name for name, *_ in REACHED_AGAIN])
def test_second_night_begins_where_the_first_has_ended(name: str, taken: float, refused: float) -> None:
    found = [list(nights(BY_NAME[name], seed, 2))[1] for seed in range(1, 4)]
    assert statistics.mean(night.taken for night in found) >= taken
    assert statistics.mean(night.refused for night in found) <= refused


def test_memory_is_what_the_rule_knows_and_is_begun_with() -> None:
    whose, start = Whose("h", "k", "m"), LaneRule.start(64, 1.0)
    assert learned(start, whose, 5.0) is None
    seen = start._replace(taken=start.taken._replace(calls=9, proven=40))
    free = learned(seen, whose, 5.0)
    assert free == Learned("h", "k", "m", LimitKind.NOTHING, 0, 0.0, 1, 40, 5.0)
    begun = recalled(start, free)
    assert (begun.taken.proven, begun.limit, begun.careful) == (40, NoLimit(), False)
    held = learned(seen._replace(limit=InFlightLimit.at(30)), whose, 5.0)
    assert held is not None
    assert recalled(start, held).limit == InFlightLimit.at(30)
    assert recalled(LaneRule.start(20, 1.0), held).limit == NoLimit()  # the job allows less than that
    paced = learned(seen._replace(limit=FoundPace(5.0)), whose, 5.0)
    assert paced is not None
    assert recalled(start, paced).limit == FoundPace.known(5.0, 1)
    assert recalled(LaneRule.start(64, 1.0, KnownPace(2.0)), paced).limit == NoLimit()  # the user knows better


def test_slow_first_refusal_does_not_make_the_lane_slow_for_long() -> None:
    """The first calls of a run wait for much that later ones do not."""
    rule = LaneRule.start(64, 0.003)
    for delay in (0.6, *[0.01] * 12):
        rule, call = rule.after_sent(0.0, 10)
        rule = rule.after_refusal(call, delay, None)
    assert rule.taken.moment < 0.06


def test_headers_are_obeyed_where_there_are_any() -> None:
    rule = LaneRule.start(64, 1.0)
    assert rule.after_headers(10.0, None, None) is rule
    assert rule.after_headers(10.0, 7.0, None).opening(10.0, 0, 0) == 17.0
    told = rule.after_headers(10.0, None, 5.0)
    assert told.known == KnownPace(5.0, slot=10.0)
    assert told.after_headers(11.0, None, 50.0).known == told.known  # the slower of two is the one that holds


def test_lane_begins_with_the_calls_in_flight_that_the_gateway_states_once_one_was_taken_in() -> None:
    rule, flying = LaneRule.start(100, 1.0).stated(30), 0
    for moment in (0.0, 1.0):
        rule = rule.settled(moment)
        while rule.opening(moment, flying, 1000) <= moment:
            rule, _ = rule.after_sent(moment, flying)
            flying += 1
        assert flying == (4 if not moment else 30)
    assert rule.limit == InFlightLimit.at(30)
