"""Every system of the gateways' documents, over every endpoint it serves: bought through real sockets, books equal bill."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from batchgen.contracts.contract import Contract
from batchgen.domain.size import Size
from tests.support.shop import Shop
from tests.support.systems import OWN, SEEN, catalog, seen, ways

CATALOG = catalog()
MAIN: dict[str, Any] = {"main_model": "gpt-5.5", "main_price": {"text_in": 1.25, "text_out": 10}}


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, dict[str, str]]]:
    """One simulated gateway that plays every route."""
    shop = Shop(tmp_path_factory.mktemp("gateways"), environment={"BATCHGEN_CONTRACTS": str(OWN)})
    routes = [_played(CATALOG.find(name)) for name in CATALOG.routes()]
    options = [word for option in ("pictures=plain", "batch_seconds=10000") for word in ("--fault", option)]
    process = shop.popen(
        *("simulate", *routes, "--speed", "100000", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().split() for _ in routes]
        yield shop, dict(lines)
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _played(contract: Contract) -> str:
    """A route as the simulator plays it: with the price of the mainline model, which no contract knows."""
    return json.dumps({"use": contract.route, **MAIN}) if "responses" in contract.endpoints else contract.route


def manifest(contract: Contract, endpoint: str, url: str) -> str:
    """A prompt without references, one with a reference, one with two, and one with a mask where that is taken."""
    route: dict[str, Any] = {"use": contract.route, "base_url": url, "key_env": "SHOP_KEY", "endpoint": endpoint}
    if endpoint == "responses":
        route |= MAIN
    prompts: list[dict[str, Any]] = [
        {"id": "plain", "text": "a red mug"},
        {"id": "edit", "text": "the mug on a table", "references": ["a.jpg"]},
        {"id": "fusion", "text": "the mug in the style of the second", "references": ["a.jpg", "b.png"]},
    ]
    if contract.references.mask:
        prompts.append({"id": "repaint", "text": "another handle", "references": ["b.png"], "mask": "mask.png"})
    keys: dict[str, Any] = {"version": 1, "name": "job", "route": route, "prompts": prompts}
    if contract.sizes.kind != "none":
        near = contract.sizes.nearest(Size(1024, 1024))
        keys["sizes"] = [near.name if near is not None else "auto"]
    rule = contract.parameters.get("quality")
    if rule is not None and rule.stance == "takes":
        keys["quality"] = "low"
    return json.dumps(keys)


@pytest.mark.parametrize(("route", "endpoint"), ways())
def test_system_delivers_and_its_bill_is_ours(
    route: str, endpoint: str, addresses: tuple[Shop, dict[str, str]], tmp_path: Path
) -> None:
    gateways, urls = addresses
    contract = CATALOG.find(route)
    shop = Shop(tmp_path, environment={"BATCHGEN_CONTRACTS": str(OWN)})
    Image.effect_noise((640, 480), 50).convert("RGB").save(tmp_path / "a.jpg")
    Image.new("RGB", (512, 512), (200, 40, 40)).save(tmp_path / "b.png")
    Image.new("RGBA", (512, 512), (0, 0, 0, 0)).save(tmp_path / "mask.png")
    (tmp_path / "job.yaml").write_text(manifest(contract, endpoint, urls[route]), encoding="utf-8")
    before = len(gateways.bill())
    shop.run("run", "job.yaml", "--yes")
    mine = [line for line in gateways.bill()[before:] if line.route == route]
    assert set(shop.states()) == {"completed"}
    assert shop.query("SELECT billed, unknown, reserved FROM job") == [(sum(line.charged for line in mine), 0, 0)]
    assert all(line.charged > 0 for line in mine)
    assert shop.query("SELECT count(*) FROM image WHERE flags <> ''") == [(0,)]
    shop.run("verify")
    query = "SELECT p.key FROM image i JOIN task t ON t.id = i.task_id JOIN prompt p ON p.id = t.prompt_id ORDER BY 1"
    found = {"bought": [key for (key,) in shop.query(query)], "by": sorted({line.endpoint for line in mine})}
    if os.environ.get("BATCHGEN_RECORD"):
        every = seen() if SEEN.exists() else {}
        every[f"{route} {endpoint}"] = found
        SEEN.write_text(json.dumps(dict(sorted(every.items())), indent=1) + "\n", encoding="utf-8")
    assert seen().get(f"{route} {endpoint}") == found


def test_every_endpoint_of_every_route_is_in_the_table() -> None:
    served = {f"{name} {endpoint}" for name in CATALOG.routes() for endpoint in CATALOG.find(name).endpoints}
    assert {f"{route} {endpoint}" for route, endpoint in ways()} == served == set(seen())
