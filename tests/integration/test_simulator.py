"""The simulated gateway over real loopback sockets: what it takes, returns, charges and how it fails."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import pickle
import struct
import zlib
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from PIL import Image

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import UsageError
from batchgen.domain.size import Size
from batchgen.simulator.bill import Bill, BillLine
from batchgen.simulator.chance import Chance, choose, named_faults
from batchgen.simulator.faults import Fault, Options
from batchgen.simulator.serve import RunningSimulator, serve_forever, start

VIP, ALL, OFFICIAL = "apiyi/gpt-image-2-vip", "apiyi/gpt-image-2-all", "openai/gpt-image-2"
RELAY, LAO_VIP, LAO_WEB = "apiyi/gpt-image-2", "laozhang/gpt-image-2-vip", "laozhang/gpt-image-2"
KEY = {"Authorization": "Bearer sk-test"}
CATALOG = load_catalog()


async def until(true: Callable[[], bool]) -> None:
    """Wait a moment for something that is about to happen."""
    for _ in range(20_000):
        if true():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it did not happen")


class Held(SystemClock):
    """A clock on which nobody who sleeps wakes up before the test says so."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.asleep = 0

    async def sleep(self, seconds: float) -> None:
        self.asleep += 1
        if seconds > 0:
            await self.over.wait()


class Answer:
    """A reply, read whole."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]

    def file(self, number: int = 0) -> bytes:
        """The picture, decoded as leniently as a client must."""
        text = self.json["data"][number]["b64_json"]
        text = "".join(text.rpartition(",")[2].split())
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)

    def pixels(self) -> tuple[int, int]:
        image = Image.open(io.BytesIO(self.file()))
        image.load()
        return image.size


class Bench:
    """A simulator and a client for it."""

    def __init__(self, running: RunningSimulator, session: aiohttp.ClientSession, route: str) -> None:
        self.running, self.session, self.route = running, session, route

    async def ask(
        self, prompt: str = "A mug", *, headers: dict[str, str] = KEY, path: str = "images/generations", **more
    ):
        body = {"model": self.contract.model, "prompt": prompt, **more}
        return await self.send(
            json.dumps({name: value for name, value in body.items() if value is not ...}).encode(), headers, path
        )

    async def send(self, body: bytes, headers: dict[str, str] = KEY, path: str = "images/generations") -> Answer:
        url = f"{self.running.base_url(self.route)}/{path}"
        async with self.session.post(
            url, data=io.BytesIO(body), headers={"Content-Type": "application/json", **headers}
        ) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def get(self, url: str, headers: dict[str, str] | None = None) -> Answer:
        async with self.session.get(url if "://" in url else self.running.root + url, headers=headers) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def call(self, method: str, path: str, headers: dict[str, str] = KEY, **more) -> Answer:
        """Anything below the route's base URL; `form` are names and values, bytes or (file name, bytes) for files."""
        if "form" in more:
            form = aiohttp.FormData()
            for name, value in more.pop("form"):
                if isinstance(value, str):
                    form.add_field(name, value)
                else:
                    filename, content = value if isinstance(value, tuple) else ("a.png", value)
                    form.add_field(name, io.BytesIO(content), filename=filename)
            more["data"] = form
        url = f"{self.running.base_url(self.route)}/{path}"
        async with self.session.request(method, url, headers=headers, **more) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def idle(self) -> None:
        await until(lambda: self.running.state.in_flight == 0)

    @property
    def contract(self):
        return CATALOG.find(self.route)

    @property
    def lines(self) -> list[BillLine]:
        return list(Bill.lines(self.running.state.bill.path))

    @property
    def last(self) -> BillLine:
        return self.lines[-1]


@pytest.fixture
async def bench(tmp_path):
    """Starts simulators: `await bench(route, "option=value", …)`."""
    opened = []

    async def begin(
        route: str = VIP, *options: str, others: tuple[str, ...] = (), folder: Path = tmp_path, **more
    ) -> Bench:
        contracts = [CATALOG.find(name) for name in (route, *others)]
        wanted = Options.parse(["latency=0", *options])
        running = await start(contracts, wanted, folder / "bill.jsonl", folder / "state", **more)
        opened.append(running)
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True))
        opened.append(session)
        return Bench(running, session, route)

    yield begin
    for each in reversed(opened):
        await each.close()


# --- what is taken and what is refused ---


@pytest.mark.parametrize(
    ("route", "code", "kind"),
    [(VIP, ..., "shell_api_error"), (OFFICIAL, None, "invalid_request_error")],
)
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer "}])
async def test_call_is_unauthorized_and_free_without_a_bearer_key(bench, route, code, kind, headers):
    gateway = await bench(route)
    answer = await gateway.ask(headers=headers)
    assert (answer.status, answer.error["type"]) == (401, kind)
    assert code is ... or answer.error["code"] == code
    assert (gateway.last.kind, gateway.last.charged, gateway.last.key) == ("unauthorized", 0, "")


@pytest.mark.parametrize(("route", "status"), [(OFFICIAL, 404), (VIP, 503), (LAO_VIP, 503)])
async def test_unknown_model_gets_the_gateways_own_model_not_found(bench, route, status):
    gateway = await bench(route)
    answer = await gateway.ask(model="gpt-image-9")
    assert (answer.status, answer.error["code"]) == (status, "model_not_found")
    assert "gpt-image-9" in answer.error["message"]
    assert gateway.last.charged == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
async def test_body_that_is_no_json_object_is_a_400(bench, body):
    gateway = await bench(OFFICIAL)
    assert (await gateway.send(body)).status == 400
    assert gateway.last.charged == 0


@pytest.mark.parametrize("asked", ["1024x1024", "auto", "2048", "1:1@2K", 7, "1280X1280"])
async def test_vip_refuses_a_size_outside_its_thirty(bench, asked):
    gateway = await bench(VIP)
    answer = await gateway.ask(size=asked)
    assert (answer.status, answer.error["type"], answer.error["param"]) == (400, "invalid_request_error", "size")
    assert (gateway.last.kind, gateway.last.charged) == ("rejected", 0)


@pytest.mark.parametrize(
    ("size", "sentence"),
    [
        ("1792x936", "Width and height must both be divisible by 16."),
        ("3856x1600", "The longest edge must be less than or equal to 3840."),
        ("3840x1024", "The aspect ratio must be between 1:3 and 3:1."),
        ("768x768", "Requested resolution is below the current minimum pixel budget."),
        ("3840x3840", "Requested resolution exceeds the current pixel budget."),
    ],
)
async def test_official_route_says_why_a_size_is_invalid(bench, size, sentence):
    gateway = await bench(OFFICIAL)
    answer = await gateway.ask(size=size)
    assert answer.status == 400
    assert answer.error["message"] == f"Invalid size '{size}'. {sentence}"
    assert answer.error["code"] == "invalid_value"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"response_format": "b64_json"}, "response_format", "unknown_parameter"),
        ({"style": "vivid"}, "style", "unknown_parameter"),
        ({"input_fidelity": "high"}, "input_fidelity", "unknown_parameter"),
        ({"quality": "ultra"}, "quality", "invalid_value"),
        ({"output_format": "gif"}, "output_format", "invalid_value"),
        ({"background": "transparent", "output_format": "jpeg"}, "background", "invalid_value"),
        ({"n": 11}, "n", "invalid_value"),
        ({"n": True}, "n", "invalid_value"),
        ({"prompt": "x" * 32_001}, "prompt", "string_above_max_length"),
        ({"prompt": ""}, "prompt", "missing_required_parameter"),
        ({"prompt": ...}, "prompt", "missing_required_parameter"),
        ({"stream": True}, "stream", "unsupported_parameter"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_official_route_refuses_a_wrong_parameter_for_nothing(bench, fields, param, code):
    gateway = await bench(RELAY)
    answer = await gateway.ask(**fields)
    assert (answer.status, answer.error["param"], answer.error["code"]) == (400, param, code)
    assert (gateway.last.kind, gateway.last.charged) == ("rejected", 0)


async def test_reverse_route_refuses_quality_but_looks_away_from_unknown_parameters(bench):
    gateway = await bench(VIP)
    refused = await gateway.ask(quality="high", size="1280x1280")
    assert (refused.status, refused.error["param"], refused.error["type"]) == (400, "quality", "invalid_request_error")
    assert (await gateway.ask(size="1280x1280", style="vivid", quality=None)).status == 200


async def test_route_without_sizes_refuses_one(bench):
    gateway = await bench(LAO_WEB)
    assert (await gateway.ask(size="1280x1280")).status == 400
    assert (await gateway.ask()).pixels() == (1254, 1254)


async def test_parameter_of_which_the_vendor_is_unsure_follows_the_option(bench, tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text(
        "provider: own\nchecked: 2026-11-21\nsource: a test\nbase_url: https://own.example/v1\nkey_env: OWN\n"
        "contracts:\n  model:\n    price: {per_call: 0.01}\n    parameters: {quality: {unsure: [low, high]}}\n"
    )
    contract = load_catalog(own).find("own/model")
    statuses = []
    for option in ("accept", "reject"):
        running = await start([contract], Options.parse(["latency=0", f"unsure={option}"]), tmp_path / "own.jsonl")
        async with aiohttp.ClientSession() as session:
            body = {"model": "model", "prompt": "x", "quality": "low"}
            async with session.post(
                f"{running.base_url('own/model')}/images/generations", json=body, headers=KEY
            ) as reply:
                statuses.append(reply.status)
        await running.close()
    assert statuses == [200, 400]


async def test_endpoint_that_is_not_there_is_a_404_with_an_error_object(bench):
    gateway = await bench(VIP)
    answer = await gateway.ask(path="images/nothing")
    assert (answer.status, answer.error["type"]) == (404, "invalid_request_error")


# --- what is delivered ---


@pytest.mark.parametrize("size", ["1280x544", "2048x2048", "3840x2160"])
async def test_vip_delivers_exactly_the_size_asked(bench, size):
    gateway = await bench(VIP)
    answer = await gateway.ask(size=size)
    assert "{}x{}".format(*answer.pixels()) == size
    assert set(answer.json) <= {"created", "data", "usage"}
    line = gateway.last
    assert (line.kind, line.charged, line.size, line.status, line.n) == ("delivered", 30_000, size, 200, 1)


@pytest.mark.parametrize(("kind", "magic"), [("png", b"\x89PNG"), ("jpeg", b"\xff\xd8\xff"), ("webp", b"RIFF")])
async def test_official_route_delivers_the_format_asked(bench, kind, magic):
    gateway = await bench(OFFICIAL)
    answer = await gateway.ask(size="1024x1024", output_format=kind, quality="low")
    assert answer.file().startswith(magic)
    assert answer.json["output_format"] == kind


@pytest.mark.parametrize(
    ("phrase", "pixels"),
    [("横版 16:9，", (1672, 941)), ("竖屏 9:16，", (941, 1672)), ("3:2 尺寸，", (1536, 1024)), ("", (1254, 1254))],
)
async def test_all_route_answers_its_native_pixels_for_the_phrase_in_the_prompt(bench, phrase, pixels):
    gateway = await bench(ALL)
    assert (await gateway.ask(f"{phrase}A mug")).pixels() == pixels


async def test_all_route_takes_every_phrase_its_contract_writes(bench):
    gateway = await bench(ALL, "pictures=plain")
    rule = gateway.contract.sizes
    for ratio, size in rule.answers.items():
        answer = await gateway.ask(gateway.contract.prompt_text("A mug", size))
        assert answer.pixels() == (size.width, size.height), ratio


async def test_all_route_honours_a_size_within_reach_and_ignores_others(bench):
    gateway = await bench(ALL)
    assert (await gateway.ask(size="1200x800")).pixels() == (1200, 800)
    assert (await gateway.ask(size="3840x2160")).pixels() == (1254, 1254)


@pytest.mark.parametrize("form", ["raw", "prefix", "unpadded", "wrapped", "escaped"])
async def test_base64_comes_in_the_form_asked_and_is_the_same_file(bench, form):
    gateway = await bench(VIP, "b64=raw", "takes=off")
    plain = await gateway.ask(size="1280x544")
    await gateway.session.post(gateway.running.root + "/_sim/options", json={"b64": form})
    answer = await gateway.ask(size="1280x544")
    text = answer.json["data"][0]["b64_json"]
    assert answer.file() == plain.file()
    assert text.startswith("data:image/png;base64,") == (form in {"prefix", "unpadded"})
    assert ("\n" in text) == (form == "wrapped")
    assert (b"\\/" in answer.body) == (form == "escaped")
    assert (len(text.rpartition(",")[2]) % 4 == 0) or form in {"unpadded", "wrapped"}


async def test_mixed_base64_meets_every_form_and_official_routes_stay_raw(bench):
    gateway = await bench(VIP, "pictures=plain", others=(OFFICIAL,))
    starts = {
        (await gateway.ask(f"p{number}", size="1280x544")).json["data"][0]["b64_json"][:5] for number in range(24)
    }
    assert starts == {"data:", "iVBOR"}
    gateway.route = OFFICIAL
    texts = [(await gateway.ask(f"p{number}")).json["data"][0]["b64_json"] for number in range(12)]
    assert all(text.startswith("iVBOR") and len(text) % 4 == 0 for text in texts)


async def test_same_request_is_the_same_picture_in_another_simulator_and_a_later_take_says_so(bench, tmp_path):
    first, second = await bench(VIP, folder=tmp_path / "a"), await bench(VIP, folder=tmp_path / "b")
    one, other = await first.ask(size="1280x1280"), await second.ask(size="1280x1280")
    assert one.file() == other.file()
    again = await first.ask(size="1280x1280")
    assert again.file() != one.file()
    assert again.pixels() == one.pixels()


async def test_padding_reaches_the_wire(bench):
    gateway = await bench(VIP, "bytes=300000")
    assert len((await gateway.ask(size="1280x1280")).file()) > 300_000


# --- addresses ---


async def test_address_delivers_the_picture_and_outlives_the_process(bench, tmp_path):
    gateway = await bench(VIP)
    answer = await gateway.ask(size="1280x720", response_format="url")
    item = answer.json["data"][0]
    assert list(item) == ["url"]
    assert urlsplit(item["url"]).netloc == urlsplit(gateway.running.root).netloc
    picture = await gateway.get(item["url"])
    assert picture.headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(picture.body)).size == (1280, 720)

    port = gateway.running.port
    await gateway.running.close()
    later = await bench(VIP)
    assert later.running.port == port, "the port is remembered"
    assert (await later.get(item["url"])).body == picture.body


async def test_address_dies_when_its_time_is_over_and_stays_charged(bench):
    gateway = await bench(VIP, "url_lifetime=0")
    answer = await gateway.ask(size="1280x720", response_format="url")
    dead = await gateway.get(answer.json["data"][0]["url"])
    assert (dead.status, b"NoSuchKey" in dead.body) == (404, True)
    assert gateway.last.charged == 30_000


@pytest.mark.parametrize(
    "name", ["x", "eJw.png", "%00.png", "a" * 4000 + ".png", base64.urlsafe_b64encode(zlib.compress(b"[" * 9)).decode()]
)
async def test_address_that_was_never_given_is_a_404(bench, name):
    gateway = await bench(VIP)
    assert (await gateway.get(f"/img/{name}")).status == 404


# --- money ---


@pytest.mark.parametrize(
    "route", [OFFICIAL, RELAY, "apiyi/gpt-image-2@image2Enterprise", "laozhang/gpt-image-2@official"]
)
@pytest.mark.parametrize(("size", "quality"), [("1024x1024", "low"), ("2048x1152", "medium"), ("2880x2880", "high")])
async def test_official_usage_follows_the_calculator_and_the_bill_follows_the_usage(bench, route, size, quality):
    gateway = await bench(route, "pictures=plain")
    prompt = "A mug on a gräy desk"
    answer = await gateway.ask(prompt, size=size, quality=quality)
    usage = answer.json["usage"]
    text = -(-len(prompt.encode()) // 4)
    assert usage["input_tokens_details"] == {"text_tokens": text, "image_tokens": 0}
    assert usage["total_tokens"] == text + usage["output_tokens"]
    wide, high = map(int, size.split("x"))
    cost = expected(gateway.contract, Demand.of(Size(wide, high), quality, prompt))
    assert gateway.last.charged == cost.micros
    assert gateway.last.usage == usage


async def test_published_price_is_what_the_bill_says(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    await gateway.ask("x" * 40, size="1024x1024", quality="low")
    assert gateway.last.charged == 5_930  # 10 text tokens at $5 and 196 output tokens at $30 per million


async def test_official_route_names_what_it_delivered_when_auto_was_asked(bench):
    gateway = await bench(OFFICIAL)
    seen = set()
    for number in range(8):
        answer = await gateway.ask(f"mug {number}", size="auto", quality="auto", background="auto")
        reported = answer.json
        assert "{}x{}".format(*answer.pixels()) == reported["size"] == gateway.last.size
        assert reported["quality"] in {"low", "medium", "high"}
        assert (reported["background"], reported["output_format"]) == ("opaque", "png")
        bound = expected(gateway.contract, Demand.of(Size(0, 0), "auto", f"mug {number}")).upper
        assert gateway.last.charged <= bound
        seen.add((reported["size"], reported["quality"]))
    assert len(seen) > 2


async def test_n_is_billed_n_times_for_one_image_on_reverse_routes(bench):
    gateway = await bench(VIP)
    answer = await gateway.ask(size="1280x1280", n=3)
    assert len(answer.json["data"]) == 1
    assert (gateway.last.charged, gateway.last.n) == (90_000, 3)


async def test_n_is_kept_on_the_official_route(bench):
    gateway = await bench(OFFICIAL, "pictures=plain")
    answer = await gateway.ask(size="1024x1024", quality="low", n=2)
    assert len(answer.json["data"]) == 2
    assert answer.json["usage"]["output_tokens"] == 2 * 196


@pytest.mark.parametrize(
    ("route", "status", "kind", "charged"),
    [
        (VIP, 200, "refused_text", 30_000),
        (ALL, 200, "refused_text", 30_000),
        (LAO_VIP, 200, "refused_text", 0),
        (OFFICIAL, 400, "refused", 0),
        (RELAY, 400, "refused", 0),
    ],
)
async def test_forbidden_word_is_refused_and_charged_as_each_vendor_does(bench, route, status, kind, charged):
    gateway = await bench(route)
    answer = await gateway.ask("A FORBIDDEN mug", size="1280x1280" if "vip" in route else ...)
    assert answer.status == status
    assert (gateway.last.kind, gateway.last.charged) == (kind, charged)
    if status == 400:
        assert answer.error["code"] == "moderation_blocked"
        assert "rejected by the safety system" in answer.error["message"]
    else:
        assert "error" not in answer.json
        assert "b64_json" not in answer.body.decode()


@pytest.mark.parametrize(
    ("route", "status", "code"),
    [
        (VIP, 403, "insufficient_user_quota"),
        (LAO_VIP, 429, "insufficient_user_quota"),
        (OFFICIAL, 429, "insufficient_quota"),
    ],
)
async def test_account_runs_dry_after_its_limit_and_stays_dry_after_a_restart(bench, tmp_path, route, status, code):
    gateway = await bench(route, "spend=0.06", "pictures=plain")
    size = "1280x1280" if "vip" in route else "1024x1024"
    quality = ... if "vip" in route else "medium"
    answers = [await gateway.ask(f"mug {number}", size=size, quality=quality) for number in range(4)]
    refused = [answer for answer in answers if answer.status != 200]
    assert refused[-1].status == status
    assert refused[-1].error["code"] == code
    assert (gateway.last.kind, gateway.last.charged) == ("quota", 0)
    assert sum(line.charged for line in gateway.lines) <= 60_000
    await gateway.running.close()
    later = await bench(route, "spend=0.06", "pictures=plain")
    assert (await later.ask("another", size=size, quality=quality)).status == status


async def test_calls_at_once_cannot_spend_more_than_the_account_holds(bench):
    gateway = await bench(VIP, "spend=0.10", "latency=0.02", "pictures=plain")
    answers = await asyncio.gather(*(gateway.ask(f"mug {number}", size="1280x1280") for number in range(10)))
    assert sorted(answer.status for answer in answers) == [200] * 3 + [403] * 7


# --- limits ---


@pytest.mark.parametrize(
    ("style", "headers", "words"),
    [
        ("auto", {"retry-after": "1"}, True),
        ("none", {}, False),
        ("7", {"retry-after": "7"}, False),
        ("50ms", {"retry-after-ms": "50"}, False),
        ("body", {}, True),
    ],
)
async def test_rate_limit_answers_429_with_the_advice_asked_for(bench, style, headers, words):
    gateway = await bench(OFFICIAL, "rate=2", "burst=2", f"retry_after={style}", "pictures=plain")
    answers = [await gateway.ask(f"mug {number}") for number in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    last = answers[-1]
    assert {name.lower(): value for name, value in last.headers.items() if "retry" in name.lower()} == headers
    assert ("try again in" in last.error["message"]) == words
    assert last.error["code"] == "rate_limit_exceeded"
    assert (gateway.last.kind, gateway.last.charged) == ("throttled", 0)


async def test_retry_after_can_be_a_date(bench):
    gateway = await bench(VIP, "p_429=1", "retry_after=date")
    answer = await gateway.ask(size="1280x1280")
    ahead = parsedate_to_datetime(answer.headers["retry-after"]).timestamp() - SystemClock().now()
    assert -1 <= ahead <= 2


async def test_rate_limit_lets_calls_in_again_as_time_passes(bench):
    class Moved(SystemClock):
        at = 100.0

        def monotonic(self) -> float:
            return self.at

    clock = Moved()
    gateway = await bench(VIP, "rate=0.5", "pictures=plain", clock=clock)
    statuses = []
    for seconds in (0, 1, 1, 1, 100, 0):
        clock.at += seconds
        statuses.append((await gateway.ask(size="1280x1280")).status)
    assert statuses == [200, 429, 200, 429, 200, 429]


async def test_more_calls_at_once_than_allowed_are_turned_away(bench):
    clock = Held()
    gateway = await bench(VIP, "concurrency=3", "latency=1", "pictures=plain", clock=clock)
    calls = [asyncio.ensure_future(gateway.ask(f"mug {number}", size="1280x1280")) for number in range(8)]
    await until(lambda: sum(call.done() for call in calls) == 5)
    clock.over.set()
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status for answer in answers) == [200] * 3 + [429] * 5
    assert (await gateway.ask(size="1280x1280")).status == 200


async def test_call_that_is_refused_frees_its_place(bench):
    gateway = await bench(VIP, "concurrency=1", "pictures=plain")
    prompts = ("[[sim:401]]", "[[sim:quota]]", "[[sim:500]]", "[[sim:empty]]", "")
    assert [(await gateway.ask(prompt, size="1280x1280")).status for prompt in prompts] == [401, 403, 500, 200, 400]
    assert (await gateway.ask(size="1x1")).status == 400
    assert (await gateway.ask(size="1280x1280")).status == 200


# --- faults ---


@pytest.mark.parametrize(
    ("fault", "status", "kind", "charged", "mark"),
    [
        ("429", 429, "throttled", 0, b"shell_api_error"),
        ("500", 500, "server_error", 0, b"invalid_request_error"),
        ("500-html", 500, "edge_error", 0, b"<html>"),
        ("502", 502, "edge_error", 0, b"nginx"),
        ("524", 524, "edge_error", 30_000, b"cloudflare"),
        ("401", 401, "unauthorized", 0, "无效的令牌".encode()),
        ("quota", 403, "quota", 0, b"insufficient_user_quota"),
        ("refuse", 500, "refused", 0, b"rejected by the safety system"),
        ("refuse-text", 200, "refused_text", 30_000, b""),
        ("empty", 200, "empty", 30_000, b'"data":[]'),
        ("error-in-200", 200, "empty", 30_000, b'"error"'),
        ("garbage", 200, "unread", 30_000, b"<<<"),
        ("bad-b64", 200, "damaged", 30_000, b"!?*"),
        ("bad-image", 200, "delivered", 30_000, b"b64_json"),
        ("wrong-size", 200, "delivered", 30_000, b"b64_json"),
        ("expired-url", 200, "delivered", 30_000, b"/img/"),
        ("url", 200, "delivered", 30_000, b"/img/"),
        ("slow", 200, "delivered", 30_000, b"b64_json"),
        ("stream", 200, "delivered", 30_000, b"image_generation.completed"),
        ("ok", 200, "delivered", 30_000, b"b64_json"),
    ],
)
@pytest.mark.parametrize("by", ["header", "prompt"])
async def test_named_fault_happens_and_costs_what_the_contract_says(bench, fault, status, kind, charged, mark, by):
    gateway = await bench(VIP, "pictures=plain")
    if by == "header":
        answer = await gateway.ask(size="1280x1280", headers={**KEY, "X-Simulate": fault})
    else:
        answer = await gateway.ask(f"A mug [[sim:{fault}]]", size="1280x1280")
    assert answer.status == status
    assert mark in answer.body
    line = gateway.last
    assert (line.status, line.kind, line.charged) == (status, kind, charged)


@pytest.mark.parametrize("fault", ["drop", "not-http", "cut"])
async def test_answer_that_is_lost_on_the_way_is_charged(bench, fault):
    gateway = await bench(VIP)
    with pytest.raises(aiohttp.ClientError):
        await gateway.ask(f"[[sim:{fault}]]", size="1280x1280")
    assert (gateway.last.fault, gateway.last.charged) == (fault, 30_000)


async def test_cut_answer_arrives_in_half(bench):
    gateway = await bench(VIP)
    whole = len((await gateway.ask("a mug", size="1280x1280")).body)
    body = json.dumps({"model": "gpt-image-2-vip", "prompt": "a mug [[sim:cut]]", "size": "1280x1280"}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.running.port)
    head = f"POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    headers, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert headers.startswith(b"HTTP/1.1 200")
    assert whole // 3 < len(rest) < whole


async def test_call_that_hangs_is_charged_and_ends_when_the_client_leaves(bench):
    gateway = await bench(VIP)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gateway.ask("[[sim:hang]]", size="1280x1280"), 0.1)
    assert (gateway.last.kind, gateway.last.status, gateway.last.charged) == ("timed_out", 0, 30_000)
    await asyncio.wait_for(gateway.idle(), 3)


async def test_client_that_hangs_up_is_charged_all_the_same(bench):
    clock = Held()
    gateway = await bench(VIP, "latency=1", clock=clock)
    call = asyncio.ensure_future(gateway.ask(size="1280x1280"))
    await until(lambda: clock.asleep > 0)
    call.cancel()
    await asyncio.wait([call])
    assert gateway.lines == []
    clock.over.set()
    await gateway.idle()
    assert (gateway.last.kind, gateway.last.charged) == ("delivered", 30_000)


async def test_bill_is_written_before_the_answer_leaves(bench):
    gateway = await bench(VIP, "pictures=plain")
    for number in range(20):
        await gateway.ask(f"mug {number}", size="1280x1280")
        assert len(gateway.lines) == number + 1


async def test_closing_does_not_wait_for_calls_that_hang(bench):
    gateway = await bench(VIP)
    call = asyncio.ensure_future(gateway.ask("[[sim:hang]]", size="1280x1280"))
    await until(lambda: gateway.running.state.bill.totals.calls > 0)
    await asyncio.wait_for(gateway.running.close(), 2)
    with pytest.raises(aiohttp.ClientError):
        await call


async def test_list_of_faults_plays_one_per_call_and_then_ends(bench):
    gateway = await bench(VIP, "pictures=plain")
    answers = [await gateway.ask("[[sim: 500, 429,ok,502]]", size="1280x1280") for _ in range(6)]
    assert [answer.status for answer in answers] == [500, 429, 200, 502, 200, 200]
    assert [line.occurrence for line in gateway.lines] == [1, 2, 3, 4, 5, 6]


async def test_unknown_fault_is_named(bench):
    gateway = await bench(VIP)
    answer = await gateway.ask("[[sim:explode]]")
    assert answer.status == 400
    assert "no fault the simulator knows" in answer.error["message"]


async def test_bad_image_breaks_and_wrong_size_differs(bench):
    gateway = await bench(VIP)
    broken = await gateway.ask("[[sim:bad-image]]", size="1280x1280")
    with pytest.raises((OSError, SyntaxError)):
        broken.pixels()
    assert (await gateway.ask("[[sim:wrong-size]]", size="1280x1280")).pixels() == (640, 640)


async def test_sporadic_500_hits_4k_only_where_the_contract_knows_of_it(bench):
    gateway = await bench(VIP, "p500_4k=1", "pictures=plain", others=(OFFICIAL,))
    answer = await gateway.ask(size="3840x2160")
    assert (answer.status, answer.error["localized_message"]) == (500, "Unknown error")
    assert gateway.last.charged == 0
    assert (await gateway.ask(size="2048x1152")).status == 200
    gateway.route = OFFICIAL
    assert (await gateway.ask(size="3840x2160", quality="low")).status == 200


async def test_weather_is_the_same_in_whatever_order_calls_arrive(bench, tmp_path):
    options = ("p_500=0.3", "p_429=0.2", "seed=5", "pictures=plain")
    prompts = [f"mug {number}" for number in range(40)]
    met = []
    for folder, order in (("a", prompts), ("b", prompts[::-1])):
        gateway = await bench(VIP, *options, folder=tmp_path / folder)
        answers = await asyncio.gather(*(gateway.ask(prompt, size="1280x1280") for prompt in order))
        met.append({prompt: answer.status for prompt, answer in zip(order, answers, strict=True)})
    assert met[0] == met[1]
    assert set(met[0].values()) == {200, 429, 500}


def test_chances_are_kept_on_average_and_change_with_the_seed():
    options = Options.parse(["p_500=0.25", "p_drop=0.25"])
    picks = [choose(options, (), Chance(0, f"{number:x}", 1), Size(1280, 1280), True) for number in range(4000)]
    assert 900 < picks.count(Fault.SERVER) < 1100
    assert 900 < picks.count(Fault.DROP) < 1100
    assert picks != [choose(options, (), Chance(1, f"{number:x}", 1), Size(1280, 1280), True) for number in range(4000)]


# --- options ---


def test_options_are_read_as_a_command_line_writes_them():
    options = Options.parse(
        ["p500_4k=0.3", "rate=5", "burst=2", "retry_after=none", "p_drop=0.1", "p500=0.2", "spend=1.5"]
    )
    assert (options.p500_4k, options.rate, options.burst, options.retry_after) == (0.3, 5.0, 2, "none")
    assert options.chances == {Fault.DROP: 0.1, Fault.SERVER: 0.2}
    assert options.spend == 1_500_000
    assert Options.parse(["rate=none", "seed=3"], options).rate is None
    assert Options.parse(["4k_500=0.5"]).p500_4k == 0.5
    assert Options.parse(["p_error-in-200=0.5"]).chances == Options.parse(["p_error_in_200=0.5"]).chances


def test_options_can_cross_to_another_process():
    options = Options.parse(["p_500=0.5", "rate=2"])
    assert pickle.loads(pickle.dumps(options)) == options


@pytest.mark.parametrize(
    ("item", "hint"),
    [
        ("rate", "write name=value"),
        ("rat=5", "there are seed, speed"),
        ("p_nothing=0.5", "there are seed, speed"),
        ("p_500=2", "between 0 and 1"),
        ("p_500=often", "p_500=often is not possible"),
        ("p500_4k=-1", "between 0 and 1"),
        ("speed=0", "between"),
        ("burst=0", "1 or more"),
        ("retry_after=soon", "auto, none, date"),
        ("b64=odd", "mixed, raw"),
        ("takes=maybe", "true, false"),
        ("spend=much", "not an amount"),
    ],
)
def test_option_that_is_wrong_is_refused_with_what_would_be_right(item, hint):
    with pytest.raises(UsageError, match=hint):
        Options.parse([item])


def test_chances_that_add_up_to_more_than_one_are_refused():
    with pytest.raises(UsageError, match="add up to more than 1"):
        Options.parse(["p_500=0.6", "p_drop=0.6"])


def test_header_goes_before_the_prompt_when_both_name_a_fault():
    assert named_faults("502", "[[sim:500]]") == (Fault.BAD_GATEWAY,)


async def test_options_change_at_run_time_and_wrong_ones_change_nothing(bench):
    gateway = await bench(VIP, "pictures=plain")
    url = gateway.running.root + "/_sim/options"
    async with gateway.session.post(url, json={"p_500": 1, "rate": None, "takes": False}) as reply:
        assert reply.status == 200
    assert (await gateway.ask(size="1280x1280")).status == 500
    for body in (b"{", b"[]", b'{"speed": 0}', b'{"p_500": 0, "nonsense": 1}'):
        async with gateway.session.post(url, data=body) as reply:
            assert reply.status == 400
    assert (await gateway.ask(size="1280x1280")).status == 500


async def test_latency_follows_contract_tier_and_speed(bench):
    class Noted(SystemClock):
        def __init__(self) -> None:
            self.slept: list[float] = []

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)

    clock = Noted()
    gateway = await bench(VIP, "latency=none", "speed=10", "pictures=plain", clock=clock, others=(ALL,))
    for number in range(40):
        await gateway.ask(f"mug {number}", size="2048x2048")
    vip = sorted(clock.slept)
    assert 8 < vip[20] < 16, "90 to 150 s, ten times faster"
    assert 4 < vip[0] < vip[-1] < 45
    clock.slept.clear()
    gateway.route = ALL
    for number in range(20):
        await gateway.ask(f"mug {number}")
    assert 3 < sorted(clock.slept)[10] < 6


# --- the server ---


@pytest.mark.parametrize(
    ("route", "names"),
    [
        (VIP, {"request-id", "x-shellapi-request-id"}),
        (OFFICIAL, {"x-request-id"}),
        (RELAY, {"x-request-id", "x-shellapi-request-id"}),
    ],
)
async def test_every_answer_carries_the_vendors_request_id(bench, route, names):
    gateway = await bench(route, "pictures=plain")
    for prompt in ("a mug", "a mug [[sim:500]]", ""):
        answer = await gateway.ask(prompt)
        found = {name.lower(): value for name, value in answer.headers.items() if "request-id" in name.lower()}
        assert set(found) == names
        assert set(found.values()) == {gateway.last.request_id}
    assert len({line.request_id for line in gateway.lines}) == 3


async def test_bill_line_names_request_prompt_and_key_by_hash(bench):
    gateway = await bench(VIP, "pictures=plain")
    body = b'{"model":"gpt-image-2-vip","prompt":"a mug","size":"1280x1280"}'
    await gateway.send(body)
    line = gateway.last
    assert line.request == sha256(b"/v1/images/generations" + body).hexdigest()
    assert line.prompt == sha256(b"a mug").hexdigest()
    assert line.key == sha256(b"sk-test").hexdigest()[:8]
    assert "sk-test" not in gateway.running.state.bill.path.read_text()


async def test_several_routes_have_a_path_each_and_one_account_per_provider(bench):
    gateway = await bench(VIP, "spend=0.03", "pictures=plain", others=(LAO_VIP, ALL))
    urls = dict(gateway.running.urls)
    assert urls[VIP] == f"{gateway.running.root}/apiyi/gpt-image-2-vip/v1"
    statuses = []
    for route in (VIP, ALL, LAO_VIP):
        gateway.route = route
        statuses.append((await gateway.ask(size=... if route == ALL else "1280x1280")).status)
    assert statuses == [200, 403, 200]
    assert {line.route for line in gateway.lines} == {VIP, ALL, LAO_VIP}


async def test_single_route_stands_at_v1(bench):
    gateway = await bench(VIP)
    assert gateway.running.urls == [(VIP, f"{gateway.running.root}/v1")]
    with pytest.raises(UsageError, match="does not serve"):
        gateway.running.base_url(ALL)


async def test_stats_and_bill_can_be_asked_for(bench):
    gateway = await bench(VIP, "pictures=plain")
    await gateway.ask(size="1280x1280")
    await gateway.ask(size="1x1")
    stats = (await gateway.get("/_sim/stats")).json
    assert (stats["calls"], stats["paid"], stats["charged"]) == (2, 1, 30_000)
    assert (stats["in_flight"], stats["in_flight_most"]) == (0, 1)
    bill = (await gateway.get("/_sim/bill")).json
    assert [line["kind"] for line in bill["lines"]] == ["delivered", "rejected"]
    assert bill["totals"]["statuses"] == {"200": 1, "400": 1}


async def test_starting_refuses_what_cannot_be_served(bench, tmp_path):
    gateway = await bench(VIP)
    with pytest.raises(UsageError, match="choose another port"):
        await start([CATALOG.find(VIP)], Options(), tmp_path / "other.jsonl", port=gateway.running.port)
    for routes in ([], [VIP, VIP]):
        with pytest.raises(UsageError, match="name each once"):
            await start([CATALOG.find(route) for route in routes], Options(), tmp_path / "other.jsonl")


async def test_remembered_port_is_given_up_when_another_has_it(bench):
    first = await bench(VIP)
    second = await bench(VIP)
    assert first.running.port != second.running.port


async def test_serving_forever_tells_its_urls_and_ends_when_told(tmp_path):
    told, ready, end = [], asyncio.Event(), asyncio.Event()

    def on_ready(urls):
        told.extend(urls)
        ready.set()

    contracts = [CATALOG.find(route) for route in (VIP, ALL)]
    serving = asyncio.ensure_future(serve_forever(contracts, Options(), tmp_path / "bill.jsonl", on_ready, end.wait()))
    await ready.wait()
    assert [route for route, _ in told] == [VIP, ALL]
    host, port = urlsplit(told[0][1]).hostname, urlsplit(told[0][1]).port
    end.set()
    await asyncio.wait_for(serving, 2)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


async def test_png_of_every_answer_has_its_own_header_size(bench):
    gateway = await bench(VIP, "b64=raw")
    file = (await gateway.ask(size="3840x1632")).file()
    assert struct.unpack(">II", file[16:24]) == (3840, 1632)
