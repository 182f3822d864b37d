"""Several keys on the command line: refused with both names, shared out in a rehearsal, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shop import Shop

DB = "rehearsal/batchgen.db"
JOB = (
    "version: 1\nname: job\nroute: {use: apiyi/gpt-image-2-vip, keys: [SHOP_1, SHOP_2]}\n"
    "prompts: [{id: a, text: a mug, count: 8}]\nsizes: ['1:1@1K']\nlimits: {budget: 2}\n"
)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_missing_key_and_one_that_is_there_twice_are_refused_by_name(shop: Shop) -> None:
    shop.write("job.yaml", JOB)
    shop.environment = {"SHOP_1": "sk-canary-5f2d8c"}
    assert "the key is missing: set SHOP_2" in shop.run("run", "job.yaml", "--yes", code=2).stderr
    shop.environment = {"SHOP_1": "sk-canary-5f2d8c", "SHOP_2": "sk-canary-5f2d8c"}
    said = shop.run("run", "job.yaml", "--yes", code=2).stderr
    assert "SHOP_1 and SHOP_2 hold the same key" in said
    assert "canary" not in said
    assert not (shop.folder / "batchgen.db").exists()


def test_rehearsal_goes_on_with_the_key_that_has_money_left(shop: Shop) -> None:
    shop.write("job.yaml", JOB)
    assert "at 60 in flight over 2 keys" in shop.run("plan", "job.yaml").stdout
    odd = shop.run("run", "job.yaml", "--rehearse", "--fault", "gpt-image-2-vip:p_401=1", code=2).stderr
    assert "gpt-image-2-vip is no route, and no key ends so; the keys are those in SHOP_1, SHOP_2" in odd
    fast = ("--rehearse", "--yes", "--speed", "100000")
    done = shop.run("run", "job.yaml", *fast, "--fault", "SHOP_2:key_spend=0.06")
    assert "the key in SHOP_2 makes no more calls: no quota or balance is left" in done.stderr + done.stdout
    assert shop.states(DB) == {"completed": 8}
    shares = shop.query("SELECT count(*) FROM attempt WHERE charge = 'billed' GROUP BY key_fingerprint", DB)
    assert sorted(shares) == [(2,), (6,)]


def test_fallback_takes_over_with_keys_of_its_own_once_all_of_the_first_route_are_refused(shop: Shop) -> None:
    route = "route: {use: apiyi/gpt-image-2-vip, keys: [SHOP_1, SHOP_2]}\n"
    other = "fallback: [{use: laozhang/gpt-image-2-vip, limits_per: key, keys: [LZ_1, LZ_2]}]\n"
    shop.write("job.yaml", JOB.replace(route, f"{route}{other}"))
    faults = ("--fault", "SHOP_1:p_401=1", "--fault", "SHOP_2:p_quota=1")
    done = shop.run("run", "job.yaml", "--rehearse", "--yes", "--speed", "100000", *faults)
    said = done.stdout + done.stderr
    assert "no key is left: SHOP_1: " in said
    assert "Going on over laozhang/gpt-image-2-vip" in said
    assert shop.states(DB) == {"completed": 8}
    bought = shop.query("SELECT route, count(DISTINCT key_fingerprint) FROM attempt WHERE charge = 'billed'", DB)
    assert bought == [("laozhang/gpt-image-2-vip", 2)]
