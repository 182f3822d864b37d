"""Kills and interrupts of a real process: nothing lost, nothing bought twice that was on disk."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.shop import Shop, gateway, wait_until

PRICE = 30_000
CATALOG = """
prompts:
  - from: products.csv
    id: "{{ sku }}"
    text: "Photo of {{ name }}"
sizes: ["1:1@1K"]
limits: {concurrency: 20, unknown: 5, attempts: 9, unknown_total: 10000, budget: 100.00}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def wait_for_calls(shop: Shop, process: subprocess.Popen[bytes], calls: int) -> None:
    """Until the gateway has answered so many calls."""
    wait_until(process, lambda: len(shop.bill()) >= calls)


def check_books(shop: Shop, tasks: int) -> None:
    """All images, every call of the gateway in the ledger, the sums within what is known."""
    assert shop.states() == {"completed": tasks}
    assert len(shop.images()) == tasks
    charged = sum(line.charged for line in shop.bill())
    billed, unknown, reserved = shop.query("SELECT billed, unknown, reserved FROM job")[0]
    assert reserved == 0
    assert billed <= charged <= billed + unknown
    attempts = shop.query("SELECT count(*) FROM attempt")[0][0]
    assert len(shop.bill()) <= attempts
    shop.run("verify")


def test_kill_three_times_then_finish(shop: Shop) -> None:
    tasks, chance = 300, random.Random(20261121)
    with gateway(shop, "latency=0.1"):
        shop.catalog(tasks)
        job = shop.manifest(CATALOG)
        in_flight_without_answer = 0
        for _ in range(3):
            process = shop.start("run", job)
            wait_for_calls(shop, process, len(shop.bill()) + chance.randrange(20, 70))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            receipts = {path.stem for path in (shop.folder / "out/job/.batchgen").glob("*.json")}
            running = shop.query("SELECT attempt_id FROM task WHERE state = 'running'")
            in_flight_without_answer += sum(str(attempt) not in receipts for (attempt,) in running)
        shop.run("run", job)
        check_books(shop, tasks)
        assert len(shop.bill()) <= tasks + in_flight_without_answer
        unknown = shop.query("SELECT count(*) FROM attempt WHERE charge = 'unknown'")[0][0]
        assert unknown <= in_flight_without_answer <= 60


def test_interrupt_once_drains_and_the_next_run_goes_on(shop: Shop) -> None:
    with gateway(shop, "latency=0.3"):
        shop.catalog(60)
        job = shop.manifest(CATALOG)
        process = shop.start("run", job)
        wait_for_calls(shop, process, 10)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
        assert shop.query("SELECT count(*) FROM attempt WHERE charge = 'unknown'") == [(0,)]
        assert shop.states()["available"] > 0
        shop.run("run", job)
        check_books(shop, 60)
        assert len(shop.bill()) == 60


def test_interrupt_twice_leaves_within_two_seconds_and_counts_what_was_in_flight(shop: Shop) -> None:
    with gateway(shop, "latency=30"):
        shop.catalog(30)
        job = shop.manifest(CATALOG)
        process = shop.start("run", job, "--json")
        assert process.stdout is not None
        wait_until(process, lambda: len(shop.query_or_nothing("SELECT id FROM attempt")) >= 4)
        process.send_signal(signal.SIGINT)
        while json.loads(process.stdout.readline())["event"] != "stopped":  # two signals at once may be one
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=4)
        assert process.returncode == 131
        charges = dict(shop.query("SELECT charge, count(*) FROM attempt GROUP BY charge"))
        assert charges.pop("void", 0) < 30  # what was ready, and had not left
        assert set(charges) == {"unknown"}
        assert shop.query("SELECT unknown, reserved FROM job") == [(charges["unknown"] * PRICE, 0)]


def test_run_goes_on_when_the_reader_of_its_output_has_gone(shop: Shop) -> None:
    with gateway(shop, "latency=0.2"):
        shop.catalog(30)
        job = shop.manifest(CATALOG)
        process = shop.start("run", job, "--json")
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(30) == 0
        assert shop.query("SELECT count(*) FROM attempt WHERE charge <> 'billed'") == [(0,)]
        assert shop.states() == {"completed": 30}
