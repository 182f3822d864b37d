"""Downloads go to public addresses only: every odd target, by every way that an answer can lead there, and no socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from batchgen.domain.clock import SystemClock
from batchgen.domain.wire import Call, CallEnd, Fetch
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from tests.chaos.promises import promise
from tests.support.sockets import MemorySink, raw_server

PUBLIC = "1.1.1.1"
# One or more of each block that is not public, and of every way to write an IPv4 address into an IPv6 one.
ADDRESSES = (
    *("127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1"),
    *("172.31.255.255", "192.168.0.1", "192.168.255.255", "169.254.169.254", "169.254.0.1", "100.64.0.1"),
    *("100.127.255.255", "100.100.100.200", "168.63.129.16", "192.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1"),
    *("198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1"),
    *("64:ff9b::a00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::", "2002:a9fe:a9fe::"),
    *("fe80::1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1", "2001::1", "2001:db8::1", "3fff::1"),
)
ODD_HOSTS = (
    *("2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "0x0", "00.0"),
    *(
        "127.0.0.1.",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "foo.localhost",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "１２７.0.0.1",
    ),
    *("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]"),
    *("[fe80::1%25eth0]", "[::ffff:0:127.0.0.1]", "metadata.google.internal", "127.0.0.1%00.example.com"),
)
ODD_URLS = (
    *("http://1.1.1.1/", "ftp://1.1.1.1/a", "file:///etc/passwd", "gopher://127.0.0.1:443/_x", "data:image/png,x"),
    *("javascript:1", "//127.0.0.1/", "https:127.0.0.1", "https:///127.0.0.1", "https://", "", "/img", "unix:/run/x"),
    *(
        "https://1.1.1.1:22/",
        "https://1.1.1.1:6379/",
        "https://1.1.1.1:8443/",
        "https://1.1.1.1:0/",
        "https://1.1.1.1:-1/",
    ),
    *("https://1.1.1.1@127.0.0.1/", "https://1.1.1.1:443@127.0.0.1/", "https://user:pw@1.1.1.1/", "https://u@1.1.1.1/"),
    *(
        "https://127.0.0.1#@1.1.1.1/",
        "https://127.0.0.1?@1.1.1.1/",
        "https://127.0.0.1\\@1.1.1.1/",
        "https://1.1.1.1\r\n",
    ),
    *("https://127.0.0.1\t/", "wss://127.0.0.1/", "HTTPS://127.0.0.1/", "https://[::1]:443/", "https://127.0.0.1:80/"),
)
TARGETS = (
    *(f"https://[{each}]/a.png" if ":" in each else f"https://{each}/a.png" for each in ADDRESSES),
    *(f"https://{each}/a.png" for each in ODD_HOSTS),
    *ODD_URLS,
)


@dataclass
class Network:
    """Where sockets were connected to, and what names resolve to: the answers in turn, the last of them for good."""

    connected: list[str] = field(default_factory=list)
    names: dict[str, list[list[str]]] = field(default_factory=dict)
    port: int = 0

    def addresses(self, host: str) -> list[str]:
        host = host.rstrip(".").lower()
        if host in self.names:
            answers = self.names[host]
            return answers.pop(0) if len(answers) > 1 else answers[0]
        if host == "localhost" or host.endswith(".localhost"):
            return ["127.0.0.1", "::1"]
        if host == "metadata.google.internal":
            return ["169.254.169.254"]
        with contextlib.suppress(OSError):
            return [socket.inet_ntoa(socket.inet_aton(host))]
        raise socket.gaierror(-2, "Name or service not known")


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    """No socket leaves: only the gateway's own port is connected to, everything else is written down and refused."""
    made, connect = Network(), asyncio.selector_events.BaseSelectorEventLoop.sock_connect

    async def sock_connect(self: Any, sock: socket.socket, address: Any) -> None:
        if address[:2] == ("127.0.0.1", made.port):
            await connect(self, sock, address)
            return
        made.connected.append(address[0])
        raise OSError(111, "refused")

    async def getaddrinfo(self: Any, host: str, port: int, **options: Any) -> list[Any]:
        return [
            (socket.AF_INET6 if ":" in each else socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port))
            for each in made.addresses(host)
        ]

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", sock_connect)
    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", getaddrinfo)
    return made


async def fetched(url: str, base: str = "") -> tuple[Fetch, int]:
    """How a download ended, and how many bytes came of it."""
    sink = MemorySink(0)
    async with Downloader(total=5, idle=5) as downloader:
        done = await downloader.fetch(url, sink, loopback_base=base)
    return done.fetch, len(sink.data)


@contextlib.asynccontextmanager
async def redirecting(network: Network) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A gateway on this machine that redirects, by way of itself first; the place to go to is the last of the list."""
    places: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        place = b"/there" if b"/first" in head else places[-1]
        writer.write(b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: %b\r\n\r\n" % place)
        await writer.drain()

    async with raw_server(serve) as base:
        network.port = int(base.rpartition(":")[2].removesuffix("/v1"))
        yield base, places


async def test_targets_are_refused_when_an_answer_names_them(network: Network) -> None:
    for url in TARGETS:
        how, size = await fetched(url)
        assert how is not Fetch.DONE, url
        assert size == 0
        assert network.connected == [], url
    refused = [url for url in TARGETS if (await fetched(url))[0] is Fetch.REFUSED]
    assert len(refused) >= len(TARGETS) - 4, set(TARGETS) - set(refused)  # the others have no address at all
    promise(14, f"{len(TARGETS)} targets named by an answer: 0 connections")


async def test_targets_are_refused_when_a_redirect_leads_to_them(network: Network) -> None:
    told = [url for url in TARGETS if url and url.isprintable() and not url.startswith("/img")]
    async with redirecting(network) as (base, places):
        for start in ("/first", "/second"):
            for url in told:
                places.append(url.encode())
                how, size = await fetched(base.replace("/v1", start), base)
                assert how is not Fetch.DONE, url
                assert size == 0
                assert network.connected == [], url
    promise(14, f"{len(told)} of them by a redirect: 0 connections")


@pytest.mark.parametrize("target", ADDRESSES)
async def test_targets_are_refused_when_a_name_leads_to_them(network: Network, target: str) -> None:
    """A name that is public when first asked and private from then on, and one that is both at once."""
    network.names = {
        "private.example": [[target]],
        "mixed.example": [[PUBLIC, target]],
        "turned.example": [[target, PUBLIC]],
        "rebinding.example": [[PUBLIC], [target]],
    }
    async with redirecting(network) as (base, places):
        for name in ("private", "mixed", "turned"):
            assert (await fetched(f"https://{name}.example/a.png"))[0] is Fetch.REFUSED
            places.append(f"https://{name}.example/a.png".encode())
            assert (await fetched(base.replace("/v1", "/second"), base))[0] is Fetch.REFUSED
        assert network.connected == []
        for _ in range(3):
            await fetched("https://rebinding.example/a.png")
            await fetched(base.replace("/v1", "/second"), base)
    assert network.connected == [PUBLIC]  # exactly the address that was checked, and only while the name was public


async def test_recorder_sees_a_connection_to_a_public_address(network: Network) -> None:
    """What the other tests stand on."""
    network.names = {"cdn.example": [[PUBLIC, "2606:4700::1111"]]}
    for url in (
        f"https://{PUBLIC}/",
        "https://cdn.example/a.png",
        "https://cdn.example:443/",
        "https://[2606:4700::1111]/",
    ):
        assert (await fetched(url))[0] is Fetch.AGAIN
    assert set(network.connected) == {PUBLIC, "2606:4700::1111"}
    promise(14, f"{len(ADDRESSES)} addresses behind names that rebind: 0 connections")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_paid_call_follows_no_redirect_and_keeps_no_cookie(
    status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """One request, one key, to the one address that was asked for; proxies and netrc of the environment count nothing."""
    heads: list[bytes] = []
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        head = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nSet-Cookie: a=b\r\nLocation: /v1/again\r\n\r\n"
        writer.write(head.encode())
        await writer.drain()

    async with raw_server(serve) as base:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, base)
        async with Client(clock=SystemClock(), key=lambda _name: "sk-0123456789") as client:
            for number in (1, 2):
                call = Call(number, "generations", f"{base}/x", (b"{}",), "application/json", "K", 5, loopback=True)
                answer = await client.send(call, MemorySink)
                assert (answer.ending, answer.status) == (CallEnd.COMPLETE, status)
    assert [head.split(b" ")[1] for head in heads] == [b"/v1/x", b"/v1/x"]
    assert not [head for head in heads if b"cookie" in head.lower()]
    assert all(head.count(b"sk-0123456789") == 1 for head in heads)


async def test_key_is_sent_to_no_address_that_is_not_https() -> None:
    async with Client(clock=SystemClock(), key=lambda _name: "sk-0123456789") as client:
        for url in ("http://1.1.1.1/v1/x", "HTTP://api.example/v1/x", "ftp://api.example/x", "//api.example/x", "/x"):
            call = Call(1, "generations", url, (b"{}",), "application/json", "K", 5, loopback=False)
            answer = await client.send(call, MemorySink)
            assert answer.ending is CallEnd.NOT_SENT
            assert "https" in answer.detail
