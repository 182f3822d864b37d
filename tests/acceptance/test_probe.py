"""`batchgen probe`: one paid call through the same books as everything else, and what must be known of a route."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.shop import KEY, Shop, gateway, wait_until

VIP = "apiyi/gpt-image-2-vip"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def own_route(shop: Shop) -> None:
    """A route of one's own at the simulated gateway of the shop: probes name routes, and cannot give an address."""
    shop.write(
        "mine.yaml",
        f"""provider: apiyi
checked: 2026-11-21
source: test
base_url: "{shop.base_url}"
key_env: SHOP_KEY
contracts:
  gpt-image-2-vip: {{extends: apiyi/gpt-image-2-vip, base_url: "{shop.base_url}", key_env: SHOP_KEY}}
""",
    )
    shop.environment["BATCHGEN_CONTRACTS"] = str(shop.folder / "mine.yaml")


def probed(shop: Shop, *words: str, code: int = 0) -> Any:
    return json.loads(shop.run("probe", *words, "--json", "--yes", code=code).stdout)


def test_probe_buys_one_image_and_says_all_that_must_be_recorded(shop: Shop) -> None:
    with gateway(shop):
        own_route(shop)
        found = probed(shop, VIP)
        again = probed(shop, VIP, "--size", "1280x720")
    assert [line.size for line in shop.bill()] == ["1280x1280", "1280x720"]
    assert shop.query("SELECT sum(billed) FROM attempt")[0][0] == sum(line.charged for line in shop.bill())
    assert found["id"] != again["id"]
    expected = {
        "route": VIP,
        "model": "gpt-image-2-vip",
        "endpoint": "generations",
        "base_url": shop.base_url,
        "key": "SHOP_KEY",
        "key_fingerprint": hashlib.sha256(KEY.encode()).hexdigest()[:8],
        "billing_unit": "call",
        "delivered": True,
        "outcome": "delivered",
        "status": 200,
        "charge": "billed",
        "billed_usd": "0.03",
        "size_asked": "1280x1280",
        "size_measured": "1280x1280",
        "format": "png",
        "outputs": 1,
        "reply": "inline",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["failures_by_contract"]["refused_text"] == "billed"
    assert shop.bill()[0].request_id in found["request_ids"].values()
    assert shop.bill()[0].request_id in found["support"]
    file = Path(found["file"])
    assert file.parent == shop.folder / "probes" / "apiyi-gpt-image-2-vip"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == found["sha256"]
    shop.run("verify")
    assert KEY.encode() not in b"".join(path.read_bytes() for path in shop.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("fault", "code", "outcome", "billed"),
    [
        ("p_refuse-text=1", 3, "refused_text", "0.03"),
        ("p_500=1", 3, "server_error", "0.00"),
        ("p_429=1", 3, "throttled", "0.00"),
        ("p_drop=1", 3, "lost", None),
        ("p_401=1", 4, "unauthorized", "0.00"),
        ("p_quota=1", 4, "quota", "0.00"),
    ],
)
def test_probe_that_fails_is_one_call_and_prints_what_it_learnt(
    shop: Shop, fault: str, code: int, outcome: str, billed: str | None
) -> None:
    with gateway(shop, fault):
        own_route(shop)
        found = probed(shop, VIP, code=code)
    assert len(shop.bill()) == 1
    assert (found["outcome"], found["billed_usd"], found["delivered"]) == (outcome, billed, False)
    assert found["detail"]
    assert found["charge"] == {"lost": "unknown", "refused_text": "billed"}.get(outcome, "void")


def test_two_routes_are_asked_the_same_and_stand_side_by_side(shop: Shop) -> None:
    said = shop.run("probe", "apiyi/gpt-image-2", "laozhang/gpt-image-2@official", "--rehearse", "--quality", "low")
    lines = {line[2:22].strip(): line for line in said.stdout.splitlines() if line[2:3] != " "}
    assert lines["size asked"].split()[-2:] == ["1024x1024", "1024x1024"]
    assert lines["billed"].split()[-2] == lines["billed"].split()[-1]
    assert lines["base url"].startswith("≠")
    assert lines["price"].startswith("  ")
    sizes = {line.size for line in shop.bill("rehearsal/bill.jsonl")}
    assert sizes == {"1024x1024"}
    shop.run("verify", "--rehearse")


def test_worst_of_two_makes_the_exit_code(shop: Shop) -> None:
    found = json.loads(
        shop.run(
            "probe", VIP, "laozhang/gpt-image-2-vip", "--rehearse", "--json", "--prompt", "x [[sim:500]]", code=3
        ).stdout
    )
    assert [each["outcome"] for each in found] == ["server_error", "server_error"]


@pytest.mark.parametrize(
    ("words", "endpoint", "reply"),
    [
        ((VIP, "--endpoint", "chat"), "chat", "address"),
        (("openai/gpt-image-2", "--endpoint", "responses", "--main-model", "gpt-5.2"), "responses", "inline"),
        (("laozhang/gpt-image-2",), "generations", "inline"),
    ],
)
def test_every_endpoint_can_be_probed(shop: Shop, words: tuple[str, ...], endpoint: str, reply: str) -> None:
    found = json.loads(shop.run("probe", *words, "--rehearse", "--json").stdout)
    assert (found["endpoint"], found["reply"], found["delivered"]) == (endpoint, reply, True)


def test_probe_that_was_killed_is_put_in_order_by_the_next(shop: Shop) -> None:
    with gateway(shop, "latency=30"):
        own_route(shop)
        first = shop.start("probe", VIP, "--yes")
        wait_until(first, lambda: bool(shop.query_or_nothing("SELECT 1 FROM attempt")))
        first.kill()
        first.communicate()
        (shop.folder / "simulator" / "bill.jsonl").exists()
    with gateway(shop):
        own_route(shop)
        assert probed(shop, VIP)["delivered"]
    assert [charge for (charge,) in shop.query("SELECT charge FROM attempt ORDER BY id")] == ["unknown", "billed"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((VIP,), "nobody is here to be asked"),
        ((VIP, "--json"), "nobody is here to be asked"),
        ((VIP, VIP), "two different routes"),
        (("apiyi/nope",), "there is no route"),
        ((VIP, "--size", "17x17"), "does not take the size"),
        ((VIP, "--size", "big"), "--size:"),
        ((VIP, "--quality", "high"), "rejects `quality`"),
        ((VIP, "--endpoint", "responses"), "endpoint"),
        ((VIP, "--main-model", "gpt-5"), "--main-model is for"),
        (("openai/gpt-image-2", "--endpoint", "responses"), "--main-model"),
        ((VIP, "--prompt", " "), "--prompt"),
        ((VIP, "--rehearse", "--db", "x.db"), "exclude each other"),
    ],
)
def test_what_cannot_be_probed_is_one_sentence_and_costs_nothing(
    shop: Shop, words: tuple[str, ...], sentence: str
) -> None:
    shop.environment |= {"APIYI_API_KEY": KEY}
    failed = shop.run("probe", *words, code=2)
    assert sentence in failed.stderr
    assert "Traceback" not in failed.stderr
    assert not (shop.folder / "batchgen.db").exists()


def test_question_names_route_endpoint_and_cost(shop: Shop) -> None:
    shop.environment |= {"APIYI_API_KEY": KEY}
    said = shop.run("probe", "apiyi/gpt-image-2", code=2).stderr
    assert "one call over apiyi/gpt-image-2 (images at https://api.apiyi.com/v1, size 1024x1024)" in said
    assert "expected $0.0" in said
    assert "at most $0.2" in said
    assert "APIYI_API_KEY" in Shop(shop.folder).run("probe", "apiyi/gpt-image-2", code=2).stderr
