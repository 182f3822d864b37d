"""Whoever looks is told whether a run goes on, died or ended, why, and what it did."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger import spoil
from tests.support.shop import Shop, gateway

JOB = """
prompts: [{from: products.csv, id: "{{ sku }}", text: "Photo of {{ name }}"}]
sizes: ["1:1@1K"]
limits: {concurrency: 4, unknown: 9, attempts: 9, budget: %s}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop that the gateway belongs to."""
    with gateway(Shop(tmp_path_factory.mktemp("gateway"))) as shop:
        yield shop


@pytest.fixture
def shop(house: Shop, tmp_path: Path) -> Shop:
    shop = Shop(tmp_path, house.base_url)
    shop.catalog(20)
    shop.manifest(JOB % "0.45")
    return shop


def latency(shop: Shop, seconds: float) -> None:
    """Have the gateway take so long from now on."""
    url = f"{shop.base_url.removesuffix('/v1')}/_sim/options"
    headers = {"Content-Type": "application/json"}
    wanted = urllib.request.Request(url, json.dumps({"latency": seconds}).encode(), headers)
    with urllib.request.urlopen(wanted) as answer:
        assert answer.status == 200


def running(shop: Shop, calls: int, *words: str) -> subprocess.Popen[bytes]:
    """A run that has made so many calls."""
    process = shop.start("run", "job.yaml", *words)
    while (found := shop.query_or_nothing("SELECT count(*) FROM attempt")) < [(calls,)]:
        assert process.poll() is None, found
        time.sleep(0.01)
    return process


def test_run_that_goes_on_dies_and_ends_is_told_at_each_moment(shop: Shop) -> None:
    latency(shop, 60.0)
    process = running(shop, 4)
    try:
        told = shop.json("status", "job")["run"]
        assert (told["state"], told["pid"], told["ended"], told["exit"]) == ("running", process.pid, None, None)
        assert told["calls"] == 4
        sums = "SELECT count(*), round(sum(reserved_usd), 6), (SELECT count(*) FROM images) FROM spending"
        assert shop.query(sums) == [(4, 0.12, 20)], "who looks with SQLite holds nobody up, and is held up by nobody"
        said = shop.run("status").stdout
        assert re.search(
            rf"\n  running since \d\d:\d\d \(pid {process.pid}, \d+ s\): 4 calls, 0 images, \$0.00 \+ \$0.12 under way",
            said,
        )
    finally:
        process.kill()
        process.communicate()
        latency(shop, 0.0)
    died = shop.json("status", "job")["run"]
    assert (died["state"], died["pid"], died["ended"]) == ("died", process.pid, None)
    assert re.search(rf"died at \d\d:\d\d or later \(pid {process.pid}, running since", shop.run("status").stdout)
    assert f"(pid {process.pid}, running since" in shop.run("report", "job").stdout

    shop.run("run", "job.yaml", code=4)
    ended = shop.json("status", "job")["run"]
    assert (ended["state"], ended["reason"], ended["exit"]) == ("ended", "the budget is reached", 4)
    assert re.search(
        r"\n  ended \d\d:\d\d: the budget is reached, exit 4: \d+ calls, \d+ images, \$", shop.run("status").stdout
    )
    report = shop.json("report", "job")
    assert [run["state"] for run in report["runs"]] == ["ended", "died"]
    assert report["runs"][1]["maybe_usd"] == "0.12", "what the dead one left is booked, and is its own"
    assert sum(run["calls"] for run in report["runs"]) == shop.query("SELECT count(*) FROM attempt")[0][0]
    assert re.search(
        r"\nruns\n  \d\d:\d\d to \d\d:\d\d \(\d+ s\): the budget is reached, exit 4: ", shop.run("report", "job").stdout
    )
    shop.run("verify")


def test_run_that_buys_everything_had_nothing_left_and_one_that_finds_nothing_is_none(shop: Shop) -> None:
    shop.catalog(2)
    shop.run("run", "job.yaml")
    shop.run("run", "job.yaml")
    report = shop.json("report", "job")
    assert [(run["reason"], run["exit"], run["calls"], run["delivered"]) for run in report["runs"]] == [("", 0, 2, 2)]
    assert "nothing was left to buy, exit 0: 2 calls, 2 images, $0.06" in shop.run("status").stdout


def test_run_of_some_prompts_says_that_others_wait(shop: Shop) -> None:
    shop.catalog(2)
    said = shop.run("run", "job.yaml", "--only", "SKU-0001", code=4).stdout
    sentence = "what was asked for is done, other images of the job still wait"
    assert f"stopped before the end: {sentence}" in said
    told = shop.json("status", "job")["run"]
    assert (told["reason"], told["exit"]) == (sentence, 4)


def test_run_that_is_left_at_once_says_so(shop: Shop) -> None:
    latency(shop, 60.0)
    process = running(shop, 4, "--json")
    assert process.stdout is not None
    process.send_signal(signal.SIGINT)
    while b'"stopped"' not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    latency(shop, 0.0)
    told = shop.json("status", "job")["run"]
    assert (told["state"], told["reason"], told["exit"]) == ("ended", "left at once", 131)
    assert (told["calls"], told["maybe_usd"], told["reserved_usd"]) == (4, "0.12", "0.00")


def test_run_that_an_error_ended_says_which(shop: Shop) -> None:
    shop.catalog(2)
    shop.run("run", "job.yaml", "--limit", "1", code=4)
    trigger = "CREATE TRIGGER broken BEFORE INSERT ON attempt BEGIN SELECT raise(ABORT, 'no more'); END"
    spoil(shop.folder / "batchgen.db", trigger)
    said = shop.run("run", "job.yaml", code=1).stderr
    assert "refused a statement: no more" in said
    report = shop.json("report", "job")
    assert [(run["state"], run["exit"]) for run in report["runs"]] == [("ended", 1), ("ended", 4)]
    assert "refused a statement: no more" in report["runs"][0]["reason"]
    assert report["runs"][1]["reason"] == "--limit 1 is reached"


def test_run_on_another_machine_names_it(shop: Shop) -> None:
    shop.catalog(1)
    shop.run("run", "job.yaml")
    spoil(shop.folder / "batchgen.db", "UPDATE run SET host = 'mars'")
    assert " on mars: nothing was left to buy" in shop.run("status").stdout
    spoil(shop.folder / "batchgen.db", "UPDATE run SET ended_at = NULL, pid = 4242")
    shop.write("batchgen.db.holder", "process 4242 on mars since 2026-01-01T00:00:00Z")
    assert "(pid 4242 on mars, " in shop.run("status").stdout


def test_probe_is_a_run(shop: Shop) -> None:
    shop.run("probe", "apiyi/gpt-image-2-vip", "--rehearse")
    told = shop.json("status", "probe-apiyi-gpt-image-2-vip", "--rehearse")["run"]
    assert (told["state"], told["reason"], told["exit"], told["calls"]) == ("ended", "", 0, 1)
