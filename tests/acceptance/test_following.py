"""A gateway that takes calls in under numbers: asked for free, through kills and Ctrl-C, and nothing is bought twice."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.support.shop import Shop, wait_until
from tests.support.systems import OWN

DB = "rehearsal/batchgen.db"
BILL = "rehearsal/bill.jsonl"
JOB = (
    "version: 1\nname: job\nroute: {{use: mine/slow-image, task: {task}}}\n"
    "prompts: [{{id: a, text: a mug, count: {count}}}]\nsizes: [1024x1024]\nlimits: {{budget: 2}}\n"
)
RULE = {
    "id": ["data", 0, "task_id"],
    "poll": "/tasks/{id}",
    "status": ["data", "status"],
    "done": ["completed"],
    "failed": ["failed"],
    "picture": ["data", "result", "images", 0, "url"],
    "every": 0.05,
}
RUN = ("run", "job.yaml", "--rehearse", "--yes")
WORKING = "SELECT count(*) FROM attempt WHERE remote_task <> '' AND charge = 'reserved'"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path, environment={"BATCHGEN_CONTRACTS": str(OWN)})


def job(shop: Shop, count: int = 4, **rule: object) -> None:
    shop.write("job.yaml", JOB.format(task=json.dumps(RULE | rule), count=count))


def let_them_finish(shop: Shop) -> None:
    """The time of every call comes at once."""
    for path in (shop.folder / "rehearsal" / "simulator" / "tasks").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"due": 0}))


def left_under_way(shop: Shop, by: signal.Signals, count: int = 4) -> str:
    """A run that is ended while the gateway works on all its calls; what it said."""
    process = shop.start(*RUN, "--speed", "1", "--fault", "latency=1000", "--json")
    wait_until(process, lambda: (shop.folder / DB).exists() and numbers(shop) == count)
    process.send_signal(by)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == (130 if by is signal.SIGINT else -by)
    return said.decode()


def numbers(shop: Shop) -> int:
    try:
        return int(shop.query(WORKING, DB)[0][0])
    except sqlite3.OperationalError:  # it is being made
        return 0


def check_all_delivered(shop: Shop, count: int = 4) -> None:
    assert shop.states(DB) == {"completed": count}
    assert len(shop.bill(BILL)) == count
    assert shop.query("SELECT count(*) FROM attempt", DB) == [(count,)]
    assert sum(line.charged for line in shop.bill(BILL)) == shop.query("SELECT billed FROM job", DB)[0][0]
    shop.run("verify", "--rehearse")


def test_calls_are_followed_until_their_images_are_there(shop: Shop) -> None:
    job(shop)
    shop.run(*RUN, "--speed", "200")
    check_all_delivered(shop)
    ids = [dict(json.loads(text)) for (text,) in shop.query("SELECT request_ids FROM attempt", DB)]
    kept = {path.stem for path in (shop.folder / "rehearsal" / "simulator" / "tasks").glob("*.json")}
    assert {each["task"] for each in ids} == kept == {n for (n,) in shop.query("SELECT remote_task FROM attempt", DB)}


def test_killed_run_goes_on_with_the_same_calls(shop: Shop) -> None:
    job(shop)
    left_under_way(shop, signal.SIGKILL)
    let_them_finish(shop)
    again = shop.run(*RUN)
    assert "4 that the gateway works on" in again.stderr + again.stdout
    check_all_delivered(shop)


def test_number_is_taken_from_the_answer_when_the_kill_came_before_its_booking(shop: Shop) -> None:
    job(shop)
    left_under_way(shop, signal.SIGKILL)
    connection = sqlite3.connect(shop.folder / DB)
    with connection:
        connection.execute("UPDATE attempt SET remote_task = ''")
    connection.close()
    let_them_finish(shop)
    shop.run(*RUN)
    check_all_delivered(shop)


def test_interrupt_leaves_at_once_and_says_how_many_go_on(shop: Shop) -> None:
    job(shop)
    said = left_under_way(shop, signal.SIGINT)
    assert "4 calls go on at the gateway; the next run fetches what comes of it, without a call" in said
    assert shop.states(DB) == {"running": 4}
    ((reserved, *others),) = shop.query("SELECT reserved, unknown, billed FROM job", DB)
    assert reserved >= 4 * 20_000
    assert others == [0, 0]
    shop.run("verify", "--rehearse")
    let_them_finish(shop)
    shop.run(*RUN)
    check_all_delivered(shop)


def test_call_that_is_never_done_is_parked_with_its_number(shop: Shop) -> None:
    job(shop, 1, patience=0.3)
    shop.run(*RUN, "--speed", "1", "--fault", "latency=1000", code=5)
    ((number, charge),) = shop.query("SELECT remote_task, charge FROM attempt", DB)
    assert charge == "unknown"
    ((reason,),) = shop.query("SELECT reason FROM task WHERE state = 'parked'", DB)
    assert f"still works on it as {number}" in reason
    shop.run(*RUN, code=5)
    assert len(shop.bill(BILL)) == 1


def test_call_that_fails_there_is_maybe_charged_and_in_the_end_parked(shop: Shop) -> None:
    job(shop, 1)
    shop.run(*RUN, "--speed", "1000", "--fault", "p_empty=1", code=5)
    charges = {charge for (charge,) in shop.query("SELECT charge FROM attempt", DB)}
    assert charges == {"unknown"}
    assert shop.states(DB) == {"parked": 1}
    ledger = shop.query("SELECT billed + unknown FROM job", DB)[0][0]
    assert ledger >= sum(line.charged for line in shop.bill(BILL))


def test_contract_that_says_half_is_refused_with_its_place(shop: Shop) -> None:
    shop.write("job.yaml", JOB.format(task=json.dumps({"poll": "/tasks", "done": ["x"], "failed": ["y"]}), count=1))
    assert (
        "route.task: poll: must be a path below base_url with {id} in it"
        in shop.run("check", "job.yaml", code=2).stdout
    )
