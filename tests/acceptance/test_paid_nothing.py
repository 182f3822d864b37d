"""Answers that are paid and bring nothing, at every call: the ledger agrees with the bill, or says maybe."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.shop import Shop

MANIFEST = """version: 1
name: job
route: {route}
sizes: [{size}]
limits: {{budget: 5, concurrency: 1}}
prompts: [{prompts}]
"""
TOKENS = ("openai/gpt-image-2", "1024x1024")
CALLS = ("apiyi/gpt-image-2-vip", "1280x1280")


def rehearse(shop: Shop, route: str, size: str, fault: str) -> str:
    prompts = ", ".join(f"{{id: p{number}, text: mug {number}}}" for number in range(5))
    shop.write("job.yaml", MANIFEST.format(route=route, size=size, prompts=prompts))
    return shop.run("run", "job.yaml", "--rehearse", "--yes", "--speed", "1000", "--fault", fault, code=None).stdout


@pytest.mark.parametrize(("route", "size"), [TOKENS, CALLS])
@pytest.mark.parametrize(
    ("fault", "outcomes"),
    [
        ("p_error-in-200=1", {"server_error"}),
        ("p_empty=1", {"empty"}),
        ("p_garbage=1", {"unread"}),
    ],
)
def test_ledger_and_bill_agree_when_nothing_comes_for_money(
    tmp_path: Path, route: str, size: str, fault: str, outcomes: set[str]
) -> None:
    shop = Shop(tmp_path)
    said = rehearse(shop, route, size, fault)
    assert "THEY DIFFER" not in said
    assert re.search(r"the simulated gateway's bill says .*: (equal|within what is maybe charged)", said)
    ledger = "rehearsal/batchgen.db"
    found = {kind for (kind,) in shop.query("SELECT DISTINCT outcome FROM attempt", ledger)}
    assert found - {"not_sent"} == outcomes
    ((billed, unknown, reserved),) = shop.query("SELECT billed, unknown, reserved FROM job", ledger)
    charged = sum(line.charged for line in shop.bill("rehearsal/bill.jsonl"))
    assert charged
    assert billed <= charged <= billed + unknown
    assert reserved == 0
    if (route, size) == CALLS and fault != "p_error-in-200=1":
        assert billed == charged


def test_unreadable_answers_are_reported_verified_and_read_again_on_command(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    said = rehearse(shop, *CALLS, "p_garbage=1")
    assert "picture_at" in said, "the route stops after a few, and says what to do"
    assert "3 paid answers that nobody could read, kept: batchgen recover job --rehearse\n" in said
    folder = tmp_path / "rehearsal/job/.batchgen/kept"
    kept = sorted(path.name for path in folder.iterdir())
    assert kept == ["1.json", "2.json", "3.json"]
    report = shop.run("report", "job", "--rehearse").stdout
    assert f"{len(kept)} answers that nobody could read, kept in .batchgen/kept" in report
    assert "batchgen recover job --rehearse" in report
    assert shop.json("report", "job", "--rehearse")["kept"]["count"] == len(kept)
    (task, *_) = shop.json("tasks", "job", "--rehearse", "--cause", "unread")
    assert "kept in .batchgen/kept/" in task["reason"]
    assert "kept in .batchgen/kept/" in shop.run("show", task["id"], "--rehearse").stdout
    open_ = shop.json("verify", "--rehearse")["open"]
    assert f"job: {len(kept)} paid answers that nobody could read; `recover` tries again" in open_

    for words in (["--dry-run"], []):
        done = shop.run("recover", "job.yaml", "--rehearse", *words, code=3).stdout
        assert "no image was found in it (.batchgen/kept/" in done
        assert "picture_at:" in done
    assert sorted(path.name for path in folder.iterdir()) == kept
    found = shop.run("recover", "job", "--rehearse", "--json", code=3).stdout
    assert f'"unread": {len(kept)}' in found

    (folder / kept[0]).unlink()
    missing = shop.run("verify", "--rehearse", code=3).stdout
    assert f".batchgen/kept/{kept[0]}" in missing
    assert "is missing" in missing


def test_nothing_kept_is_nothing_to_recover(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    rehearse(shop, *CALLS, "p_empty=0")
    assert shop.run("recover", "job", "--rehearse").stdout == "job: no answer is kept\n"
    assert shop.json("recover", "job", "--rehearse")["answers"] == []
