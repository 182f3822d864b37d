"""Downloads against servers that misbehave, and addresses that must not be gone to."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from batchgen.domain.images_from import ImagesFrom
from batchgen.domain.wire import Download, Fetch
from batchgen.gateway import download as download_module
from batchgen.gateway import transport
from batchgen.gateway.download import Downloader
from batchgen.gateway.watch import HOLDS_KEY
from tests.support.sockets import MemorySink, raw_server

IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000

Serve = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[str]:
    """A raw server; `serve` gets the request's head. Gives the base URL of the gateway it stands for."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(await reader.readuntil(b"\r\n\r\n"), writer)
        await writer.drain()

    async with raw_server(handle) as base:
        yield base


def sending(*pieces: bytes, hang: bool = False) -> Serve:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        if hang:
            await asyncio.Event().wait()

    return serve


def framed(body: bytes, *, length: int | None = None, more: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status,
        more,
        len(body) if length is None else length,
        body,
    )


async def fetch(
    url: str, sink: MemorySink | None = None, *, base: str = "", total: float = 5.0, idle: float = 5.0
) -> Download:
    async with Downloader(total=total, idle=idle) as downloader:
        return await downloader.fetch(url, sink if sink is not None else MemorySink(1000), loopback_base=base)


async def test_download_streams_the_image_into_the_sink() -> None:
    sink = MemorySink(1000)
    async with server(sending(framed(IMAGE))) as base:
        done = await fetch(f"{base}/files/a.png?sig=a%2Bb", sink, base=base)
    assert done.fetch is Fetch.DONE
    assert done.picture is not None
    assert (done.picture.file, done.picture.size, done.picture.damage) == (sink.name, len(IMAGE), "")
    assert bytes(sink.data) == IMAGE


# what the server does, and how the fetch must end
FETCHES: dict[str, tuple[Serve, Fetch]] = {
    "chunked": (sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), Fetch.DONE),
    "until the connection closes": (sending(b"HTTP/1.1 200 OK\r\n\r\nabc"), Fetch.DONE),
    "gzip": (sending(framed(gzip.compress(b"abc"), more=b"Content-Encoding: gzip\r\n")), Fetch.DONE),
    "truncated with length": (sending(framed(IMAGE[:100], length=500)), Fetch.AGAIN),
    "truncated chunked": (sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"), Fetch.AGAIN),
    "a broken chunk": (
        sending(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"zz\r\n"),
        Fetch.AGAIN,
    ),
    "damaged gzip": (
        sending(framed(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x00\xff\xff", more=b"Content-Encoding: gzip\r\n")),
        Fetch.AGAIN,
    ),
    "empty": (sending(framed(b"")), Fetch.AGAIN),
    "no content": (sending(b"HTTP/1.1 204 X\r\n\r\n"), Fetch.AGAIN),
    "server error": (sending(framed(b"x", status=b"500 X")), Fetch.AGAIN),
    "too many requests": (sending(framed(b"x", status=b"429 X")), Fetch.AGAIN),
    "garbage": (sending(b"garbage\r\n\r\n"), Fetch.AGAIN),
    "closed": (sending(), Fetch.AGAIN),
    "forbidden": (sending(framed(b"x", status=b"403 X")), Fetch.GONE),
    "not found": (sending(framed(b"x", status=b"404 X")), Fetch.GONE),
    "gone": (sending(framed(b"x", status=b"410 X")), Fetch.GONE),
    "a redirect to nowhere": (sending(framed(b"", status=b"302 X")), Fetch.UNUSABLE),
    "a redirect to a file": (
        sending(framed(b"", status=b"302 X", more=b"Location: file:///etc/passwd\r\n")),
        Fetch.REFUSED,
    ),
    "a redirect to another port of this machine": (
        sending(framed(b"", status=b"302 X", more=b"Location: http://127.0.0.1:1/\r\n")),
        Fetch.REFUSED,
    ),
    "a redirect to the metadata service": (
        sending(framed(b"", status=b"302 X", more=b"Location: https://169.254.169.254/\r\n")),
        Fetch.REFUSED,
    ),
    "a redirect loop": (sending(framed(b"", status=b"302 X", more=b"Location: /again\r\n")), Fetch.UNUSABLE),
}


@pytest.mark.parametrize("case", FETCHES)
async def test_download_names_how_it_ended(case: str) -> None:
    serve, ending = FETCHES[case]
    sink = MemorySink(1000)
    async with server(serve) as base:
        done = await fetch(f"{base}/a.png", sink, base=base)
    assert done.fetch is ending, done
    assert (done.picture is not None) is (ending is Fetch.DONE)
    assert bool(done.detail) is (ending is not Fetch.DONE)
    if ending is Fetch.DONE:
        assert bytes(sink.data) == b"abc"


async def test_download_follows_three_redirects_and_no_more() -> None:
    def hops(most: int) -> Serve:
        async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
            at = int(head.split(b"/")[1].split(b" ")[0])
            if at < most:
                writer.write(framed(b"", status=b"307 X", more=b"Location: /%d\r\n" % (at + 1)))
            else:
                writer.write(framed(b"abc"))

        return serve

    for most, ending in ((3, Fetch.DONE), (4, Fetch.UNUSABLE)):
        async with server(hops(most)) as base:
            assert (await fetch(base.replace("/v1", "/0"), base=base)).fetch is ending


async def test_download_comes_again_when_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
    done = await fetch(f"{base}/a.png", base=base)
    assert done.fetch is Fetch.AGAIN
    assert "refused" in done.detail


@pytest.mark.parametrize(
    "pieces", [(), (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",), (framed(b"abc", length=10),)]
)
async def test_download_comes_again_when_the_server_stands_still(pieces: tuple[bytes, ...]) -> None:
    async with server(sending(*pieces, hang=True)) as base:
        assert (await fetch(f"{base}/a.png", base=base, idle=0.1)).fetch is Fetch.AGAIN
        assert (await fetch(f"{base}/a.png", base=base, total=0.1)).fetch is Fetch.AGAIN


async def test_download_comes_again_when_bytes_only_drip() -> None:
    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with server(serve) as base:
        done = await fetch(f"{base}/a.png", base=base, total=0.2, idle=0.1)
    assert done.fetch is Fetch.AGAIN


@pytest.mark.parametrize("encoding", [b"", b"gzip"])
async def test_download_stops_when_the_file_is_too_large(encoding: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_module, "MAX_PICTURE", 200_000)
    body = gzip.compress(bytes(10_000_000)) if encoding else bytes(10_000_000)
    more = b"Content-Encoding: gzip\r\n" if encoding else b""
    sink = MemorySink(1000)
    async with server(sending(framed(body, more=more))) as base:
        done = await fetch(f"{base}/a.png", sink, base=base)
    assert done.fetch is Fetch.UNUSABLE
    assert sink.size <= 200_000


async def test_download_sends_no_secret_and_no_cookie(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        if len(heads) == 1:
            writer.write(framed(b"", status=b"302 X", more=b"Set-Cookie: a=b\r\nLocation: /b.png\r\n"))
        else:
            writer.write(framed(b"abc"))

    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with server(serve) as base:
        assert (await fetch(f"{base}/a.png?sig=%2b~", base=base)).fetch is Fetch.DONE
    assert len(heads) == 2
    for head in (each.lower() for each in heads):
        assert b"authorization" not in head
        assert b"cookie" not in head
        assert b"referer" not in head
    assert heads[0].startswith(b"GET /v1/a.png?sig=%2b~ HTTP")  # a signed address is sent as it came


async def test_download_lets_a_sinks_error_through() -> None:
    class Full(MemorySink):
        async def write(self, data: bytes | memoryview) -> None:
            raise OSError(28, "No space left on device")

    async with server(sending(framed(IMAGE))) as base:
        with pytest.raises(OSError, match="No space"):
            await fetch(f"{base}/a.png", Full(1000), base=base)


REFUSED = [
    "http://cdn.example.com/a.png",
    "ftp://cdn.example.com/a.png",
    "file:///etc/passwd",
    "data:image/png;base64,QUJD",
    "//cdn.example.com/a.png",
    "https:///a.png",
    "https://",
    "",
    "https://user:secret@cdn.example.com/a.png",
    "https://user@1.1.1.1/a.png",
    "https://cdn.example.com:8443/a.png",
    "https://cdn.example.com:22/a.png",
    "https://cdn.example.com:99999/a.png",
    "https://cdn.example.com/a\r\nHost: x",
    "https://cdn.example.com/" + "a" * 9000,
    "https://[::1]/a.png",
    "https://[::ffff:127.0.0.1]/a.png",
    "https://[64:ff9b::7f00:1]/a.png",
    "https://[2002:7f00:1::]/a.png",
    "https://[fe80::1%25eth0]/a.png",
    "https://127.0.0.1/a.png",
    "https://10.0.0.1/a.png",
    "https://100.64.0.1/a.png",
    "https://169.254.169.254/latest/meta-data",
    "https://168.63.129.16/",
    "https://192.168.1.1/",
    "https://224.0.0.1/",
    "https://0.0.0.0/",
    "https://255.255.255.255/",
    "https://localhost/a.png",
    "https://0x7f.1/a.png",
    "https://127.1/a.png",
    "https://2130706433/a.png",
    "https://0177.0.0.1/a.png",
]


@pytest.mark.parametrize("url", REFUSED)
async def test_download_refuses_an_address_it_must_not_go_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[object] = []

    async def sock_connect(self: Any, sock: socket.socket, address: object) -> None:
        connected.append(address)
        raise OSError("not in this test")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", sock_connect)
    done = await fetch(url)
    assert connected == []
    assert (done.fetch, done.picture) == (Fetch.REFUSED, None)
    assert done.detail
    assert "secret" not in done.detail


async def test_download_goes_to_loopback_only_for_the_gateways_own_host_and_port() -> None:
    reached: list[bytes] = []

    async def serve(head: bytes, writer: asyncio.StreamWriter) -> None:
        reached.append(head)
        writer.write(framed(b"abc"))

    async with server(serve) as base, server(serve) as other:
        port = base.split(":")[2].split("/")[0]
        for url, allowed_base in (
            (f"{base}/a.png", ""),
            (f"{base}/a.png", other),
            (f"{base}/a.png", "https://api.example.com/v1"),
            (f"http://localhost:{port}/a.png", base),
            (f"http://127.0.0.2:{port}/a.png", base),
            ("http://127.0.0.1/a.png", base),
        ):
            assert (await fetch(url, base=allowed_base)).fetch is Fetch.REFUSED, url
        assert reached == []
        assert (await fetch(f"{base}/a.png", base=base)).fetch is Fetch.DONE
    assert len(reached) == 1


async def test_download_goes_where_it_is_allowed_and_names_what_would_allow_the_rest() -> None:
    async with server(sending(framed(b"abc"))) as there:
        host = there.removesuffix("/v1")

        async def away(head: bytes, writer: asyncio.StreamWriter) -> None:
            writer.write(framed(b"", status=b"302 X", more=b"Location: %b/b.png\r\n" % host.encode()))

        async with server(away) as base:
            for url in (f"{host}/a.png", f"{base}/a.png"):
                done = await fetch(url, base=base)
                assert (done.fetch, done.allow) == (Fetch.REFUSED, host)
                async with Downloader(ImagesFrom.of([host])) as downloader:
                    done = await downloader.fetch(url, MemorySink(1000), loopback_base=base)
                assert done.fetch is Fetch.DONE


async def test_download_goes_to_a_private_network_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[Any] = []

    async def sock_connect(self: Any, sock: socket.socket, address: Any) -> None:
        connected.append(address)
        raise OSError(111, "refused")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", sock_connect)
    resolving(monkeypatch, ["10.0.0.5"])
    for entries, allow in (
        ([], "https://img.example:8443"),
        (["https://img.example:8443"], "10.0.0.5"),
        (["https://img.example:8443", "10.0.0.0/8"], ""),
    ):
        async with Downloader(ImagesFrom.of(entries)) as downloader:
            done = await downloader.fetch("https://img.example:8443/a.png", MemorySink(1000))
        assert done.allow == allow
        assert connected == ([] if allow else [("10.0.0.5", 8443)])


async def test_key_is_not_told_by_the_host_of_a_refused_address() -> None:
    async with Downloader(secrets=lambda: ("sk-another", "sk-5f2d8c")) as downloader:
        done = await downloader.fetch("http://sk-5f2d8c.example/a.png", MemorySink(1000))
    assert "sk-5f2d8c" not in done.detail + done.allow


async def test_picture_that_holds_any_key_of_the_route_is_damaged() -> None:
    for key in ("sk-first-0123456789", "sk-second-9876543210"):
        image = b"x" * 1000 + key.encode() + b"x" * 1000
        async with (
            server(sending(framed(image))) as base,
            Downloader(secrets=lambda: ("sk-first-0123456789", "sk-second-9876543210")) as downloader,
        ):
            done = await downloader.fetch(f"{base}/a.png", MemorySink(1000), loopback_base=base)
        assert done.picture is not None
        assert done.picture.damage == HOLDS_KEY


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Let each look-up get the next of these answers."""
    left = list(answers)

    async def getaddrinfo(self: Any, host: str, port: int, **options: Any) -> list[Any]:
        addresses = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", getaddrinfo)


async def test_download_connects_to_exactly_the_address_it_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when checked and private when connected to (rebinding) never gets a connection."""
    connected: list[Any] = []

    async def sock_connect(self: Any, sock: socket.socket, address: Any) -> None:
        connected.append(address[0])
        raise OSError(111, "refused")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", sock_connect)
    resolving(monkeypatch, ["1.1.1.1"], ["127.0.0.1"])
    async with Downloader() as downloader:
        fetches = [(await downloader.fetch("https://cdn.example.com/a.png", MemorySink(1000))).fetch for _ in range(3)]
    assert fetches == [Fetch.AGAIN, Fetch.REFUSED, Fetch.REFUSED]
    assert connected == ["1.1.1.1"]


async def test_download_refuses_a_name_when_any_of_its_addresses_is_private(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["1.1.1.1", "192.168.0.1"])
    done = await fetch("https://cdn.example.com/a.png")
    assert done.fetch is Fetch.REFUSED
    assert "192.168.0.1" in done.detail


async def test_download_checks_the_address_again_when_the_socket_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of defence: even a resolver that lets everything through does not lead to this machine."""

    async def resolve(self: Any, host: str, port: int = 0, family: Any = 0) -> list[Any]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 6, "flags": 0}]

    monkeypatch.setattr("batchgen.gateway.address.CheckedResolver.resolve", resolve)
    done = await fetch("https://cdn.example.com/a.png")
    assert done.fetch is Fetch.REFUSED
    assert "127.0.0.1" in done.detail


async def test_download_treats_the_gateways_host_like_any_other_when_it_is_not_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connected: list[Any] = []

    async def sock_connect(self: Any, sock: socket.socket, address: Any) -> None:
        connected.append(address)
        raise OSError(111, "refused")

    monkeypatch.setattr("asyncio.selector_events.BaseSelectorEventLoop.sock_connect", sock_connect)
    resolving(monkeypatch, ["1.1.1.1"])
    base = "https://api.example.com/v1"
    assert (await fetch("https://api.example.com/a.png", base=base)).fetch is Fetch.AGAIN
    assert connected == [("1.1.1.1", 443)]
    assert (await fetch("http://api.example.com:443/a.png", base=base)).fetch is Fetch.REFUSED


async def test_download_comes_again_when_the_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(self: Any, host: str, port: int, **options: Any) -> list[Any]:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr("asyncio.base_events.BaseEventLoop.getaddrinfo", getaddrinfo)
    done = await fetch("https://cdn.example.com/a.png")
    assert done.fetch is Fetch.AGAIN
    assert "resolved" in done.detail


def test_described_never_shows_the_repr_of_an_error() -> None:
    assert transport.described(ssl.SSLError(1, "[SSL] bad")) == "the connection broke: [SSL] bad"
    assert transport.described(RuntimeError("Bearer sk-secret")) == "the connection failed (RuntimeError)"
