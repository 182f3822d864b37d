"""What failed for one cause is told together, listed, and bought again without the rest."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.support.shop import Shop

MANIFEST = """version: 1
name: job
route: {use: apiyi/gpt-image-2-vip, price: 0.07}
sizes: [1280x1280]
limits: {attempts: 1}
prompts:
  - {id: mug, text: a forbidden mug}
  - {id: vase, text: a vase}
  - {id: cup, text: a cup}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A prompt whose content is refused, and two that met an error which no row of the table of words fits."""
    made = Shop(tmp_path)
    made.write("job.yaml", MANIFEST)
    made.run("run", "job.yaml", "--rehearse", "--only", "mug", code=None)
    made.run("run", "job.yaml", "--rehearse", "--fault", "p_500=1", code=3)
    return made


def stuck(shop: Shop) -> dict[str, Any]:
    return {each["cause"]: each for each in shop.json("report", "job", "--rehearse")["stuck"]}


def ids(shop: Shop, *options: str) -> list[str]:
    return [each["id"] for each in shop.json("tasks", "job", "--rehearse", *options)]


def test_report_groups_what_failed_by_cause_and_gives_the_command(shop: Shop) -> None:
    refused, broken = sorted(stuck(shop).values(), key=lambda each: str(each["cause"]))
    assert (refused["count"], broken["count"]) == (1, 2)
    assert refused["cause"].startswith("content:")
    assert broken["cause"].startswith("server_error:upstream-service-temporarily-unavailable")
    assert broken["examples"] == ["vase/1280x1280/1", "cup/1280x1280/1"]
    said = shop.run("report", "job", "--rehearse").stdout
    for each in (refused, broken):
        assert f"{each['count']} failed ({each['cause']}): " in said
        assert f"  again: {each['retry']}\n" in said
    words = shlex.split(broken["retry"])
    assert words[0] == "batchgen"
    assert shop.json(*words[1:]) == {"job": "job", "available_again": 2, "skipped": 0, "worst_usd": "0.14"}
    assert list(stuck(shop)) == [refused["cause"]]
    assert shop.json(*shlex.split(refused["retry"])[1:])["available_again"] == 1


def test_tasks_lists_those_of_a_cause_or_of_its_first_part(shop: Shop) -> None:
    (whole,) = {each["cause"] for each in shop.json("tasks", "job", "--rehearse", "--only", "cup")}
    assert ids(shop, "--cause", "content") == ["mug"]
    assert ids(shop, "--cause", "server_error") == ids(shop, "--cause", whole) == ["vase", "cup"]
    assert ids(shop, "--cause", "server_error", "--only", "vase") == ["vase"]
    assert ids(shop, "--cause", "server") == []


def test_retry_takes_exactly_those_of_a_cause_and_counts_the_rest_of_it(shop: Shop) -> None:
    shop.run("cancel", "job", "--rehearse", "--only", "vase")
    said = shop.run("retry", "job", "--rehearse", "--cause", "server_error").stdout
    assert said == "job: 1 task is available again, 1 skipped; buying it may cost up to $0.07\n"
    again = shop.run("retry", "job", "--rehearse", "--cause", "server_error").stdout
    assert again == "job: nothing to retry, 2 skipped\n"
    parked = shop.run("retry", "job", "--rehearse", "--cause", "content", "--parked").stdout
    assert parked == "job: nothing to retry, 1 skipped\n"
    assert shop.states("rehearsal/batchgen.db") == {"available": 1, "cancelled": 1, "failed": 1}


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (
            "--gone",
            "--gone is about images that were delivered; give it without --failed, --parked, --cancelled, --cause",
        ),
        ("--batch=b", "--batch stands for all that is in it; give it alone"),
    ],
)
def test_cause_goes_with_states_only(shop: Shop, other: str, sentence: str) -> None:
    said = shop.run("retry", "job", "--rehearse", "--cause", "content", other, code=2).stderr
    assert sentence in said
    assert shop.states("rehearsal/batchgen.db") == {"failed": 3}


def test_table_has_the_cause_of_each_task(shop: Shop) -> None:
    (table,) = shop.json("report", "job", "--rehearse", "--format", "csv")["tables"]
    with Path(table["file"]).open(encoding="utf-8-sig", newline="") as file:
        causes = {row["id"]: row["cause"] for row in csv.DictReader(file)}
    assert causes["cup"] == causes["vase"]
    assert causes["cup"].startswith("server_error:")
    assert causes["mug"].startswith("content:")
