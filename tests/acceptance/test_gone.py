"""Images whose files are deleted are missed, and bought again only when somebody says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.shop import Shop, gateway

JOB = """
prompts:
  - from: products.csv
    id: "{{ sku }}"
    text: "Photo of {{ name }}"
sizes: ["1:1@1K"]
output: {folder: out}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_deleted_images_are_missed_and_bought_again_only_on_command(shop: Shop) -> None:
    with gateway(shop):
        shop.catalog(5)
        shop.manifest(JOB)
        shop.run("run", "job.yaml", "--yes")
        images = shop.images()
        images[0].unlink()
        images[1].write_bytes(b"")
        kept = images[2].read_bytes()
        images[2].unlink()
        assert "3 delivered images are not in" in shop.run("plan", "job.yaml").stdout
        assert shop.json("plan", "job.yaml")["missing_files"] == 3
        ended = shop.run("run", "job.yaml", "--yes", code=3)
        assert images[0].name in ended.stdout
        assert "batchgen retry job --gone" in ended.stdout
        summary = json.loads(shop.run("run", "job.yaml", "--yes", "--json", code=3).stdout.splitlines()[-1])
        assert (summary["missing_files"], summary["exit"]) == (3, 3)
        assert len(shop.bill()) == 5
        assert shop.json("report", "job")["missing_files"] == 3
        images[2].write_bytes(kept)
        assert "2 delivered images are not in" in shop.run("plan", "job.yaml").stdout
        only = shop.json("retry", "job", "--gone", "--only", "SKU-0001")
        assert (only["available_again"], only["worst_usd"]) == (1, "0.09")
        said = shop.run("retry", "job", "--gone").stdout
        assert "1 task is available again; buying it may cost" in said
        assert "nothing to retry" in shop.run("retry", "job", "--gone").stdout
        assert len(shop.bill()) == 5
        shop.run("run", "job.yaml", "--yes")
        assert len(shop.bill()) == 7
        assert shop.query("SELECT billed FROM job") == [(7 * 30_000,)]
        assert shop.states() == {"completed": 5}
        shop.run("run", "job.yaml", "--yes")


def test_file_that_is_put_back_before_it_is_bought_again_serves_without_a_call(shop: Shop) -> None:
    with gateway(shop):
        shop.catalog(2)
        shop.manifest(JOB)
        shop.run("run", "job.yaml", "--yes")
        image = shop.images()[0]
        kept = image.read_bytes()
        image.unlink()
        shop.run("retry", "job", "--gone")
        image.write_bytes(kept)
        shop.run("run", "job.yaml", "--yes")
        assert len(shop.bill()) == 2
        assert shop.states() == {"completed": 2}
        shop.run("verify")
        assert "give it without" in shop.run("retry", "job", "--gone", "--failed", code=2).stderr
