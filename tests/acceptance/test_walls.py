"""Limits of money on the command line: what one run, and what all jobs of a month may spend."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shop import Shop

JOB = """
version: 1
name: {name}
route: apiyi/gpt-image-2-vip
prompts: [{{from: products.csv, id: "{{{{ sku }}}}", text: "Photo of {{{{ name }}}}"}}]
sizes: ["1:1@1K"]
{limits}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    shop.catalog(12)
    shop.write("a.yaml", JOB.format(name="a", limits=""))
    shop.write("b.yaml", JOB.format(name="b", limits="limits: {budget_per_run: 0.09}"))
    return shop


def test_every_run_spends_what_one_may_and_the_lower_limit_holds(shop: Shop) -> None:
    said = shop.run("run", "b.yaml", "--rehearse", code=4).stdout
    assert "3 calls, 3 images, $0.09 in this run" in said
    assert "stopped before the end: limits.budget_per_run is reached ($0.09 for one run); run again" in said
    lower = shop.run("run", "b.yaml", "--rehearse", "--max-cost", "0.06", code=4)
    assert "--max-cost is reached ($0.06 for one run)" in lower.stdout
    assert "left to spend: $0.06 of $0.06 by --max-cost; $0.06 buys only part of this" in lower.stderr
    assert (
        "limits.budget_per_run is reached" in shop.run("run", "b.yaml", "--rehearse", "--max-cost", "5", code=4).stdout
    )
    report = shop.json("report", "b", "--rehearse")
    assert [(run["billed_usd"], run["most_usd"], run["exit"]) for run in report["runs"]] == [
        ("0.09", "0.09", 4),
        ("0.06", "0.06", 4),
        ("0.09", "0.09", 4),
    ]
    shop.run("verify", "--rehearse")


def test_month_holds_over_all_jobs_probes_and_both_settings(shop: Shop) -> None:
    assert "there is no ceiling" in shop.run("ceiling", "none", "--rehearse").stdout
    assert "of $0.15 that this ledger allows; $0.15 left" in shop.run("ceiling", "0.15", "--rehearse").stdout
    shop.run("run", "b.yaml", "--rehearse", code=4)
    walls = shop.json("plan", "b.yaml", "--rehearse")["walls"]
    assert [(wall["wall"], wall["set_by"], wall["spent_usd"], wall["left_usd"]) for wall in walls] == [
        ("run", "limits.budget_per_run", "0.00", "0.09"),
        ("month", "batchgen ceiling", "0.09", "0.06"),
    ]
    said = shop.run("run", "a.yaml", "--rehearse", code=4).stdout
    assert "2 calls, 2 images, $0.06 in this run" in said
    assert "is reached ($0.15 for all jobs, by `batchgen ceiling`); raise it, or run again next month" in said
    probed = shop.run("probe", "apiyi/gpt-image-2-vip", "--rehearse", code=4)
    assert "is reached" in shop.run("status", "--rehearse").stdout, probed.stderr
    shop.environment["BATCHGEN_MONTHLY"] = "0.10"
    told = shop.json("ceiling", "--rehearse")
    assert (told["billed_usd"], told["ledger_usd"], told["environment_usd"], told["left_usd"]) == (
        "0.15",
        "0.15",
        "0.10",
        "0.00",
    )
    shop.run("verify", "--rehearse")


@pytest.mark.parametrize(
    ("words", "monthly", "sentence"),
    [
        (("run", "a.yaml", "--rehearse", "--max-cost", "-5"), None, "--max-cost: -5 is not an amount"),
        (("run", "a.yaml", "--rehearse", "--max-cost", "1e999"), None, "--max-cost: it is more than 1,000,000,000"),
        (("run", "a.yaml", "--rehearse"), "", "BATCHGEN_MONTHLY is empty"),
        (("plan", "a.yaml"), "five", "BATCHGEN_MONTHLY: 'five' is not an amount"),
        (("probe", "apiyi/gpt-image-2-vip", "--rehearse"), "0.0000001", "BATCHGEN_MONTHLY: 0.0000001 is finer"),
        (("ceiling", "-5"), None, "the ceiling: -5 is not an amount"),
        (("ceiling", "five"), None, "the ceiling: 'five' is not an amount"),
    ],
)
def test_bad_amount_is_one_sentence_before_anything(
    shop: Shop, words: tuple[str, ...], monthly: str | None, sentence: str
) -> None:
    if monthly is not None:
        shop.environment["BATCHGEN_MONTHLY"] = monthly
    before = sorted(shop.folder.iterdir())
    said = shop.run(*words, code=2)
    assert said.stderr.startswith(f"batchgen: {sentence}")
    assert said.stderr.count("\n") == 1
    assert sorted(shop.folder.iterdir()) == before


def test_nobody_there_is_told_of_max_cost_and_not_asked_where_there_is_a_limit(shop: Shop) -> None:
    """Port 9 takes no call, and none is made."""
    shop.catalog(200)
    shop.environment["APIYI_API_KEY"] = "sk-not-used"

    def write(price: str, limits: str = "") -> None:
        route = f'route: {{use: apiyi/gpt-image-2-vip, base_url: "http://127.0.0.1:9/v1"{price}}}'
        shop.write("a.yaml", JOB.format(name="a", limits=limits).replace("route: apiyi/gpt-image-2-vip", route))

    write("")
    said = shop.run("run", "a.yaml", code=2).stderr
    assert "may cost up to $18.00 and there is no `limits.budget`; nobody is here to be asked; give --yes" in said
    assert "if that is right, or --max-cost USD for a limit" in said
    write(", price: unknown")
    assert "may cost an unknown amount" in shop.run("run", "a.yaml", code=2).stderr
    assert "so --max-cost cannot hold" in shop.run("run", "a.yaml", "--max-cost", "1", code=2).stderr
    write(", price: unknown", "limits: {budget_per_run: 1}")
    told = shop.run("check", "a.yaml", code=2)
    assert "limits.budget_per_run: apiyi/gpt-image-2-vip has no price" in told.stdout + told.stderr
    assert shop.query("SELECT count(*) FROM attempt") == [(0,)]
