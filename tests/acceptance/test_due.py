"""A delivered image stays until its successor is delivered, and what was bought once is not bought again."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.shop import Shop, gateway

OLD, NEW = "Photo of {{ name }}", "Photograph of {{ name }}"
PRICE = 30_000


def job_text(text: str, more: str = "") -> str:
    limits = f"limits: {{concurrency: 8{more}}}"
    return (
        f'prompts: [{{from: products.csv, id: "{{{{ sku }}}}", text: "{text}"}}]\n'
        f'sizes: ["1:1@1K", "3:4@1K", "16:9@1K"]\n{limits}\n'
    )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def first_night(shop: Shop, rows: int) -> str:
    shop.catalog(rows)
    job = shop.manifest(job_text(OLD))
    shop.run("run", job, "--yes")
    assert len(shop.bill()) == 3 * rows
    return job


def is_whole(shop: Shop, calls: int, tasks: int) -> None:
    """So many calls were paid in all, the ledger knows each, and every task has the image of the old text."""
    bill = shop.bill()
    assert len(bill) == calls
    assert shop.query("SELECT billed, unknown, reserved FROM job") == [(sum(line.charged for line in bill), 0, 0)]
    assert shop.query("SELECT work, state, count(*) FROM task GROUP BY 1, 2") == [("completed", "completed", tasks)]
    wrong = "SELECT count(*) FROM task t JOIN image i ON i.id = t.image_id WHERE i.revision <> 1 OR i.own <> t.own"
    assert shop.query(wrong) == [(0,)]
    assert "all agree" in shop.run("verify").stdout
    last: dict[tuple[str, str], dict[str, object]] = {}
    for line in (shop.folder / "out" / "job" / "images.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        last[record["key"], record["size"]] = record
    assert {record["revision"] for record in last.values()} == {1}, "the last line of a task is its delivered image"


def test_text_edited_tried_on_one_and_put_back_costs_that_one_call(shop: Shop) -> None:
    with gateway(shop):
        first_night(shop, 8)
        job = shop.manifest(job_text(NEW))
        assert "SKU-9999" in shop.run("run", job, "--only", "SKU-9999", code=2).stderr
        assert shop.json("plan", job)["changed"] == 24, "a slip of the pen is not recorded"
        shop.run("run", job, "--limit", "1", code=4)
        status = shop.json("status", "job")
        assert (status["states"], status["outdated"]) == ({"completed": 24}, 23)
        outdated = [task for task in shop.json("tasks", "job") if "outdated" in task["flags"]]
        assert len(outdated) == 23
        assert all((shop.folder / "out" / "job" / task["file"]).exists() for task in outdated)
        assert shop.json("report", "job")["outdated_images"]["count"] == 23
        job = shop.manifest(job_text(OLD))
        plan = shop.json("plan", job)
        assert (plan["adopted"], plan["changed"], plan["calls"]) == (24, 0, 0)
        assert "24 adopted" in shop.run("run", job).stderr
        is_whole(shop, 25, 24)


def test_run_that_may_buy_many_delivered_images_again_wants_more_than_yes(shop: Shop) -> None:
    with gateway(shop):
        first_night(shop, 8)
        job = shop.manifest(job_text(NEW))
        plan = shop.json("plan", job)
        assert (plan["changed"], plan["again"], plan["again_paid_usd"]) == (24, 24, "0.72")
        refused = shop.run("run", job, "--yes", code=2).stderr
        assert "24 delivered images may be bought again for up to $2.16" in refused
        assert "$0.72 was paid for the 24 there are" in refused
        assert "--rebuy changed" in refused
        assert len(shop.bill()) == 24
        shop.run("run", job, "--limit", "20", code=4)  # not more than twenty: nobody is asked
        assert len(shop.bill()) == 44
        shop.run("run", job)  # four are left
        assert len(shop.bill()) == 48
        job = shop.manifest(job_text("Picture of {{ name }}"))
        shop.run("run", job, "--rebuy", "changed")
        assert len(shop.bill()) == 72
        job = shop.manifest(job_text("Image of {{ name }}"))
        shop.run("run", "--rebuy", job)
        assert len(shop.bill()) == 96


@pytest.mark.parametrize("words", [["run"], ["plan"], ["plan", "--rebuy"]])
def test_command_without_its_manifest_says_what_is_missing(shop: Shop, words: list[str]) -> None:
    assert "Missing argument 'MANIFEST'" in shop.run(*words, code=2).stderr


def test_text_put_back_after_a_budget_wall_buys_nothing(shop: Shop) -> None:
    with gateway(shop):
        first_night(shop, 4)
        job = shop.manifest(job_text(NEW, ", budget: 0.42"))
        assert "budget" in shop.run("run", job, code=4).stdout
        bought = len(shop.bill()) - 12
        assert bought == 2
        assert shop.json("status", "job")["states"] == {"completed": 12}
        shop.run("run", shop.manifest(job_text(OLD)))
        is_whole(shop, 14, 12)


def test_text_put_back_after_ctrl_c_buys_nothing(shop: Shop) -> None:
    with gateway(shop, "latency=0.3"):
        first_night(shop, 4)
        job = shop.manifest(job_text(NEW, ", concurrency: 2").replace("concurrency: 8, ", ""))
        process = shop.start("run", job, "--json")
        assert process.stdout is not None
        assert any(json.loads(line)["event"] == "call" for line in process.stdout)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode == 130
        bought = len(shop.bill()) - 12
        assert 0 < bought < 12
        assert shop.json("status", "job")["states"] == {"completed": 12}
        shop.run("run", shop.manifest(job_text(OLD)))
        is_whole(shop, 12 + bought, 12)


def test_due_images_that_are_refused_stay_are_told_and_are_not_called_again_by_themselves(shop: Shop) -> None:
    with gateway(shop):
        first_night(shop, 2)
    with gateway(shop, "p_refuse=1"):
        job = shop.manifest(job_text(NEW))
        told = shop.run("run", job, code=3)
        assert "6 failed" in told.stdout
        calls = len(shop.bill())
        assert calls == 12
        status = shop.json("status", "job")
        assert (status["states"], status["outdated"]) == ({"completed": 6}, 6)
        (stuck,) = shop.json("report", "job")["stuck"]
        assert (stuck["state"], stuck["count"]) == ("failed", 6)
        shop.run("run", job, code=3)
        assert len(shop.bill()) == calls
    with gateway(shop):
        shop.manifest(job_text(NEW))
        assert shop.json("retry", "job", "--failed")["available_again"] == 6
        charged = sum(line.charged for line in shop.bill())
        shop.run("run", shop.manifest(job_text(OLD)))
        assert (len(shop.bill()), sum(line.charged for line in shop.bill())) == (calls, charged)
        assert shop.json("status", "job")["outdated"] == 0


def test_row_that_is_gone_and_comes_back_and_a_text_that_comes_and_goes(shop: Shop) -> None:
    with gateway(shop):
        first_night(shop, 2)
        for text in (NEW, OLD, NEW, OLD):
            shop.run("run", shop.manifest(job_text(text)))
        assert len(shop.bill()) == 12, "each text was bought once"
        shop.catalog(1)
        shop.run("run", shop.manifest(job_text(NEW)), "--yes")
        shop.catalog(2)
        shop.run("run", shop.manifest(job_text(NEW)))
        assert len(shop.bill()) == 12
        assert shop.json("show", "SKU-0002/1:1@1K")[0]["revision"] == 2
        (shop.folder / "out" / "job" / "SKU-0002" / "1280x1280-1.png").write_bytes(b"damaged")
        job = shop.manifest(job_text(OLD))
        assert shop.json("plan", job)["lost_images"] == ["SKU-0002/1280x1280-1.png"]
        told = shop.run("run", job).stderr
        assert "1 earlier image would serve, but is gone or damaged: SKU-0002/1280x1280-1.png" in told
        assert len(shop.bill()) == 13
        assert shop.json("show", "SKU-0002/1:1@1K")[0]["revision"] == 3
