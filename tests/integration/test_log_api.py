"""Reading a gateway's log page by page, over a real socket: what it says, and all the ways in which it does not."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import LogUnavailable, UsageError
from batchgen.domain.log_row import LogRow
from batchgen.gateway import call_log
from batchgen.gateway.call_log import LogQuery, LogReader, log_address
from tests.support.rig import simulator

TOKEN = "account-token-1b7c"
Handler = Callable[[web.Request], web.StreamResponse]


class Patient:
    """A clock that only notes how long somebody wanted to wait."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return 1_800_000_000.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@dataclass
class Server:
    """Answers that are given in turn, the last one for good; and what was asked."""

    answers: list[Handler]
    asked: list[web.Request] = field(default_factory=list)
    address: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return self.answers[min(len(self.asked), len(self.answers)) - 1](request)


@asynccontextmanager
async def serving(*answers: Handler) -> AsyncIterator[Server]:
    server = Server(list(answers))
    app = web.Application()
    app.router.add_get("/api/log/self", server.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.address = f"http://127.0.0.1:{runner.addresses[0][1]}/api/log/self"
        yield server
    finally:
        await runner.cleanup()


def item(number: int, **more: object) -> dict[str, object]:
    return {"id": number, "type": 2, "created_at": 1_800_000_000, "quota": 15_000, "model_name": "m", **more}


def page(items: list[dict[str, object]] | None, total: int | None = None, **more: object) -> Handler:
    data: dict[str, object] = {"items": items} | ({} if total is None else {"total": total})
    return lambda _request: web.json_response({"success": True, "message": "", "data": data, **more})


def status(code: int, **headers: str) -> Handler:
    return lambda _request: web.Response(status=code, text="busy", headers=headers)


async def read(server: Server, clock: Patient | None = None, models: tuple[str, ...] = ("m",)) -> list[LogRow]:
    async with LogReader(clock or Patient()) as reader:
        return await reader.rows(LogQuery(server.address, TOKEN, models, 1_799_999_000.5, 1_800_000_100.5))


async def test_every_page_is_read_and_a_row_that_moved_on_counts_once() -> None:
    pages = [page([item(n) for n in range(20, 10, -1)], 19), page([item(n) for n in range(11, 2, -1)], 19)]
    async with serving(*pages) as server:
        rows = await read(server)
    assert sorted(int(row.name) for row in rows) == list(range(3, 21))
    first, second = server.asked
    assert first.headers["Authorization"] == TOKEN
    assert dict(first.query) == {
        "p": "1",
        "page_size": "10",
        "type": "2",
        "start_timestamp": "1799999000",
        "end_timestamp": "1800000101",
        "model_name": "m",
    }
    assert second.query["p"] == "2"


async def test_row_says_time_amount_id_and_key() -> None:
    full = item(7, request_id="req-1", token_name="shop", quota=2966)
    async with serving(page([full, item(8, type=1)], 2)) as server:
        assert await read(server) == [LogRow("7", 1_800_000_000.0, "m", 5932, "req-1", "shop")]


async def test_rows_without_an_id_are_all_kept() -> None:
    async with serving(page([item(0), item(0)], 2)) as server:
        assert len(await read(server)) == 2


@pytest.mark.parametrize("data", [[], None])
async def test_log_without_a_total_is_read_until_a_page_is_empty(data: list[dict[str, object]] | None) -> None:
    async with serving(page([item(1)]), page([item(2)]), page(data)) as server:
        assert len(await read(server)) == 2


@pytest.mark.parametrize("second", [[], [item(1)]], ids=["an empty page", "a short page"])
async def test_log_that_gives_fewer_rows_than_it_has_is_no_log(second: list[dict[str, object]]) -> None:
    first = page([item(number) for number in range(40, 30, -1)], 25)
    async with serving(first, page(second, 25), page([item(number) for number in range(9, 4, -1)], 25)) as server:
        with pytest.raises(LogUnavailable, match=r"says that it has 25 rows of m and gives 1[06]; try again"):
            await read(server)


async def test_every_model_is_asked_for() -> None:
    async with serving(page([], 0)) as server:
        await read(server, models=("a", "b"))
    assert [request.query["model_name"] for request in server.asked] == ["a", "b"]


async def test_rows_of_models_whose_ids_are_numbers_of_one_query_are_all_kept() -> None:
    a = [item(number, model_name="a", quota=1000 * number) for number in (1, 2)]
    b = [item(number, model_name="b", quota=3000 * number) for number in (1, 2)]
    async with serving(page(a, 2), page(b, 2)) as server:
        rows = await read(server, models=("a", "b"))
    assert sorted((row.model, row.amount) for row in rows) == [("a", 2000), ("a", 4000), ("b", 6000), ("b", 12000)]


def numbered(rows: list[dict[str, object]], number: int) -> Handler:
    """A page of a log that counts its rows anew for each answer, the newest first."""
    first = (number - 1) * 10
    return page([{**row, "id": at} for at, row in enumerate(rows[first : first + 10], first + 1)], len(rows))


@pytest.mark.parametrize("ids", [True, False])
async def test_row_that_moved_on_counts_once_also_where_its_number_is_its_place(ids: bool) -> None:
    alike = [item(0, request_id=f"r{n}") if ids else item(0) for n in range(19)]
    newer = [item(0, request_id="new") if ids else item(0), *alike]
    async with serving(numbered(alike, 1), numbered(newer, 2)) as server:
        rows = await read(server)
    assert len(rows) == 19
    assert len({row.request_id for row in rows}) == (19 if ids else 1)


async def test_two_charges_for_one_request_are_two() -> None:
    twice = [item(9, request_id="r"), item(8, request_id="r", created_at=1_800_000_001), item(9, request_id="r")]
    async with serving(page(twice, 3)) as server:
        assert len(await read(server)) == 2


async def test_busy_gateway_is_asked_again_after_the_time_that_it_names() -> None:
    clock = Patient()
    async with serving(status(500), status(429, **{"Retry-After": "7"}), status(503), page([item(1)], 1)) as server:
        assert len(await read(server, clock)) == 1
    assert clock.waits == [1.0, 7.0, 4.0]


async def test_dropped_connection_is_asked_again() -> None:
    def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(drop, page([item(1)], 1)) as server:
        assert len(await read(server)) == 1


async def test_compressed_page_is_read() -> None:
    body = gzip.compress(json.dumps({"success": True, "data": {"items": [item(1)], "total": 1}}).encode())

    def zipped(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    async with serving(zipped) as server:
        assert len(await read(server)) == 1


def plain(text: str) -> Handler:
    return lambda _request: web.Response(text=text)


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (lambda _: web.json_response({"success": False, "message": f"无权 {TOKEN}"}), UsageError, "无权 [key]"),
        (lambda _: web.json_response({"success": False}), UsageError, "no reason given"),
        (status(401), UsageError, "access token, not a key"),
        (status(404), LogUnavailable, "HTTP 404"),
        (status(502), LogUnavailable, "HTTP 502"),
        (status(302, Location="https://elsewhere.example/"), LogUnavailable, "HTTP 302"),
        (plain("<html>"), LogUnavailable, "does not answer in JSON"),
        (plain("[]"), LogUnavailable, "form that is not known"),
        (plain("[" * 100_000), LogUnavailable, "does not answer in JSON"),
        (page([{"id": 1, "model_name": "m", "created_at": 1}], 1), LogUnavailable, "it has id, model_name, created_at"),
        (page([item(1, quota=-5)], 1), LogUnavailable, "lacks created_at, quota"),
        (page([item(1, quota="15000")], 1), LogUnavailable, "lacks created_at, quota"),
        (plain('{"success": true, "data": {"items": "x"}}'), LogUnavailable, "no rows"),
        (plain('{"success": true, "data": {"items": [1]}}'), LogUnavailable, "no object"),
        (plain('{"success": true, "data": "' + "x" * (5 << 20) + '"}'), LogUnavailable, "too large"),
    ],
)
async def test_what_is_no_log_is_one_sentence_without_the_token(
    answer: Handler, error: type[Exception], sentence: str
) -> None:
    async with serving(answer) as server:
        with pytest.raises(error) as failed:
            await read(server)
    assert sentence in str(failed.value)
    assert TOKEN not in str(failed.value)


async def test_log_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_log, "_STALE", 3)
    async with serving(page([item(1)], 1_000_000)) as server:
        with pytest.raises(LogUnavailable, match="the same rows of m on every page"):
            await read(server)
    assert len(server.asked) <= 8


class LongLog:
    """A log whose rows lie at these seconds after its beginning; it looks at the times asked for, or does not."""

    def __init__(self, seconds: list[int], rows_a_page: int, *, by_time: bool = True) -> None:
        self.times = sorted((FIRST + second for second in seconds), reverse=True)
        self.deepest = 0
        self._by_time = by_time
        self._rows_a_page = rows_a_page

    def __call__(self, request: web.Request) -> web.StreamResponse:
        first, last, number = (int(request.query[name]) for name in ("start_timestamp", "end_timestamp", "p"))
        self.deepest = max(self.deepest, number)
        numbered = list(enumerate(self.times, 1))
        found = [pair for pair in numbered if first <= pair[1] <= last] if self._by_time else numbered
        here = found[(number - 1) * self._rows_a_page :][: self._rows_a_page]
        rows = [item(place, created_at=time, request_id=f"r{place}") for place, time in here]
        return page(rows, len(found))(request)


FIRST = 1_799_999_000
QUIET, BUSY = [second % 1000 for second in range(4_000)], [second % 7 + 30 for second in range(30_000)]


@pytest.mark.parametrize("by_time", [True, False])
async def test_long_log_is_read_whole_by_windows_of_time(by_time: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nearly all of it is in a few seconds, and where a gateway does not look at times."""
    rows_a_page, told = 500, 0
    monkeypatch.setattr(call_log, "_PAGE", rows_a_page)

    def step() -> None:
        nonlocal told
        told += 1

    log = LongLog(QUIET + BUSY, rows_a_page, by_time=by_time)
    async with serving(log) as server, LogReader(Patient()) as reader:
        found = await reader.rows(LogQuery(server.address, TOKEN, ("m",), FIRST, FIRST + 1000.0), step)
    assert len(found) == len({row.request_id for row in found}) == told == 34_000
    assert log.deepest == (9 if by_time else 68)  # a second is not halved
    assert len(server.asked) < 140


async def test_token_is_not_sent_in_the_clear() -> None:
    async with LogReader(Patient()) as reader:
        with pytest.raises(UsageError, match="is not https"):
            await reader.rows(LogQuery("http://api.example/api/log/self", TOKEN, ("m",), 0, 1))


async def test_real_gateways_are_read_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_log, "is_loopback", lambda _host: False)
    monkeypatch.setattr(call_log, "_PERIOD", 0.05)
    begun = time.monotonic()
    pages = [page([item(number) for number in range(first, first + 10)], 15) for first in (1, 11)]
    async with serving(*pages) as server:
        server.address = server.address.replace("http://", "https://")
        monkeypatch.setattr(LogReader, "_get", _unsecured)
        assert len(await read(server)) == 20
    assert time.monotonic() - begun > 0.05


async def _unsecured(reader: LogReader, url: str, token: str) -> bytes:
    async with await reader._ask("GET", url.replace("https://", "http://"), {"Authorization": token}) as response:
        return await response.read()


@pytest.mark.parametrize(
    ("base_url", "address"),
    [
        ("https://api.apiyi.com/v1", "https://api.apiyi.com/api/log/self"),
        ("http://127.0.0.1:9/apiyi/gpt-image-2/v1", "http://127.0.0.1:9/apiyi/gpt-image-2/api/log/self"),
        ("https://one.example", "https://one.example/api/log/self"),
    ],
)
def test_log_is_where_the_v1_of_the_base_url_begins(base_url: str, address: str) -> None:
    assert log_address(base_url, "/api/log/self") == address


async def test_simulated_log_has_every_charge_of_the_bill(tmp_path: Path) -> None:
    async with simulator(tmp_path) as contract:
        body: dict[str, Any] = {"model": contract.model, "size": "1280x1280"}
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer sk-1"}) as session:
            for number in range(23):
                asked = body | {"prompt": "a forbidden thing" if number % 4 == 0 else f"mug {number}"}
                async with session.post(f"{contract.base_url}/images/generations", json=asked) as response:
                    assert response.status in {200, 400, 500}
        address = log_address(contract.base_url, contract.log.path)
        async with LogReader(SystemClock()) as reader:
            rows = await reader.rows(LogQuery(address, TOKEN, (contract.model,), 0, 4e9))
    bill = [json.loads(line) for line in (tmp_path / "bill.jsonl").read_text().splitlines()]
    assert sum(row.amount for row in rows) == sum(line["charged"] for line in bill) > 0
    assert {row.request_id for row in rows} == {line["request_id"] for line in bill if line["charged"]}
