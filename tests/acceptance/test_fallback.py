"""A run goes on over other routes where one cannot deliver: everything arrives, each switch is said once, books agree."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.support.shop import Shop

FIRST, SECOND = "apiyi/gpt-image-2-vip", "laozhang/gpt-image-2-vip"
ENTERPRISE = "apiyi/gpt-image-2@image2Enterprise"
MANIFEST = f"""version: 1
name: job
route: {FIRST}
fallback: [{SECOND}, apiyi/gpt-image-2]
prompts:
  - {{id: mug, text: a red mug, count: 4}}
  - {{id: vase, text: a blue vase, count: 4}}
sizes: ["16:9@4K", "1:1@2K"]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, pace=20)


def rehearse(shop: Shop, *faults: str, text: str = MANIFEST, code: int = 0) -> str:
    """What a rehearsal says on stdout; its ledger must agree with the simulator's bill."""
    shop.write("job.yaml", text)
    words = [word for fault in ("pictures=plain", *faults) for word in ("--fault", fault)]
    said = shop.run("run", "job.yaml", "--rehearse", *words, code=code).stdout
    booked = shop.query("SELECT sum(billed) FROM job", "rehearsal/batchgen.db")[0][0]
    assert booked == sum(line.charged for line in shop.bill("rehearsal/bill.jsonl"))
    shop.run("verify", "--rehearse")
    return said


def delivered_by(shop: Shop) -> dict[str, int]:
    query = "SELECT a.route, count(*) FROM image i JOIN attempt a ON a.id = i.attempt_id GROUP BY a.route"
    return dict(shop.query(query, "rehearsal/batchgen.db"))


def switches(said: str) -> list[str]:
    return [line for line in said.splitlines() if "oing on over" in line or "go on over" in line]


def test_run_survives_a_first_route_without_a_key(shop: Shop) -> None:
    said = rehearse(shop, f"{FIRST}:p_unauthorized=1")
    assert delivered_by(shop) == {SECOND: 16}
    assert [line.partition(":")[0] for line in switches(said)] == [FIRST]
    assert "the key was not accepted" in said


def test_run_survives_a_first_route_without_money(shop: Shop) -> None:
    said = rehearse(shop, f"{FIRST}:p_quota=1")
    assert delivered_by(shop) == {SECOND: 16}
    assert len(switches(said)) == 1
    assert "no quota or balance is left" in said


def test_run_survives_a_first_route_on_which_only_4k_fails(shop: Shop) -> None:
    said = rehearse(shop, f"{FIRST}:p500_4k=1")
    assert delivered_by(shop) == {FIRST: 8, SECOND: 8}
    assert len(switches(said)) == 1
    asked = shop.query(
        f"SELECT size_sent, count(*) FROM attempt WHERE route = '{FIRST}' AND outcome <> 'delivered' GROUP BY 1",
        "rehearsal/batchgen.db",
    )
    ((size, attempts),) = asked
    assert size == "3840x2160"
    assert attempts >= 24  # three each, as `limits.attempts` allows, once it is known that only 4K fails
    flags = dict(shop.query("SELECT flags, count(*) FROM image GROUP BY 1", "rehearsal/batchgen.db"))
    assert flags == {"": 8, "rerouted": 8}


def test_run_goes_through_all_its_routes_one_after_another(shop: Shop) -> None:
    """401 on the first, no money on the second, 4K that fails on none of the rest."""
    said = rehearse(shop, f"{FIRST}:p_unauthorized=1", f"{SECOND}:p_quota=1")
    assert delivered_by(shop) == {"apiyi/gpt-image-2": 16}
    assert [line.partition(":")[0] for line in switches(said)] == [FIRST, SECOND]


def test_run_stops_when_the_last_route_cannot_go_on_and_a_later_run_begins_anew(shop: Shop) -> None:
    three = f"route: {FIRST}\nfallback: [{SECOND}]"
    text = MANIFEST.replace(f"route: {FIRST}\nfallback: [{SECOND}, apiyi/gpt-image-2]", three)
    said = rehearse(shop, "p_quota=1", text=text, code=4)
    assert "stopped before the end" in said
    assert shop.states("rehearsal/batchgen.db") == {"available": 16}
    rehearse(shop, text=text)
    assert delivered_by(shop) == {FIRST: 16}


def test_mandatory_4k_is_rescued_and_nothing_else_costs_ten_times_as_much(shop: Shop) -> None:
    lines = [line for line in MANIFEST.splitlines() if not line.startswith("fallback")]
    text = "\n".join([*lines, "if_4k_fails: rescue", "quality: low"]).replace("quality: low", "") + "\n"
    rehearse(shop, f"{FIRST}:p500_4k=1", text=text)
    assert delivered_by(shop) == {FIRST: 8, ENTERPRISE: 8}
    sizes = dict(
        shop.query(
            f"SELECT size_sent, count(*) FROM attempt WHERE route = '{ENTERPRISE}' GROUP BY 1", "rehearsal/batchgen.db"
        )
    )
    assert sizes == {"3840x2160": 8}


def test_key_that_is_refused_does_not_send_everything_to_the_rescue(shop: Shop) -> None:
    lines = [line for line in MANIFEST.splitlines() if not line.startswith("fallback")]
    text = "\n".join([*lines, "if_4k_fails: rescue"]) + "\n"
    said = rehearse(shop, f"{FIRST}:p_unauthorized=1", text=text, code=4)
    assert delivered_by(shop) == {}
    assert "the key was not accepted" in said


def test_4k_that_may_fail_fails_at_once_when_the_job_says_so(shop: Shop) -> None:
    lines = [line for line in MANIFEST.splitlines() if not line.startswith("fallback")]
    rehearse(shop, f"{FIRST}:p500_4k=1", text="\n".join([*lines, "if_4k_fails: fail"]) + "\n", code=3)
    assert shop.states("rehearsal/batchgen.db") == {"completed": 8, "failed": 8}
    assert shop.query("SELECT count(*) FROM attempt", "rehearsal/batchgen.db") == [(16,)]


def test_refusals_move_on_only_when_the_job_says_so(shop: Shop) -> None:
    rehearse(shop, f"{FIRST}:p_refuse_text=1", text=MANIFEST, code=3)
    assert shop.states("rehearsal/batchgen.db") == {"failed": 16}
    shop.run("retry", "job", "--rehearse")
    rehearse(shop, f"{FIRST}:p_refuse_text=1", text=MANIFEST + "fallback_on_refusal: true\n")
    assert delivered_by(shop) == {SECOND: 16}


def test_books_agree_on_every_route_with_everything_going_wrong(shop: Shop) -> None:
    """Refusals, retries, downgrades and failovers in one run: cent by cent what the gateways charge, route by route."""
    text = MANIFEST.replace("count: 4", "count: 12") + "downgrade: true\nlimits: {attempts: 4, unknown: 3}\n"
    faults = [f"{FIRST}:p500_4k=0.5", "p_500=0.1", "p_refuse_text=0.05", "p_429=0.05", "p_url=0.2"]
    shop.write("job.yaml", text)
    words = [word for fault in ("pictures=plain", *faults) for word in ("--fault", fault)]
    shop.run("run", "job.yaml", "--rehearse", *words, code=3)
    booked = dict(shop.query("SELECT route, sum(billed) FROM attempt GROUP BY route", "rehearsal/batchgen.db"))
    bill: dict[str, int] = {}
    for line in shop.bill("rehearsal/bill.jsonl"):
        bill[line.route] = bill.get(line.route, 0) + line.charged
    assert {route: amount for route, amount in booked.items() if amount} == {r: a for r, a in bill.items() if a}
    assert (
        len(shop.bill("rehearsal/bill.jsonl"))
        == shop.query("SELECT count(*) FROM attempt", "rehearsal/batchgen.db")[0][0]
    )
    shop.run("verify", "--rehearse")


def test_tasks_that_an_heir_cannot_take_reach_the_one_after_it_once(shop: Shop) -> None:
    text = f"""version: 1
name: job
route: openai/gpt-image-2
fallback: [openai/gpt-image-1.5, {ENTERPRISE}]
quality: low
prompts:
  - {{id: mug, text: a red mug, count: 20}}
sizes: ["3840x2160", "1024x1024"]
"""
    rehearse(shop, "openai/gpt-image-2:p_401=1", text=text)
    assert delivered_by(shop) == {"openai/gpt-image-1.5": 20, ENTERPRISE: 20}


TWO = f"""version: 1
name: job
route: {FIRST}
fallback: [{SECOND}]
prompts:
  - {{id: mug, text: a red mug, count: 40}}
sizes: ["1:1@2K"]
"""


@pytest.mark.parametrize("limit", [6, 9])
def test_limit_counts_what_waits_for_its_route(shop: Shop, limit: int) -> None:
    shop.pace = 1  # the pauses of one route and the latency of the other are measured against each other
    shop.write("job.yaml", TWO)
    plain = ("--fault", "pictures=plain")
    shop.run("run", "job.yaml", "--rehearse", "--limit", "1", *plain, code=4)
    with sqlite3.connect(
        shop.folder / "rehearsal/batchgen.db"
    ) as connection:  # as failovers of an earlier run leave it
        connection.execute(f"UPDATE task SET send_route = '{SECOND}' WHERE state = 'available' AND id % 2")
    slow = [f"{FIRST}:rate=0.5", f"{FIRST}:retry_after=2", f"{SECOND}:latency=1"]
    words = [word for fault in slow for word in ("--fault", fault)]
    shop.run("run", "job.yaml", "--rehearse", "--limit", str(limit), *plain, *words, code=4)
    assert shop.query("SELECT count(*) - 1 FROM image", "rehearsal/batchgen.db")[0][0] <= limit


def test_task_that_was_sent_on_to_a_route_which_is_gone_is_bought_over_the_first(shop: Shop) -> None:
    text = TWO.replace("count: 40", "count: 2").replace("1:1@2K", "16:9@4K")
    shop.write("job.yaml", text)
    faults = [f"{FIRST}:p500_4k=1", f"{SECOND}:p_quota=1", "pictures=plain"]
    words = [word for fault in faults for word in ("--fault", fault)]
    shop.run("run", "job.yaml", "--rehearse", *words, code=None)
    sent_on = "SELECT count(*) FROM task WHERE send_route <> '' AND state = 'available'"
    assert shop.query(sent_on, "rehearsal/batchgen.db")[0][0]
    shop.run("retry", "job", "--failed", "--rehearse", code=None)
    rehearse(shop, text=text.replace(SECOND, "apiyi/gpt-image-2"))
    assert shop.states("rehearsal/batchgen.db") == {"completed": 2}
