"""kill -9 at random points under load: nothing forgotten, nothing unwritten, nothing bought twice that was on disk.

`CHAOS_KILLS=50` makes it 50 kills over 500 tasks with 20 workers; more are made of as many rounds of 50. The seed is
printed; `CHAOS_SEED` repeats it.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.chaos.promises import promise
from tests.chaos.site import LONG, Site, running
from tests.support.shop import Shop, gateway

KILLS = int(os.environ.get("CHAOS_KILLS", "50" if LONG else "6"))
PER_ROUND = min(KILLS, 50)
TASKS = 10 * PER_ROUND
LOOP_KILLS = 20 if LONG else 6
LOOP_TASKS = 12 * LOOP_KILLS
UNKNOWN = 1


def chance_of(round_: int) -> random.Random:
    seed = int(os.environ.get("CHAOS_SEED", time.time_ns() % 1_000_000)) + round_
    print(f"CHAOS_SEED={seed}")
    return random.Random(seed)


def kill_once(site: Site, chance: random.Random, longest: float) -> int | None:
    """One start and its end at a random moment after its first call; every fifth ends before, in recovery or sooner.

    Gives the calls whose answers were not on disk; None when the job was done first.
    """
    before = site.attempts()
    with running(site) as process:
        if chance.random() < 0.2:
            time.sleep(chance.uniform(0.0, 0.4))
        elif not site.wait_for_attempts(process, before):
            return None
        else:
            time.sleep(chance.uniform(0.0, longest))
        if not site.kill(process):
            return None
    return len(site.unanswered())


@pytest.mark.timeout(900)
@pytest.mark.parametrize("round_", range(max(1, KILLS // 50)))
def test_kill_at_random_points_under_load(tmp_path: Path, round_: int) -> None:
    chance = chance_of(round_)
    with gateway(Shop(tmp_path), "latency=0.12", "p_url=0.3") as shop:
        site = Site.of(shop, "site", TASKS)
        kills = in_flight = loaded = 0
        while kills < PER_ROUND:
            lost = kill_once(site, chance, 0.25)
            assert lost is not None, f"the job ended after {kills} kills; nothing was left to kill: {site.said}"
            kills += 1
            in_flight += lost
            loaded += lost > 0
        site.finish()
        books = site.check()
    assert loaded >= PER_ROUND // 2, "the kills hit hardly any call"
    assert books.calls - TASKS <= in_flight
    assert books.unknowns <= in_flight
    tried = "{kills} kills -9 over {tasks} tasks with 20 workers"
    seen = {
        "kills": kills,
        "tasks": TASKS,
        "calls": books.calls,
        "attempts": books.attempts,
        "links": site.query("SELECT count(*) FROM attempt WHERE url <> ''")[0][0],
        "extra": books.calls - TASKS,
        "in_flight": in_flight,
        "billed": books.billed,
        "charged": books.charged,
        "most": books.billed + books.unknown,
    }
    shown = {
        1: "{tasks} images",
        2: "{calls} calls at the gateway, all in the ledger ({attempts} attempts)",
        4: "{links} of the answers were links, each fetched without a further call",
        5: "{extra} extra calls, {in_flight} in flight without a receipt",
        6: "billed {billed} <= charged {charged} <= {most} micro-dollars",
        15: "verify is clean",
    }
    for number, text in shown.items():
        promise(number, f"{tried}: {text}", **seen)


@pytest.mark.timeout(300)
def test_crash_loop_stops_at_the_allowance_for_lost_answers(tmp_path: Path) -> None:
    """Answers slower than the process lives: without the cap it would buy for ever."""
    chance = chance_of(0)
    with gateway(Shop(tmp_path), "latency=0.6") as shop:
        site = Site.of(shop, "site", LOOP_TASKS, "concurrency: 20, budget: 1000.00")
        site.latency = 0.8
        hit = 0
        while hit < LOOP_KILLS:
            lost = kill_once(site, chance, 0.6)
            assert lost is not None, f"the loop ended after {hit} kills that hit a call: {site.said}"
            hit += lost > 0
        said = site.finish(code=5)
        parked = site.states()["parked"]
        books = site.check_money()
        assert books.calls <= LOOP_TASKS * (1 + UNKNOWN)
        worst = site.query("SELECT max(n) FROM (SELECT count(*) AS n FROM attempt GROUP BY task_id)")[0][0]
        assert worst <= 1 + UNKNOWN
        assert "retry job --parked" in said
        site.run("retry", "job", "--parked")
        site.finish()
        site.check()
    promise(5, f"crash loop, {hit} kills that hit a call: {books.calls} calls for {LOOP_TASKS} tasks, {parked} parked")
