"""When a gateway is taken to be down, when it is asked again, and when it is believed to be back."""

from __future__ import annotations

import pytest

from batchgen.policy.breaker import (
    ENOUGH,
    FIRST_WAIT,
    LONGEST_WAIT,
    MOST_MAYBE,
    MOST_PROBES,
    PER_LIFE,
    Breaker,
    Outage,
)


def failing(tasks: int, *, flights: tuple[float, ...] = (), took: float = 1.0, apart: float = 1.0) -> Breaker:
    """So many tasks fail for the first time, one after the other."""
    known = Breaker()
    for task in range(tasks):
        known = known.after_failure(task, task * apart, task * apart + took, flights)
    return known


def test_enough_tasks_that_fail_at_their_first_try_open_it_and_one_less_do_not() -> None:
    assert failing(ENOUGH - 1).outage is None
    assert failing(ENOUGH).outage == Outage(ENOUGH, FIRST_WAIT, ENOUGH + FIRST_WAIT)


def test_further_failures_of_the_same_tasks_are_no_evidence() -> None:
    known = failing(ENOUGH - 1)
    for number in range(50):
        known = known.after_failure(number % (ENOUGH - 1), 10.0 + number, 11.0 + number, ())
        known = known.after_failure(100 + number, 10.0 + number, 11.0 + number, (), first=False)
    assert known.outage is None


def test_it_opens_no_sooner_than_three_times_what_an_error_takes() -> None:
    at_once = failing(30, took=10.0, apart=0.0)
    assert at_once.outage is None
    later = at_once.after_failure(0, 20.0, 29.9, (), first=False)
    assert later.outage is None
    assert later.after_failure(0, 20.0, 30.0, (), first=False).outage is not None


def test_calls_that_live_on_longer_than_an_error_takes_are_signs_of_life() -> None:
    assert failing(ENOUGH, flights=(0.1,)).outage is None
    assert failing(ENOUGH + PER_LIFE, flights=(0.1,)).outage is not None
    assert failing(ENOUGH + PER_LIFE, flights=(0.1, 0.2)).outage is None
    sent_before, just_sent = (-5.0,) * 50, (ENOUGH - 1.0,) * 50
    assert failing(ENOUGH, flights=sent_before + just_sent).outage is not None


def test_success_of_a_call_sent_since_ends_the_streak_and_an_older_one_does_not() -> None:
    known = Breaker().after_failure(1, 10.0, 11.0, ())
    assert known.after_success(9.9) == known
    assert known.after_success(10.1) == Breaker()


def test_success_of_a_call_sent_after_it_opened_closes_it_and_an_older_one_does_not() -> None:
    known = failing(ENOUGH)
    assert known.outage is not None
    assert known.after_success(known.outage.began) == known
    assert known.after_success(known.outage.began + 0.1) == Breaker()


def test_probes_wait_twice_as_long_each_time_up_to_two_minutes_and_a_fifth_is_chance() -> None:
    outage, now, waits = Outage.beginning(0.0), FIRST_WAIT, []
    for _ in range(6):
        outage = outage._replace(probing=True).after_probe(now, lambda low, high: (low + high) / 2, dead=True)
        assert not outage.probing
        waits.append(outage.probe_at - now)
        now = outage.probe_at
    assert waits == pytest.approx([30, 60, 120, 120, 120, 120])
    latest = outage.after_probe(now, lambda _low, high: high, dead=True)
    assert latest.probe_at == pytest.approx(now + 1.2 * LONGEST_WAIT)


def test_probe_that_shows_nothing_is_made_again_after_the_same_wait() -> None:
    outage = Outage.beginning(0.0)._replace(probing=True).after_probe(20.0, lambda _low, high: high, dead=False)
    assert (outage.wait, outage.probe_at) == (FIRST_WAIT, 20 + 1.2 * FIRST_WAIT)


def test_probes_that_are_paid_are_bounded_by_their_number_and_by_their_money() -> None:
    outage = Outage.beginning(0.0)
    assert not outage._replace(probes=MOST_PROBES - 1, maybe=MOST_MAYBE - 1).exhausted
    assert outage._replace(probes=MOST_PROBES).exhausted
    assert outage._replace(maybe=MOST_MAYBE).exhausted
