"""What `retry` says its tasks may cost: by the routes and the prices of the manifest, fallbacks included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.shop import Shop

HEAD = "version: 1\nname: job\nsizes: [1280x1280]\nprompts: [{id: mug, text: a mug}]\nlimits: {attempts: 1}\n"
ROUTE = "route: {use: apiyi/gpt-image-2-vip, price: 0.07}\n"
FALLBACK = "fallback: [laozhang/gpt-image-2-vip]\n"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.write("job.yaml", HEAD + ROUTE)
    made.run("run", "job.yaml", "--rehearse", "--fault", "p_refuse=1", code=3)
    return made


def worst(shop: Shop) -> object:
    return shop.json("retry", "job", "--rehearse")["worst_usd"]


def test_retry_counts_the_manifests_own_price(shop: Shop) -> None:
    assert worst(shop) == "0.07"


def test_retry_counts_every_route_that_the_manifest_goes_on_over(shop: Shop) -> None:
    shop.write("job.yaml", HEAD + ROUTE + FALLBACK)
    assert worst(shop) == "0.10"


@pytest.mark.parametrize("broken", [False, True])
def test_retry_knows_no_cost_without_a_manifest(shop: Shop, *, broken: bool) -> None:
    if broken:
        shop.write("job.yaml", HEAD + "route: no/where\n")
    else:
        (shop.folder / "job.yaml").unlink()
    done = shop.run("retry", "job", "--rehearse")
    assert "1 task is available again; buying it may cost an unknown amount" in done.stdout
    assert ("has problems" in done.stderr) is broken
