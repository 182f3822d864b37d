"""A gateway that is down for a while, seen over whole runs on virtual time: what fails, what is called, what is said."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from batchgen.domain.events import GatewayBack, GatewayDown
from batchgen.domain.job import FourK, Limits
from batchgen.domain.size import parse_size
from batchgen.policy.breaker import MOST_PROBES
from tests.support.ledger import query
from tests.support.outages import INSIDE, LIMITS, OTHER, PAGE, ROUTE, UNSENT, FailingGateway, Night, spend_night

LARGE = parse_size("16:9@4K")
SMALLER = parse_size("16:9@2K")


def between(begin: float, end: float, chance: float = 1.0, else_: float = 0.0) -> Callable[[float, str], float]:
    """Every call that is sent between two moments fails, or so many of them."""
    return lambda now, size: chance if begin <= now < end else else_


def times(night: Night) -> tuple[int, int]:
    """How often the gateway was taken to be down, and to be back."""
    return len(night.of(GatewayDown)), len(night.of(GatewayBack))


def test_ten_minutes_of_errors_fail_none_of_a_thousand_tasks_and_cost_few_calls(tmp_path: Path) -> None:
    night = spend_night(tmp_path, FailingGateway(between(600, 1200)), 1000)
    assert night.states == {"completed": 1000}
    assert night.calls(600, 1200) <= 40
    assert times(night) == (1, 1)
    assert night.stopped is None
    (down,), (back,) = night.of(GatewayDown), night.of(GatewayBack)
    booked = query(night.path, "SELECT route, tier, tasks, reason, back, round(ended_at - began_at) FROM outage")
    assert booked == [(ROUTE, "1K", down.tasks, down.reason, 1, round(back.seconds))]
    assert 580 <= back.seconds <= 900
    after = [at for at, *_ in night.gateway.sent if at >= 1200]
    assert after[0] < 1200 + 150
    failing = query(night.path, "SELECT count(*), max(attempts) FROM task WHERE attempts > 1")
    assert failing == [(0, None)], "every attempt into the outage was given back"


@pytest.mark.parametrize(
    ("begin", "end", "took", "calls"),
    [(100, 700, 1.0, 40), (100, 700, 30.0, 120), (0, 600, 1.0, 110)],
    ids=["errors after 1 s", "errors after 30 s", "begun in the outage"],
)
def test_outage_fails_nothing_however_long_its_errors_take_and_whenever_it_begins(
    tmp_path: Path, begin: float, end: float, took: float, calls: int
) -> None:
    night = spend_night(tmp_path, FailingGateway(between(begin, end), took=took), 150)
    assert night.states == {"completed": 150}
    assert night.calls(begin, end) <= calls
    assert times(night) == (1, 1)


def test_nine_of_ten_calls_that_fail_are_an_outage(tmp_path: Path) -> None:
    night = spend_night(tmp_path, FailingGateway(between(100, 700, 0.9, 0.02)), 200)
    assert night.states == {"completed": 200}
    assert night.calls(100, 700) <= 260
    assert times(night)[0] >= 1


@pytest.mark.parametrize(("chance", "mistakes"), [(0.15, 0), (0.5, 1)])
def test_gateway_that_answers_many_calls_is_not_down(tmp_path: Path, chance: float, mistakes: int) -> None:
    """Where every other call fails, six in a row are a matter of dice; they are not taken for it again and again."""
    night = spend_night(tmp_path, FailingGateway(between(0, 9e9, chance)), 150)
    assert times(night)[0] <= mistakes
    assert night.states["completed"] > 110


def test_tasks_that_always_fail_are_no_outage_and_end_as_they_always_did(tmp_path: Path) -> None:
    poisoned = frozenset(f"p{number}" for number in range(0, 200, 10))
    night = spend_night(tmp_path, FailingGateway(between(0, 9e9, 0.02), always=poisoned), 200)
    assert times(night) == (0, 0)
    assert night.states == {"completed": 180, "failed": 20}


def test_tasks_that_always_fail_do_not_wait_for_ever_behind_a_gateway_that_seems_down(tmp_path: Path) -> None:
    night = spend_night(tmp_path, FailingGateway(always=frozenset(f"p{number}" for number in range(12))), 12)
    assert times(night) == (1, 0)
    assert night.states["failed"] >= 4
    assert night.stopped is not None
    assert "nothing for 60 minutes" in night.stopped


def test_minutes_of_errors_that_come_and_go_fail_nothing(tmp_path: Path) -> None:
    def fails(now: float, size: str) -> float:
        return 1.0 if 100 <= now < 700 and int(now) // 60 % 2 else 0.0

    night = spend_night(tmp_path, FailingGateway(fails), 200)
    assert night.states == {"completed": 200}
    assert sum(failed for *_, failed in night.gateway.sent) < 300


def test_run_ends_after_its_patience_with_nothing_failed_and_the_next_one_goes_on(tmp_path: Path) -> None:
    limits = Limits(concurrency=30, patience=1200.0)
    night = spend_night(tmp_path, FailingGateway(between(100, 9e9)), 150, limits=limits)
    assert set(night.states) == {"completed", "available"}
    assert night.stopped is not None
    assert "nothing for 20 minutes (HTTP 500" in night.stopped
    assert query(night.path, "SELECT back, ended_at IS NULL FROM outage") == [(0, 0)]
    assert 1300 <= night.lasted <= 1500
    assert query(night.path, "SELECT count(*) FROM task WHERE work = 'available' AND attempts > 0") == [(0,)]


def test_run_with_an_end_waits_for_its_gateway_until_then(tmp_path: Path) -> None:
    limits = Limits(concurrency=30, until=420)
    night = spend_night(tmp_path, FailingGateway(between(100, 9e9)), 150, limits=limits, until=4500.0)
    assert night.stopped == "`limits.until` is reached"
    assert 4499 < night.lasted < 4800
    assert set(night.states) == {"completed", "available"}


def test_fallback_takes_over_after_five_minutes_and_no_sooner(tmp_path: Path) -> None:
    night = spend_night(tmp_path, FailingGateway(between(100, 9e9)), 150, fallback=True)
    assert night.states == {"completed": 150}
    (down,) = night.of(GatewayDown)
    assert down.route == ROUTE
    routes = dict(query(night.path, "SELECT route, min(reserved_at) FROM attempt GROUP BY route"))
    assert 400 <= routes[OTHER] - routes[ROUTE] <= 460


def test_short_outage_moves_nothing_to_the_fallback(tmp_path: Path) -> None:
    night = spend_night(tmp_path, FailingGateway(between(100, 200)), 150, fallback=True)
    assert night.states == {"completed": 150}
    assert query(night.path, "SELECT DISTINCT route FROM attempt") == [(ROUTE,)]


@pytest.mark.parametrize("begin", [0, 100])
def test_pages_of_an_outage_are_one_lost_answer_for_the_run_and_each_its_tasks(tmp_path: Path, begin: int) -> None:
    night = spend_night(tmp_path, FailingGateway(between(begin, begin + 600), answer=PAGE), 200)
    assert night.states["completed"] == 200 - night.states.get("parked", 0)
    assert night.states.get("parked", 0) <= 5, "of those that were lost twice before it was known"
    assert night.stopped is None
    lost = query(night.path, "SELECT count(*) FROM attempt WHERE outcome = 'edge_error'")[0][0]
    assert lost > 10, "more than a run may lose by default"
    assert night.lost == 1
    assert query(night.path, "SELECT sum(unknowns) FROM task") == [(lost,)]


def test_errors_inside_a_success_count_for_their_tasks_although_the_gateway_is_down(tmp_path: Path) -> None:
    night = spend_night(tmp_path, FailingGateway(between(100, 700), answer=INSIDE), 150)
    assert times(night) == (1, 1)
    made = "SELECT task_id, count(*) FROM attempt GROUP BY task_id"
    assert query(
        night.path, f'SELECT count(*) FROM task JOIN ({made}) ON id = task_id WHERE attempts < "count(*)"'
    ) == [(0,)]


def test_calls_that_cannot_leave_are_an_outage_too(tmp_path: Path) -> None:
    night = spend_night(tmp_path, FailingGateway(between(100, 700), answer=UNSENT, took=0.001), 150)
    assert night.states == {"completed": 150}
    assert night.calls(100, 700) <= 40
    assert times(night) == (1, 1)


def test_gateway_that_does_not_answer_what_is_free_is_not_called_for_money(tmp_path: Path) -> None:
    gateway = FailingGateway(between(100, 700), there=lambda now: not 100 <= now < 700)
    night = spend_night(tmp_path, gateway, 150)
    assert night.states == {"completed": 150}
    assert night.calls(130, 700) <= 3
    assert len(gateway.asked) > 5


def test_probes_of_one_outage_are_bounded(tmp_path: Path) -> None:
    limits = Limits(concurrency=30, patience=86_400.0)
    night = spend_night(tmp_path, FailingGateway(between(100, 9e9)), 150, limits=limits)
    assert night.stopped is not None
    assert "what is free and nothing that is paid" in night.stopped
    assert night.calls(160, 9e9) <= MOST_PROBES
    assert set(night.states) == {"completed", "available"}


def test_4k_that_is_down_alone_holds_up_no_other_size(tmp_path: Path) -> None:
    def fails(now: float, size: str) -> float:
        return 1.0 if now < 900 and size == str(LARGE) else 0.0

    night = spend_night(tmp_path, FailingGateway(fails), 60, sizes=(SMALLER, LARGE))
    assert night.states == {"completed": 120}
    small = [at for at, _, size, _ in night.gateway.sent if size == str(SMALLER)]
    assert max(small) < 900
    assert sum(failed for *_, failed in night.gateway.sent) <= 60
    assert times(night) == (1, 1)


@pytest.mark.parametrize("sizes", [(LARGE,), (SMALLER, LARGE)], ids=["4K only", "2K and 4K"])
def test_outage_downgrades_nothing(tmp_path: Path, sizes: tuple[object, ...]) -> None:
    gateway = FailingGateway(between(100, 700))
    night = spend_night(tmp_path, gateway, 60, sizes=sizes, four_k=FourK.DOWNGRADE)  # type: ignore[arg-type]
    assert night.states == {"completed": 60 * len(sizes)}
    assert night.delivered[str(LARGE)] == 60


def test_4k_that_fails_for_good_is_downgraded_as_the_job_says(tmp_path: Path) -> None:
    gateway = FailingGateway(lambda now, size: float(size == str(LARGE)))
    night = spend_night(tmp_path, gateway, 60, sizes=(LARGE,), four_k=FourK.DOWNGRADE)
    assert night.states == {"completed": 60}
    assert night.delivered == {str(SMALLER): 60}
    assert night.lasted < 900
    assert times(night) == (1, 1), "once it is known that only 4K fails, that is no outage any more"


def test_attempts_of_one_are_given_back_too(tmp_path: Path) -> None:
    limits = Limits(concurrency=30, attempts=1)
    night = spend_night(tmp_path, FailingGateway(between(100, 700)), 150, limits=limits)
    assert night.states == {"completed": 150}


def test_outages_are_found_whatever_the_dice_say(tmp_path: Path) -> None:
    for seed in range(3):
        (folder := tmp_path / str(seed)).mkdir()
        gateway = FailingGateway(between(100, 700, else_=0.02), dice=random.Random(seed))
        night = spend_night(folder, gateway, 120, limits=LIMITS)
        assert night.states == {"completed": 120}
        assert night.calls(100, 700) <= 60
