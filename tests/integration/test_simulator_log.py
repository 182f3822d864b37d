"""The simulated gateway's own log of what it charged, and options that hold for one route alone."""

from __future__ import annotations

import pickle

import pytest

from batchgen.domain.errors import UsageError
from batchgen.simulator.faults import Fault, Options
from batchgen.simulator.serve import start
from tests.integration import test_simulator
from tests.integration.test_simulator import ALL, CATALOG, LAO_VIP, OFFICIAL, RELAY, VIP

bench = test_simulator.bench
TOKEN = {"Authorization": "an-access-token"}


async def log(gateway, query="", path="/api/log/self", headers=TOKEN):
    return (await gateway.get(f"{path}?{query}", headers)).json


async def test_log_tells_what_was_charged_newest_first(bench):
    gateway = await bench(VIP, "pictures=plain")
    for prompt in ("a", "[[sim:500]]", "b", "[[sim:refuse-text]]"):
        await gateway.ask(prompt, size="1280x1280")
    answer = await log(gateway, "p=1&type=2")
    data, paid = answer["data"], [line for line in gateway.lines if line.charged]
    assert (answer["success"], answer["message"]) == (True, "")
    assert (data["page"], data["page_size"], data["total"]) == (1, 10, 3)
    assert [row["request_id"] for row in data["items"]] == [line.request_id for line in reversed(paid)]
    row = data["items"][0]
    assert (row["quota"], row["model_name"], row["type"], row["group"]) == (15_000, "gpt-image-2-vip", 2, "default")
    assert row["created_at"] == int(paid[-1].time)
    names = {"id", "created_at", "type", "username", "token_name", "model_name", "quota", "prompt_tokens"}
    names |= {"completion_tokens", "use_time", "is_stream", "group", "ip", "request_id", "other"}
    assert set(row) == names


async def test_log_has_ten_rows_a_page_whatever_is_asked_and_reads_on(bench):
    gateway = await bench(VIP, "pictures=plain")
    for number in range(23):
        await gateway.ask(f"mug {number}", size="1280x1280")
        if number == 11:
            assert (await log(gateway))["data"]["total"] == 12
    pages = [(await log(gateway, f"p={page}&page_size=100"))["data"]["items"] for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [10, 10, 3, 0]
    ids = [row["request_id"] for page in pages for row in page]
    assert ids == [line.request_id for line in reversed(gateway.lines)]


async def test_log_can_be_narrowed_by_time_and_model(bench):
    gateway = await bench(VIP, "pictures=plain", others=(ALL,))
    await gateway.ask(size="1280x1280")
    gateway.route = ALL
    await gateway.ask()
    now = int(gateway.last.time)
    totals = [
        (await log(gateway, query))["data"]["total"]
        for query in (
            "model_name=gpt-image-2-all",
            f"start_timestamp={now + 60}",
            f"end_timestamp={now - 60}",
            "type=1",
        )
    ]
    assert totals == [1, 0, 0, 0]
    assert (await log(gateway, f"start_timestamp={now - 60}&end_timestamp={now + 60}"))["data"]["total"] == 2


@pytest.mark.parametrize("headers", [None, {"Authorization": "sk-key"}, {"Authorization": "Bearer token"}])
async def test_log_refuses_a_bad_token_with_a_200(bench, headers):
    gateway = await bench(VIP)
    answer = await gateway.get("/api/log/self", headers)
    assert answer.status == 200
    assert answer.json["success"] is False
    assert "access token" in answer.json["message"]


async def test_log_of_each_account_is_below_its_routes_and_tokens_are_told_in_quota(bench):
    gateway = await bench(VIP, "pictures=plain", others=(RELAY, LAO_VIP, OFFICIAL))
    for route in (VIP, RELAY, LAO_VIP, OFFICIAL):
        gateway.route = route
        await gateway.ask("x" * 40, size="1280x1280" if "vip" in route else "1024x1024", **_low(route))
    paths = ("/api/log/self", "/apiyi/api/log/self", "/apiyi/gpt-image-2-vip/api/log/self", "/laozhang/api/log/self")
    found = [(await log(gateway, path=path))["data"]["items"] for path in paths]
    assert [len(rows) for rows in found] == [4, 2, 2, 1]
    relay = found[1][0]
    assert (relay["quota"], relay["prompt_tokens"], relay["completion_tokens"]) == (2_965, 10, 196)
    assert "request_id" not in found[3][0]
    base = gateway.running.base_url(LAO_VIP).removesuffix("/v1")
    assert (await log(gateway, path=f"{base}/api/log/self"))["data"]["total"] == 1


def _low(route):
    return {} if "vip" in route else {"quality": "low"}


async def test_route_without_a_log_has_none(bench):
    gateway = await bench(OFFICIAL)
    assert (await gateway.get("/api/log/self", TOKEN)).status == 404


# --- options of one route ---


async def test_option_of_one_route_leaves_the_others_alone(bench):
    gateway = await bench(
        VIP, f"{VIP}:p_unauthorized=1", f"{ALL}:chat=bare-url", "pictures=plain", others=(ALL, LAO_VIP)
    )
    statuses = []
    for route in (VIP, ALL, LAO_VIP):
        gateway.route = route
        statuses.append((await gateway.ask(size="1280x1280" if "vip" in route else ...)).status)
    assert statuses == [401, 200, 200]


async def test_options_of_one_route_change_at_run_time(bench):
    gateway = await bench(VIP, "pictures=plain", others=(ALL,))
    url = gateway.running.root + "/_sim/options"
    async with gateway.session.post(url, json={f"{ALL}:p_500": 1}) as reply:
        assert reply.status == 200
    assert (await gateway.ask(size="1280x1280")).status == 200
    gateway.route = ALL
    assert (await gateway.ask()).status == 500
    async with gateway.session.post(url, json={f"{LAO_VIP}:p_500": 1}) as reply:
        assert reply.status == 400
        assert "does not serve" in (await reply.json())["error"]["message"]


async def test_option_for_a_route_that_is_not_served_is_refused(tmp_path):
    options = Options.parse([f"{ALL}:rate=1"])
    with pytest.raises(UsageError, match="does not serve apiyi/gpt-image-2-all"):
        await start([CATALOG.find(VIP)], options, tmp_path / "bill.jsonl")


def test_options_of_a_route_are_laid_over_those_of_all_in_whatever_order_they_come():
    options = Options.parse([f"{VIP}:rate=5", f"{VIP}:p_drop=0.5", "rate=1", "p_500=0.25"])
    own = options.of(VIP)
    assert (own.rate, own.chances) == (5.0, {Fault.DROP: 0.5, Fault.SERVER: 0.25})
    assert options.of(ALL).rate == 1.0
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize(
    ("items", "hint"),
    [
        ([f"{VIP}:rat=5"], "there are seed, speed"),
        ([f"{VIP}:rate=-5"], "not possible"),
        ([f"{VIP}:p_500=0.6", "p_drop=0.6"], "add up to more than 1"),
        (["chat=pigeon"], "auto, mixed, markdown-url"),
        (["batch_seconds=-1"], "between"),
    ],
)
def test_option_of_a_route_that_is_wrong_is_refused(items, hint):
    with pytest.raises(UsageError, match=hint):
        Options.parse(items)
