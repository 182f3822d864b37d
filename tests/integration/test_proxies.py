"""Calls and downloads behind a proxy, over real sockets: what goes through, what a refusal means, what is never told."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp.connector
import pytest
from aiohttp import web
from yarl import URL

from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import GatewayError, LogUnavailable
from batchgen.domain.images_from import ImagesFrom
from batchgen.domain.wire import Answer, Call, CallEnd, Fetch, Obstacle
from batchgen.engine.local_fetch import InputFetcher
from batchgen.gateway import connector
from batchgen.gateway.batch.api import BatchApi
from batchgen.gateway.call_log import LogQuery, LogReader
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from batchgen.gateway.proxy import Proxies, Proxy, ProxyUnusable
from tests.support.proxies import (
    PASSWORD,
    USER,
    Certificate,
    OwnProxy,
    own_proxy,
    served_by_tls,
)
from tests.support.sockets import MemorySink, connections, served

KEY = "sk-canary-0123456789"
IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 300
REPLY = {"created": 1, "data": [{"b64_json": base64.b64encode(IMAGE).decode()}]}
LOGIN = f"{USER}:{PASSWORD}"
PAGE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """The certificate trusted here, as a process does that was begun with its file in SSL_CERT_FILE."""
    context = ssl.create_default_context(cafile=str(certificate.file))
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", context)
    return certificate.server


class Gateway:
    """Answers calls and gives images; keeps what it was told."""

    def __init__(self) -> None:
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.heads.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(await request.read())
        if request.method == "POST":
            return web.json_response(REPLY)
        return web.Response(body=IMAGE, content_type="image/png")


def out(proxy: OwnProxy, login: str = "", scheme: str = "http") -> Proxies:
    at = f"{login}@" if login else ""
    return Proxies(Proxy.read(f"{scheme}://{at}127.0.0.1:{proxy.port}", "`proxy:`"))


def quoted(login: str) -> str:
    user, _, password = login.partition(":")
    return str(URL.build(scheme="http", host="h", user=user, password=password)).split("//")[1].split("@")[0]


async def a_call(proxies: Proxies, base: str = "https://gateway.example/v1", client: Client | None = None) -> Answer:
    call = Call(
        attempt=7,
        operation="generations",
        url=f"{base}/images/generations",
        body=(b'{"prompt":"mug"}',),
        content_type="application/json",
        key_env="KEY",
        timeout=5.0,
        loopback=base.startswith("http://"),
    )
    async with Client(clock=SystemClock(), key=lambda _: KEY, proxies=proxies) as made:
        return await (client or made).send(call, MemorySink)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("login", ["", LOGIN], ids=["open", "with a password"])
async def test_call_and_download_go_through_a_tunnel(trusted: ssl.SSLContext, scheme: str, login: str) -> None:
    gateway, sink, tls = Gateway(), MemorySink(0), trusted if scheme == "https" else None
    async with (
        served_by_tls(gateway.answer, trusted) as port,
        own_proxy(login=login, tls=tls, gateway=port, images=port) as proxy,
    ):
        proxies = out(proxy, quoted(login) if login else "", scheme)
        answer = await a_call(proxies)
        async with Downloader(proxies=proxies) as downloader:
            download = await downloader.fetch("https://images.example/a.png?sig=a%2Fb", sink)
    assert (answer.ending, answer.status, len(answer.pictures)) == (CallEnd.COMPLETE, 200, 1), answer
    assert download.fetch is Fetch.DONE, download
    assert bytes(sink.data) == IMAGE
    assert [each.split()[:2] for each in proxy.asked] == [
        ["CONNECT", "gateway.example:443"],
        ["CONNECT", "images.example:443"],
    ]
    assert not any(b"Authorization: Bearer" in head for head in proxy.heads), "the key is for the gateway"
    assert not any("proxy-authorization" in head for head in gateway.heads), "the password is for the proxy"


async def test_plain_gateway_of_this_machine_is_called_through_the_proxy_of_its_route(trusted: ssl.SSLContext) -> None:
    gateway, sink = Gateway(), MemorySink(0)
    async with served(gateway.answer) as base, own_proxy(login=LOGIN) as proxy:
        proxies = out(proxy, quoted(LOGIN))
        answer = await a_call(proxies, base)
        async with Downloader(proxies=proxies) as downloader:
            download = await downloader.fetch(base.replace("/v1", "/a.png"), sink, loopback_base=base)
    assert (answer.status, download.fetch) == (200, Fetch.DONE)
    assert [each.split()[0] for each in proxy.asked] == ["POST", "GET"]
    assert gateway.bodies[0] == b'{"prompt":"mug"}'


# --- what a proxy that does not lead on means ---


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"403 Filtered", b"502 X", b"302 Found"])
async def test_refused_way_has_sent_nothing(status: bytes, trusted: ssl.SSLContext) -> None:
    gateway = Gateway()
    refusal = b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nno" % status
    async with served_by_tls(gateway.answer, trusted) as port, own_proxy(refusal=refusal, gateway=port) as proxy:
        answer = await a_call(out(proxy))
    assert (answer.ending, answer.status, answer.sent_at) == (CallEnd.NOT_SENT, 0, 0.0)
    assert answer.obstacle is Obstacle.PROXY
    assert f"it refuses the way: HTTP {status.decode()}" in answer.detail
    assert gateway.heads == []


async def test_wrong_password_has_sent_nothing_and_is_not_told() -> None:
    async with own_proxy(login=f"{USER}:another") as proxy:
        answer = await a_call(out(proxy, quoted(LOGIN)))
    assert (answer.ending, answer.obstacle) == (CallEnd.NOT_SENT, Obstacle.PROXY)
    assert "HTTP 407" in answer.detail
    assert USER not in str(answer)


async def hang_up(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")


async def no_http(reader: Any, writer: Any) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"\x05\x00 I speak SOCKS\r\n\r\n")


async def speaks_first(reader: Any, writer: Any) -> None:
    writer.write(b"220 mail ready\r\n")
    await reader.read()


@pytest.mark.parametrize("serve", [hang_up, no_http, speaks_first])
async def test_proxy_that_is_none_has_sent_nothing(serve: Callable[..., Any]) -> None:
    async with connections(serve) as port:
        answer = await a_call(Proxies(Proxy.read(f"127.0.0.1:{port}", "`proxy:`")))
    assert (answer.ending, answer.obstacle) == (CallEnd.NOT_SENT, Obstacle.PROXY), answer
    assert "the proxy does not let the call through" in answer.detail


@pytest.mark.parametrize(
    ("proxy", "said"),
    [("http://127.0.0.1:1", "no connection: Connection refused"), ("http://nowhere.invalid:3128", "name")],
)
async def test_proxy_that_cannot_be_reached_has_sent_nothing(proxy: str, said: str) -> None:
    answer = await a_call(Proxies(Proxy.read(proxy, "`proxy:`")))
    assert (answer.ending, answer.obstacle) == (CallEnd.NOT_SENT, Obstacle.PROXY)
    assert said in answer.detail


async def test_page_of_a_plain_proxy_after_the_body_left_is_an_answer_of_the_way() -> None:
    gateway = Gateway()
    async with served(gateway.answer) as base, own_proxy(refusal=PAGE) as proxy:
        answer = await a_call(out(proxy), base)
    assert (answer.ending, answer.status, answer.obstacle) == (CallEnd.COMPLETE, 502, None)
    assert answer.sent_at > 0
    assert gateway.heads == []


async def test_untrusted_certificate_and_unknown_name_are_obstacles_until_a_connection_stood(
    certificate: Certificate, trusted: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway()
    async with served_by_tls(gateway.answer, trusted) as port, own_proxy(gateway=port) as proxy:
        async with Client(clock=SystemClock(), key=lambda _: KEY, proxies=out(proxy)) as client:
            assert (await a_call(out(proxy), client=client)).status == 200
            proxy.refusal = PAGE
            later = await a_call(out(proxy), client=client)
            assert (later.ending, later.obstacle) == (CallEnd.NOT_SENT, None), "it passes"
            proxy.refusal = b""
        monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())
        answer = await a_call(out(proxy))
        assert (answer.ending, answer.obstacle) == (CallEnd.NOT_SENT, Obstacle.CERTIFICATE)
        direct = await a_call(Proxies(), f"https://127.0.0.1:{port}/v1")
        assert (direct.ending, direct.obstacle) == (CallEnd.NOT_SENT, Obstacle.CERTIFICATE)
    unknown = await a_call(Proxies(), "https://gateway.invalid/v1")
    assert (unknown.ending, unknown.obstacle) == (CallEnd.NOT_SENT, Obstacle.NAME)
    assert len(gateway.heads) == 1


async def test_answer_of_a_plain_proxy_that_comes_before_the_request_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unasked(reader: Any, writer: Any) -> None:
        await asyncio.sleep(0.01)  # the connection stands by then
        writer.write(PAGE)
        got.append(await reader.read(100))

    got: list[bytes] = []
    monkeypatch.setattr(connector, "_LISTEN", 0.2)
    base = "http://127.0.0.1:1/v1"
    async with connections(unasked) as port:
        proxies = Proxies(Proxy.read(f"127.0.0.1:{port}", "`proxy:`"))
        answer = await a_call(proxies, base)
        async with Downloader(proxies=proxies) as downloader:
            download = await downloader.fetch("http://127.0.0.1:1/a.png", MemorySink(0), loopback_base=base)
    assert (answer.ending, answer.status) == (CallEnd.NOT_SENT, 0)
    assert "spoke before it was asked" in answer.detail
    assert "spoke before it was asked" in download.detail
    assert not any(got)


async def test_batch_says_what_to_do_before_a_connection_stood_and_tries_on_afterwards(
    trusted: ssl.SSLContext,
) -> None:
    async def found(request: web.Request) -> web.Response:
        return web.json_response({"id": "batch_1"})

    async with served_by_tls(found, trusted) as port, own_proxy(refusal=PAGE, gateway=port) as proxy:
        base = "https://gateway.example/v1"
        async with BatchApi(
            base_url=base, key=lambda: KEY, clock=SystemClock(), loopback=False, proxies=out(proxy)
        ) as api:
            with pytest.raises(GatewayError, match="put `proxy:` under `route` right") as failed:
                await api.get("batch_1")
            assert not failed.value.passing
            proxy.refusal = b""
            assert (await api.get("batch_1")).id == "batch_1"
            proxy.refusal = PAGE
            with pytest.raises(GatewayError, match="refuses the way") as failed:
                await api.get("batch_1")
            assert failed.value.passing


async def test_reference_by_address_is_fetched_through_the_proxy(trusted: ssl.SSLContext) -> None:
    async with served_by_tls(Gateway().answer, trusted) as port, own_proxy(images=port) as proxy:
        fetch = InputFetcher(ImagesFrom(), SystemClock(), lambda: out(proxy))
        assert await fetch("https://images.example/cup.png") == IMAGE
    assert proxy.asked[0].startswith("CONNECT images.example:443")


# --- what is never told ---


async def test_password_that_a_proxy_says_back_is_nowhere(trusted: ssl.SSLContext) -> None:
    login = base64.b64encode(LOGIN.encode()).decode()
    for echo in (PASSWORD, login, quoted(LOGIN), LOGIN):
        refusal = b"HTTP/1.1 403 no to %b\r\nContent-Length: 0\r\n\r\n" % echo.encode()
        page = json.dumps({"error": {"message": f"no to {echo}"}}).encode()
        answered = b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n%b" % (len(page), page)
        async with served(Gateway().answer) as base, own_proxy(refusal=refusal) as proxy:
            proxies = out(proxy, quoted(LOGIN))
            said: list[object] = [await a_call(proxies)]
            proxy.refusal = answered
            said.append(await a_call(proxies, base))
            proxy.refusal = refusal
            async with Downloader(proxies=proxies) as downloader:
                said.append(await downloader.fetch("https://images.example/a.png", MemorySink(0)))
            async with BatchApi(
                base_url="https://gateway.example",
                key=lambda: KEY,
                clock=SystemClock(),
                loopback=False,
                proxies=proxies,
            ) as api:
                with pytest.raises(GatewayError) as failed:
                    await api.get("batch_1")
                said.append(failed.value)
        assert "[key]" in str(said[0])
        for each in said:
            assert not any(form in f"{each!r} {each}" for form in (PASSWORD, login, quoted(PASSWORD))), each


async def test_log_is_read_through_the_proxy_and_its_failure_tells_no_password() -> None:
    class Patient(SystemClock):
        async def sleep(self, seconds: float) -> None:
            """Take no time."""

    refusal = b"HTTP/1.1 403 no to %b\r\nContent-Length: 0\r\n\r\n" % PASSWORD.encode()
    async with own_proxy(refusal=refusal) as proxy, LogReader(Patient(), out(proxy, quoted(LOGIN))) as reader:
        with pytest.raises(LogUnavailable, match=re.escape("no to [key]")):
            await reader.rows(LogQuery("https://gateway.example/api/log/self", "token", ("m",), 0, 1))
    assert proxy.asked[0].startswith("CONNECT gateway.example:443")


def test_what_is_no_proxy_is_said_without_its_words() -> None:
    for text in (
        f"socks5://{USER}:hidden-word@h:1",
        "ftp://u:hidden-word@h",
        "http://u:hidden-word@[bad",
        "http://",
        "://",
    ):
        with pytest.raises(ProxyUnusable, match=r"^HTTPS_PROXY is ") as failed:
            Proxy.read(text, "HTTPS_PROXY")
        assert "hidden" not in str(failed.value)
    made = Proxy.read("http://user:hidden-word@proxy.example:3128/", "HTTPS_PROXY")
    assert "hidden" not in f"{made} {made!r} {Proxies(made)!r}"
    assert str(made) == "http://proxy.example:3128 (HTTPS_PROXY)"


# --- which one ---


def chosen(monkeypatch: pytest.MonkeyPatch, url: str, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = Proxies.of_environment().to(URL(url))
    for name in variables:
        monkeypatch.delenv(name)
    return "" if found is None else found.url.host or ""


def test_usual_variables_are_heeded_by_scheme_in_capitals_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    to = "https://gateway.example/v1"
    assert chosen(monkeypatch, to) == ""
    assert chosen(monkeypatch, to, HTTPS_PROXY="http://a:1") == "a"
    assert chosen(monkeypatch, to, https_proxy="b:1") == "b"
    assert chosen(monkeypatch, to, HTTPS_PROXY="http://a:1", https_proxy="http://b:1") == "b"
    assert chosen(monkeypatch, to, HTTP_PROXY="http://c:1") == ""
    assert chosen(monkeypatch, to, ALL_PROXY="http://d:1") == "d"
    assert chosen(monkeypatch, to, all_proxy="https://d:1", HTTPS_PROXY="http://a:1") == "a"
    assert chosen(monkeypatch, "http://img.example/a.png", HTTP_PROXY="http://c:1", HTTPS_PROXY="http://a:1") == "c"


@pytest.mark.parametrize(
    ("no", "through"),
    [("gateway.example", False), ("example", False), (".example", False), ("other.example", True)],
)
def test_host_without_a_proxy_is_gone_to_directly(no: str, through: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        found = chosen(monkeypatch, "https://gateway.example/v1", HTTPS_PROXY="http://a:1", **{name: f"x.y, {no}"})
        assert bool(found) is through
    assert chosen(monkeypatch, "https://gateway.example/v1", HTTPS_PROXY="http://a:1", NO_PROXY="*") == ""
    ported = chosen(
        monkeypatch, "https://gateway.example:8443/", HTTPS_PROXY="http://a:1", NO_PROXY="gateway.example:8443"
    )
    assert ported == ""


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost", "[::1]:8080", "127.8.8.8"])
def test_this_machine_is_never_gone_to_through_the_environment(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https"):
        url = f"{scheme}://{host}/v1"
        assert chosen(monkeypatch, url, HTTPS_PROXY="http://a:1", HTTP_PROXY="http://a:1", ALL_PROXY="http://a:1") == ""
        own = Proxies(Proxy.read("http://own:1", "`proxy:`"))
        assert own.to(URL(url)) is not None, "as the route says it"


# --- what addresses can still be kept from ---

KEPT_OUT = (
    *("https://10.0.0.1/a", "https://127.0.0.1/a", "https://[::1]/a", "https://169.254.169.254/a", "https://127.1/a"),
    *(
        "https://2130706433/a",
        "https://0x7f000001/a",
        "https://0177.0.0.1/a",
        "https://localhost/a",
        "https://router/a",
    ),
    *("https://a.localhost/a", "https://nas.local/a", "https://metadata.google.internal/a", "https://LOCALHOST./a"),
    *(
        "http://images.example/a",
        "https://images.example:8443/a",
        "https://[::ffff:10.0.0.1]/a",
        "https://１２７.0.0.1/a",
    ),
)


@pytest.mark.parametrize("url", KEPT_OUT)
async def test_proxy_is_not_asked_for_what_an_address_says_is_no_public_host(url: str) -> None:
    async with own_proxy() as proxy, Downloader(proxies=out(proxy)) as downloader:
        download = await downloader.fetch(url, MemorySink(0))
    assert download.fetch is Fetch.REFUSED, download
    assert proxy.heads == []


async def test_redirect_behind_a_proxy_is_checked_again(trusted: ssl.SSLContext) -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://169.254.169.254/latest"})

    async with (
        served_by_tls(elsewhere, trusted) as port,
        own_proxy(images=port) as proxy,
        Downloader(proxies=out(proxy)) as downloader,
    ):
        download = await downloader.fetch("https://images.example/a", MemorySink(0))
    assert download.fetch is Fetch.REFUSED
    assert len(proxy.heads) == 1
