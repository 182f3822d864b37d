"""What a night has learned of its gateway is where the next begins, as a person sees it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.shop import Shop, gateway

CATALOG = """
prompts: [{from: products.csv, id: "{{ sku }}", text: "Photo of {{ name }}"}]
sizes: ["1:1@1K"]
limits: {concurrency: 20, budget: 100.00}
"""


def refusals(shop: Shop) -> int:
    return sum(line.kind == "throttled" for line in shop.bill())


def test_next_night_begins_with_the_calls_in_flight_that_the_first_was_refused_above(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    with gateway(shop, "latency=0.2", "concurrency=5", "retry_after=none"):
        shop.catalog(60)
        shop.run("run", shop.manifest(CATALOG))
        first = refusals(shop)
        assert first > 0
        (kind, calls) = shop.query("SELECT kind, calls FROM quota")[0]
        assert (kind, calls) == ("in_flight", 5)
        assert "takes 5 calls in flight (learned " in shop.run("status").stdout
        assert "takes 5 calls in flight" in shop.run("routes", "apiyi/gpt-image-2-vip").stdout
        found = json.loads(shop.run("doctor", "--json", code=None).stdout)
        assert any("takes 5 calls in flight" in each["value"] for each in found if each["what"] == "learned")
        shop.catalog(80)
        shop.run("run", "job.yaml")
        second = refusals(shop)
        assert second - first <= 2
        shop.catalog(100)
        shop.run("run", "job.yaml", "--forget-pace")
        assert refusals(shop) > second
