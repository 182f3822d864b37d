"""A job that is bought by the Batch API: killed at every step, it is handed in once and collected whole."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.shop import Shop, gateway, wait_until

ROUTE = "openai/gpt-image-2"
TASKS = 12
MANIFEST = """
prompts:
  - from: products.csv
    id: "{{ sku }}"
    text: "Photo of {{ name }}"
sizes: [1024x1024]
quality: low
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, pace=20)


def batch_job(shop: Shop, more: str = "") -> str:
    shop.catalog(TASKS)
    route = f'{{use: {ROUTE}, endpoint: batch, base_url: "{shop.base_url}", key_env: SHOP_KEY}}'
    return shop.manifest(MANIFEST + more, route=route)


def batches(shop: Shop) -> list[tuple[str, str]]:
    """Every bundle of the ledger: its state and the gateway's id of it."""
    return [(str(state), str(remote)) for state, remote in shop.query_or_nothing("SELECT state, remote FROM batch")]


def kill_when(shop: Shop, process: subprocess.Popen[bytes], ready: Callable[[], bool]) -> None:
    wait_until(process, ready)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def check_books(shop: Shop) -> None:
    """Every image once, at half price, and the gateway worked on each call once."""
    assert shop.states() == {"completed": TASKS}
    assert len(shop.images()) == TASKS
    bill = shop.bill()
    assert len(bill) == TASKS
    assert shop.query("SELECT billed, unknown, reserved FROM job") == [(sum(line.charged for line in bill), 0, 0)]
    assert {line.charged for line in bill} <= set(range(2900, 3100))  # 196 output tokens at half of $30 a million
    assert [state for state, _ in batches(shop)] == ["closed"]
    shop.run("verify")


def test_batch_is_bought_at_half_price(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=100", route=ROUTE):
        job = batch_job(shop)
        shop.run("run", job)
        check_books(shop)
        assert "0 calls" in shop.run("run", job).stdout


def test_kill_after_handing_in_collects_without_handing_in_again(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=80000", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        kill_when(shop, process, lambda: [state for state, _ in batches(shop)] == ["submitted"])
        remote = batches(shop)[0][1]
        shop.run("run", job)
        check_books(shop)
        assert batches(shop) == [("closed", remote)]


def test_kill_before_handing_in_is_known_hands_in_once(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=100", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        kill_when(shop, process, lambda: len(batches(shop)) == 1)
        shop.run("run", job)
        check_books(shop)


def test_handed_in_batch_is_found_by_its_token(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=80000", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        kill_when(shop, process, lambda: [state for state, _ in batches(shop)] == ["submitted"])
        remote = batches(shop)[0][1]
        with sqlite3.connect(shop.folder / "batchgen.db") as connection:
            connection.execute("UPDATE batch SET state = 'written', remote = ''")
        shop.run("run", job)
        check_books(shop)
        assert batches(shop) == [("closed", remote)]


def test_batch_of_another_key_stops_the_run_until_it_is_given_up(shop: Shop) -> None:
    """The run says what to type; the calls stay in the books as maybe paid, and the images are bought anew."""
    with gateway(shop, "batch_seconds=100", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        kill_when(shop, process, lambda: [state for state, _ in batches(shop)] == ["submitted"])
        ((_, remote),) = batches(shop)
        with_first, shop.environment = shop.environment, {"SHOP_KEY": "sk-of-another-project"}
        for _ in range(2):
            done = shop.run("run", job, code=4)
            assert f"retry JOB --batch {remote}" in done.stderr
            assert shop.states() == {"running": TASKS}
        assert "open are: " + remote in shop.run("retry", "job", "--batch", "batch_typo", code=2).stderr
        assert "alone" in shop.run("retry", "job", "--batch", remote, "--failed", code=2).stderr
        (reserved,) = shop.query("SELECT reserved FROM job")[0]
        given_up = shop.json("retry", "job", "--batch", remote)
        assert given_up["available_again"] == TASKS
        assert shop.query("SELECT billed, unknown, reserved FROM job") == [(0, reserved, 0)]
        shop.run("retry", "job", "--batch", remote, code=2)
        shop.run("run", job)
        assert shop.states() == {"completed": TASKS}
        charged = sum(line.charged for line in shop.bill())
        assert len(shop.bill()) == 2 * TASKS
        ((billed, unknown),) = shop.query("SELECT billed, unknown FROM job")
        assert billed == charged // 2
        assert billed <= charged <= billed + unknown
        shop.environment = with_first
        shop.run("verify")


def test_batch_that_may_be_of_another_key_is_not_handed_in_again(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=100", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        kill_when(shop, process, lambda: [state for state, _ in batches(shop)] == ["submitted"])
        with sqlite3.connect(shop.folder / "batchgen.db") as books:  # as if it had died before the id was known
            books.execute("UPDATE batch SET state = 'written', remote = '', status = 'creating', updated_at = 1")
        shop.environment = {"SHOP_KEY": "sk-of-another-project"}
        said = shop.run("run", job, code=4).stderr
        assert "handed in with another key" in said
        ((token,),) = shop.query("SELECT token FROM batch")
        assert f"retry JOB --batch {token}" in said
        shop.environment = {}
        shop.run("run", job)
        check_books(shop)


def test_kill_while_answers_are_taken_in_takes_in_the_rest(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=100", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        some = "SELECT count(*) FROM attempt WHERE charge = 'billed'"
        kill_when(shop, process, lambda: (shop.query_or_nothing(some) or [(0,)])[0][0] >= 2)
        shop.run("run", job)
        check_books(shop)


def test_interrupt_leaves_the_batch_to_a_later_run(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=80000", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        wait_until(process, lambda: [state for state, _ in batches(shop)] == ["submitted"])
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 130
        assert b"is under way" in said
        plan = shop.json("plan", job)
        assert (plan["calls"], plan["under_way"], plan["worst_usd"]) == (0, TASKS, "0.00")
        assert plan["spent_usd"] == "0.00" < plan["reserved_usd"]
        assert f"{TASKS} under way, to be collected" in shop.run("plan", job).stdout
        shop.run("run", job)
        check_books(shop)


def test_changed_manifest_is_refused_while_a_batch_is_under_way(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=80000", route=ROUTE):
        job = batch_job(shop)
        process = shop.start("run", job)
        kill_when(shop, process, lambda: [state for state, _ in batches(shop)] == ["submitted"])
        shop.catalog(TASKS + 1)
        done = shop.run("run", job, code=4)
        assert "are in a batch that is under way" in done.stderr


def test_lines_that_fail_are_decided_about_one_by_one(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=100", "p_refuse=0.3", route=ROUTE):
        job = batch_job(shop)
        shop.run("run", job, code=3)
        states = shop.states()
        assert states["failed"] + states["completed"] == TASKS
        assert states["failed"] >= 1
        charged = sum(line.charged for line in shop.bill())
        assert shop.query("SELECT billed, unknown, reserved FROM job") == [(charged, 0, 0)]
        assert len(shop.bill()) == TASKS
        shop.run("verify")


def test_budget_hands_in_only_what_it_allows(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=100", route=ROUTE):
        job = batch_job(shop, "limits: {budget: 0.02}\n")
        shop.run("run", job, code=4)
        assert 0 < shop.states()["completed"] < TASKS
        assert shop.query("SELECT billed + unknown FROM job")[0][0] <= 20_000


def test_batch_that_expires_is_free_and_ends_after_the_attempts(shop: Shop) -> None:
    with gateway(shop, "batch_seconds=1000000", route=ROUTE):  # the window is a day
        job = batch_job(shop, "limits: {attempts: 2}\n")
        shop.run("run", job, code=3)
        assert shop.states() == {"failed": TASKS}
        assert sum(line.charged for line in shop.bill()) == 0
        assert shop.query("SELECT billed, unknown, reserved FROM job") == [(0, 0, 0)]
        assert len(batches(shop)) == 2


DYING = """
import os, sys, batchgen.engine.attempt as attempt
async def die(*_, **__):
    os.kill(os.getpid(), 9)
attempt.Executor._deliver_or_conclude = die
from batchgen.cli.main import main
main()
"""


def test_answer_of_another_endpoint_is_not_booked_at_the_price_of_this_one(shop: Shop) -> None:
    """A whole answer in the spool, bought one by one; then the manifest says batch, which is half the price."""
    with gateway(shop, "batch_seconds=100", route=ROUTE):
        job = batch_job(shop)
        by_batch = (shop.folder / job).read_text(encoding="utf-8")
        single = by_batch.replace("endpoint: batch", "endpoint: images")
        shop.write(job, single)
        shop.write("dying.py", DYING)
        subprocess.run(
            [sys.executable, "dying.py", "run", job, "--yes"],
            cwd=shop.folder,
            env=shop.env(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        shop.write(job, by_batch)
        refused = shop.run("run", job, code=2)
        assert "put `endpoint:` back" in refused.stderr
        shop.write(job, single)
        shop.run("run", job)
        charged = sum(line.charged for line in shop.bill())
        billed, unknown = shop.query("SELECT billed, unknown FROM job")[0]
        assert billed <= charged <= billed + unknown
