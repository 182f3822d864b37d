"""The client against gateways that misbehave byte by byte: what it says is what was seen, and it never raises.

The servers here write raw bytes, because a web framework refuses to send most of these.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import shutil
import socket
import ssl
import struct
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_writer import StreamWriter

from batchgen.domain.clock import SystemClock
from batchgen.domain.deadline import Deadline
from batchgen.domain.following import Following
from batchgen.domain.wire import Answer, Call, CallEnd, Usage
from batchgen.gateway import exchange as exchange_module
from batchgen.gateway import scan
from batchgen.gateway.client import Client
from batchgen.gateway.sending import RequestBody
from batchgen.gateway.transport import AddrInfo, open_socket
from batchgen.gateway.watch import HOLDS_KEY
from tests.support.sockets import MemorySink, RawServe, connections

KEY = "sk-canary-0123456789"
ANOTHER = "sk-second-canary-98765"  # of the same route
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4
BASE64 = base64.b64encode(PICTURE).decode()
WHOLE = json.dumps({"created": 1, "data": [{"b64_json": BASE64}], "usage": {"total_tokens": 7}}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: req-1\r\n"


class Sinks:
    """Makes sinks and remembers them."""

    def __init__(self) -> None:
        self.made: dict[int, MemorySink] = {}

    def __call__(self, index: int) -> MemorySink:
        assert index not in self.made
        self.made[index] = MemorySink(index)
        return self.made[index]

    @property
    def pictures(self) -> list[bytes]:
        return [bytes(self.made[index].data) for index in sorted(self.made)]


@contextlib.asynccontextmanager
async def gateway(serve: RawServe, *, read: bool = True, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A raw server; `serve` is called when a whole request was read. Gives its base URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read:
            await request_of(reader)
        await serve(reader, writer)

    async with connections(handle, ssl=tls, backlog=1000) as port:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"


async def request_of(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return first, headers, await reader.readexactly(int(headers.get("content-length", 0)))


def a_call(base: str, *, timeout: float = 5.0, key_env: str = "KEY", body: bytes = b'{"prompt":"x"}') -> Call:
    return Call(
        attempt=7,
        operation="generations",
        url=f"{base}/images/generations",
        body=(body,),
        content_type="application/json",
        key_env=key_env,
        timeout=timeout,
        loopback=True,
    )


async def ask(base: str, sinks: Sinks | None = None, **changes: float | bytes | str) -> Answer:
    """One call with a client of its own."""
    async with Client(clock=SystemClock(), key=lambda name: KEY, secrets=lambda: (KEY, ANOTHER)) as client:
        return await client.send(a_call(base, **changes), sinks if sinks is not None else Sinks())  # type: ignore[arg-type]


def sending(*pieces: bytes) -> RawServe:
    """Write these pieces and close."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)

    return serve


def then_hang(*pieces: bytes) -> RawServe:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await sending(*pieces)(reader, writer)
        await reader.read()

    return serve


def then_reset(*pieces: bytes) -> RawServe:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await sending(*pieces)(reader, writer)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return serve


def framed(body: bytes, *, length: int | None = None, head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", head: bytes = HEAD) -> bytes:
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + end


def status(code: int, body: bytes, kind: bytes = b"application/json") -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (code, kind, len(body), body)


HALF = WHOLE[: len(WHOLE) // 2]

# what the server does, then the ending and status it must be given
ENDINGS: dict[str, tuple[RawServe, CallEnd, int]] = {
    "whole with length": (sending(framed(WHOLE)), CallEnd.COMPLETE, 200),
    "whole chunked": (sending(chunked(WHOLE[:50], WHOLE[50:])), CallEnd.COMPLETE, 200),
    "whole without length": (sending(HEAD + b"\r\n", WHOLE), CallEnd.COMPLETE, 200),
    "whole, HTTP 1.0": (sending(HEAD.replace(b"1.1", b"1.0") + b"\r\n" + WHOLE), CallEnd.COMPLETE, 200),
    "leading white space as keep-alive": (sending(chunked(b" ", b"\n \n", WHOLE)), CallEnd.COMPLETE, 200),
    "white space after": (sending(framed(WHOLE + b" \n" * 10)), CallEnd.COMPLETE, 200),
    "interim responses, then 200": (
        sending(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\nx-a: b\r\n\r\n", framed(WHOLE)),
        CallEnd.COMPLETE,
        200,
    ),
    "whole, then it hangs": (then_hang(framed(WHOLE, length=len(WHOLE) + 100)), CallEnd.COMPLETE, 200),
    "whole without length, then it hangs": (then_hang(HEAD + b"\r\n" + WHOLE), CallEnd.COMPLETE, 200),
    "whole without the last chunk, then it hangs": (then_hang(chunked(WHOLE, end=b"")), CallEnd.COMPLETE, 200),
    "whole without the last chunk, then closed": (sending(chunked(WHOLE, end=b"")), CallEnd.COMPLETE, 200),
    "whole, length too long, closed at once": (sending(framed(WHOLE, length=len(WHOLE) + 9)), CallEnd.COMPLETE, 200),
    "whole, length too long, reset": (then_reset(framed(WHOLE, length=len(WHOLE) + 9)), CallEnd.COMPLETE, 200),
    "whole, then a bad chunk": (sending(chunked(WHOLE, end=b""), b"zz\r\n"), CallEnd.COMPLETE, 200),
    "a byte order mark": (sending(framed(b"\xef\xbb\xbf" + WHOLE)), CallEnd.COMPLETE, 200),
    "wrong content type": (
        sending(framed(WHOLE, head=b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")),
        CallEnd.COMPLETE,
        200,
    ),
    "error as JSON": (sending(status(500, b'{"error":{"message":"x"}}')), CallEnd.COMPLETE, 500),
    "error page": (sending(status(524, b"<html>a timeout occurred</html>", b"text/html")), CallEnd.COMPLETE, 524),
    "error page without length": (sending(b"HTTP/1.1 502 X\r\n\r\n<html></html>"), CallEnd.COMPLETE, 502),
    "error without body or length": (sending(b"HTTP/1.1 502 X\r\n\r\n"), CallEnd.COMPLETE, 502),
    "no content": (sending(b"HTTP/1.1 204 No Content\r\n\r\n"), CallEnd.COMPLETE, 204),
    "switching protocols": (
        sending(b"HTTP/1.1 101 X\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        CallEnd.COMPLETE,
        101,
    ),
    "empty body with length": (sending(framed(b"")), CallEnd.COMPLETE, 200),
    "a redirect is not followed": (
        sending(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        CallEnd.COMPLETE,
        307,
    ),
    "gzip": (sending(framed(gzip.compress(WHOLE), head=HEAD + b"Content-Encoding: gzip\r\n")), CallEnd.COMPLETE, 200),
    "deflate": (
        sending(framed(zlib.compress(WHOLE), head=HEAD + b"Content-Encoding: deflate\r\n")),
        CallEnd.COMPLETE,
        200,
    ),
    "deflate without header": (
        sending(framed(zlib.compress(WHOLE)[2:-4], head=HEAD + b"Content-Encoding: deflate\r\n")),
        CallEnd.COMPLETE,
        200,
    ),
    "gzip in two members": (
        sending(
            framed(gzip.compress(WHOLE[:99]) + gzip.compress(WHOLE[99:]), head=HEAD + b"Content-Encoding: gzip\r\n")
        ),
        CallEnd.COMPLETE,
        200,
    ),
    "an encoding we do not know": (
        sending(framed(b"\x8b\x00", head=HEAD + b"Content-Encoding: br\r\n")),
        CallEnd.COMPLETE,
        200,
    ),
    "long headers": (sending(framed(WHOLE, head=HEAD + b"x-a: " + b"y" * 30_000 + b"\r\n")), CallEnd.COMPLETE, 200),
    "odd cookies": (
        sending(framed(WHOLE, head=HEAD + b"Set-Cookie: =\r\nSet-Cookie: a=b; expires=never; \xff\r\n")),
        CallEnd.COMPLETE,
        200,
    ),
    "truncated with length": (sending(framed(HALF, length=len(WHOLE))), CallEnd.CUT, 200),
    "truncated chunked": (sending(chunked(HALF, end=b"")), CallEnd.CUT, 200),
    "truncated without length": (sending(HEAD + b"\r\n", HALF), CallEnd.CUT, 200),
    "truncated but the frame is whole": (sending(framed(HALF)), CallEnd.CUT, 200),
    "length too short": (sending(framed(WHOLE[:-5]), WHOLE[-5:]), CallEnd.CUT, 200),
    "closed right after the head": (sending(HEAD + b"\r\n"), CallEnd.CUT, 200),
    "reset within the body": (then_reset(framed(HALF, length=len(WHOLE))), CallEnd.CUT, 200),
    "bad chunk": (sending(chunked(HALF, end=b""), b"zz\r\n"), CallEnd.CUT, 200),
    "an error cut short": (
        sending(framed(b'{"error":{"mess', length=99, head=b"HTTP/1.1 500 X\r\n")),
        CallEnd.CUT,
        500,
    ),
    "gzip cut short": (
        sending(framed(gzip.compress(WHOLE)[:-30], head=HEAD + b"Content-Encoding: gzip\r\n")),
        CallEnd.CUT,
        200,
    ),
    "gzip damaged": (
        sending(framed(b"\x1f\x8b\x08\x00garbage", head=HEAD + b"Content-Encoding: gzip\r\n")),
        CallEnd.CUT,
        200,
    ),
    "thousands of gzip members": (
        sending(framed(gzip.compress(b"") * 500, head=HEAD + b"Content-Encoding: gzip\r\n")),
        CallEnd.CUT,
        200,
    ),
    "closed without a byte": (sending(), CallEnd.NO_ANSWER, 0),
    "reset without a byte": (then_reset(), CallEnd.NO_ANSWER, 0),
    "half a head": (sending(b"HTTP/1.1 200 O"), CallEnd.NO_ANSWER, 0),
    "head without its end": (sending(HEAD), CallEnd.NO_ANSWER, 0),
    "garbage instead of HTTP": (sending(b"\x00\x01garbage\r\n\r\n"), CallEnd.NO_ANSWER, 0),
    "bare JSON instead of HTTP": (sending(WHOLE), CallEnd.NO_ANSWER, 0),
    "another protocol": (sending(b"SSH-2.0-OpenSSH_9.2\r\n"), CallEnd.NO_ANSWER, 0),
    "a header of 200 KB": (
        sending(framed(WHOLE, head=HEAD + b"x-a: " + b"y" * 200_000 + b"\r\n")),
        CallEnd.NO_ANSWER,
        0,
    ),
    "a length that is no number": (sending(HEAD + b"Content-Length: many\r\n\r\n"), CallEnd.NO_ANSWER, 0),
    "two lengths": (sending(framed(WHOLE, head=HEAD + b"Content-Length: 3\r\n")), CallEnd.NO_ANSWER, 0),
    # aiohttp drops a head that comes in one segment with a broken frame, so nothing is known of it
    "bad chunk in the segment of the head": (sending(chunked(HALF, end=b"zz\r\n")), CallEnd.NO_ANSWER, 0),
    "a header with NUL": (sending(framed(WHOLE, head=HEAD + b"x-a: \x00\r\n")), CallEnd.NO_ANSWER, 0),
    "only interim responses": (sending(b"HTTP/1.1 102 Processing\r\n\r\n" * 3), CallEnd.NO_ANSWER, 0),
}


@pytest.mark.parametrize("case", ENDINGS)
async def test_client_names_the_ending_by_the_bytes_seen(case: str) -> None:
    serve, ending, code = ENDINGS[case]
    async with gateway(serve) as base:
        answer = await ask(base)
    assert (answer.ending, answer.status) == (ending, code), answer
    assert answer.attempt == 7
    assert answer.sent_at > 0
    assert 2 > answer.total >= answer.first_byte >= 0
    assert (answer.first_byte > 0) is (code > 0)
    assert bool(answer.detail) or ending in {CallEnd.COMPLETE, CallEnd.CUT}
    assert KEY not in repr(answer)


@pytest.mark.parametrize(
    "case", [case for case, (_, ending, _) in ENDINGS.items() if "whole" in case and ending is CallEnd.COMPLETE]
)
async def test_client_delivers_the_picture_when_its_bytes_came(case: str) -> None:
    sinks = Sinks()
    async with gateway(ENDINGS[case][0]) as base:
        answer = await ask(base, sinks)
    assert sinks.pictures == [PICTURE]
    assert [(p.file, p.size, p.damage) for p in answer.pictures] == [("picture-0", len(PICTURE), "")]
    assert answer.is_json
    assert answer.usage == Usage(total_tokens=7)


TIMEOUTS: dict[str, tuple[RawServe, int]] = {
    "silence": (then_hang(), 0),
    "only interim responses": (then_hang(b"HTTP/1.1 102 Processing\r\n\r\n"), 0),
    "silence after the head": (then_hang(HEAD + b"Content-Length: 100\r\n\r\n"), 200),
    "silence within the picture": (then_hang(framed(HALF, length=len(WHOLE))), 200),
    "silence within an unframed error": (then_hang(b"HTTP/1.1 500 X\r\n\r\n{"), 500),
}


@pytest.mark.parametrize("case", TIMEOUTS)
async def test_client_times_out_when_the_gateway_is_silent(case: str) -> None:
    serve, code = TIMEOUTS[case]
    async with gateway(serve) as base:
        answer = await ask(base, timeout=0.2)
    assert (answer.ending, answer.status) == (CallEnd.TIMED_OUT, code)
    assert "0.2 s" in answer.detail
    assert answer.total < 2


async def test_client_times_out_when_bytes_only_drip() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n{")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with gateway(serve) as base:
        answer = await ask(base, timeout=0.2)
    assert answer.ending is CallEnd.TIMED_OUT


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_client_has_not_sent_when_the_connection_is_refused() -> None:
    answer = await ask(f"http://127.0.0.1:{unused_port()}/v1")
    assert (answer.ending, answer.sent_at, answer.total) == (CallEnd.NOT_SENT, 0.0, 0.0)
    assert "refused" in answer.detail


async def test_client_has_not_sent_when_the_name_is_unknown() -> None:
    answer = await ask("http://no-such-host.invalid/v1")
    assert answer.ending is CallEnd.NOT_SENT
    assert "could not be resolved" in answer.detail


@pytest.mark.parametrize(
    "base", ["http://", "http://[::1/v1", "http://2130706433/v1", "ftp://127.0.0.1/v1", "http://a b/v1"]
)
async def test_client_has_not_sent_when_the_address_is_none(base: str) -> None:
    assert (await ask(base)).ending is CallEnd.NOT_SENT


async def test_client_has_not_sent_when_tls_fails() -> None:
    async with gateway(sending(b"no TLS here\r\n" * 10), read=False) as base:
        answer = await ask(base.replace("http", "https"))
    assert answer.ending is CallEnd.NOT_SENT
    assert "secure" in answer.detail


async def test_client_has_not_sent_when_the_tls_handshake_stalls() -> None:
    async with gateway(then_hang(), read=False) as base:
        answer = await ask(base.replace("http", "https"), timeout=0.2)
    assert (answer.ending, answer.sent_at) == (CallEnd.NOT_SENT, 0.0)


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A certificate that nobody trusts."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*make, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


async def test_client_has_not_sent_when_the_certificate_is_not_trusted(self_signed: ssl.SSLContext) -> None:
    async with gateway(sending(framed(WHOLE)), tls=self_signed) as base:
        answer = await ask(base)
    assert answer.ending is CallEnd.NOT_SENT
    assert "certificate" in answer.detail.lower()


async def test_client_has_not_sent_when_the_connection_hangs() -> None:
    with socket.socket() as full:  # a queue of one that nobody serves: further connections get no answer
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    each.connect(("127.0.0.1", port))
            answer = await ask(f"http://127.0.0.1:{port}/v1", timeout=0.2)
        finally:
            for each in waiting:
                each.close()
    assert (answer.ending, answer.sent_at) == (CallEnd.NOT_SENT, 0.0)


async def test_client_reports_a_broken_request_when_the_gateway_leaves_while_it_is_written() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with gateway(serve, read=False) as base:
        answer = await ask(base, body=b"x" * (24 << 20))
    assert answer.ending is CallEnd.SEND_FAILED
    assert answer.sent_at > 0


async def test_client_refuses_plain_http_when_the_route_is_not_loopback() -> None:
    asked: list[str] = []

    def key(name: str) -> str:
        asked.append(name)
        return KEY

    call = replace(a_call("http://127.0.0.1:1/v1"), loopback=False)
    async with Client(clock=SystemClock(), key=key) as client:
        answer = await client.send(call, Sinks())
    assert answer.ending is CallEnd.NOT_SENT
    assert "https" in answer.detail


@pytest.mark.parametrize("key", ["", "  ", "sk-a\r\nX-Evil: 1", "sk-ключ"])
async def test_client_has_not_sent_when_the_key_cannot_be_one(key: str) -> None:
    async with gateway(sending(framed(WHOLE))) as base, Client(clock=SystemClock(), key=lambda name: key) as client:
        answer = await client.send(a_call(base), Sinks())
    assert answer.ending is CallEnd.NOT_SENT
    assert "KEY" in answer.detail
    assert "sk-" not in repr(answer)


async def test_client_sends_exactly_the_body_and_no_more_headers_than_needed() -> None:
    requests = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await request_of(reader))
        writer.write(framed(WHOLE))

    async with gateway(serve, read=False) as base:
        await ask(base, body='{"prompt":"杯"}'.encode())
    first, headers, body = requests[0]
    assert first == "POST /v1/images/generations HTTP/1.1"
    assert body.decode() == '{"prompt":"杯"}'
    assert headers.pop("host").startswith("127.0.0.1:")
    assert headers == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": f"Bearer {KEY}",
        "connection": "close",
        "content-length": str(len(body)),
        "content-type": "application/json",
        "user-agent": "batchgen",
    }


async def test_client_sends_no_authorization_when_the_route_has_no_key() -> None:
    requests = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await request_of(reader))
        writer.write(framed(WHOLE))

    async with gateway(serve, read=False) as base:
        answer = await ask(base, key_env="")
    assert "authorization" not in requests[0][1]
    assert answer.ending is CallEnd.COMPLETE


async def test_client_uses_a_fresh_connection_for_each_call_and_keeps_no_cookies() -> None:
    peers: set[object] = set()
    cookies: list[str | None] = []

    async def serve(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        cookies.append(request.headers.get("cookie"))
        response = web.json_response({"data": [{"b64_json": BASE64}]})
        response.set_cookie("a", "b")
        return response

    async with served(serve) as base, Client(clock=SystemClock(), key=lambda name: KEY) as client:
        for _ in range(3):
            assert (await client.send(a_call(base), Sinks())).picture
    assert len(peers) == 3
    assert cookies == [None, None, None]


async def test_client_loses_nothing_when_a_gateway_on_this_machine_closes_every_connection_without_a_word() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(framed(WHOLE))

    async with gateway(serve, read=False) as base, Client(clock=SystemClock(), key=lambda name: KEY) as client:
        for _ in range(20):
            assert (await client.send(a_call(base), Sinks())).ending is CallEnd.COMPLETE


async def test_client_probes_a_silent_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    probing: list[tuple[int, int]] = []

    def open_and_look(info: AddrInfo) -> socket.socket:
        made = open_socket(info)
        idle = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) if hasattr(socket, "TCP_KEEPIDLE") else 30
        probing.append((made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), idle))
        return made

    monkeypatch.setattr("batchgen.gateway.transport.open_socket", open_and_look)
    async with gateway(sending(framed(WHOLE))) as base:
        await ask(base)
    assert probing == [(1, 30)]


@contextlib.asynccontextmanager
async def served(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """A well-behaved server."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def test_client_reads_everything_a_gateway_says() -> None:
    document = {
        "created": 1,
        "data": [{"b64_json": "data:image/png;base64," + BASE64, "url": None, "revised_prompt": "a\tmug"}],
        "size": "2048x2048",
        "quality": "high",
        "output_format": "png",
        "background": "opaque",
        "usage": {
            "input_tokens": 10,
            "output_tokens": 196,
            "total_tokens": 206,
            "input_tokens_details": {"text_tokens": 10, "image_tokens": 0},
        },
    }

    async def serve(request: web.Request) -> web.Response:
        headers = {"x-request-id": "req-1", "CF-Ray": "ray-1", "x-shellapi-request-id": "2026"}
        return web.json_response(document, headers=headers)

    sinks = Sinks()
    async with served(serve) as base:
        answer = await ask(base, sinks)
    assert sinks.pictures == [PICTURE]
    assert answer.usage == Usage(10, 196, 206, 10, 0)
    assert answer.effective == (("size", "2048x2048"), ("quality", "high"), ("background", "opaque"), ("format", "png"))
    assert answer.revised_prompt == "a mug"
    assert answer.request_ids == (("x-request-id", "req-1"), ("x-shellapi-request-id", "2026"), ("cf-ray", "ray-1"))
    assert answer.content_type.startswith("application/json")
    assert (answer.urls, answer.text, answer.error, answer.excerpt, answer.detail) == ((), "", None, "", "")


async def test_client_gives_the_address_when_the_image_came_as_one() -> None:
    body = b'{"data":[{"url":"https://cdn.example.com/a.png?sig=%2B\\u0026x=1"}]}'
    async with gateway(sending(framed(body))) as base:
        answer = await ask(base)
    assert answer.urls == ("https://cdn.example.com/a.png?sig=%2B&x=1",)


async def test_client_salvages_a_whole_address_when_the_answer_was_cut() -> None:
    body = b'{"data":[{"url":"https://cdn.example.com/a.png"},{"url":"https://cdn.exa'
    async with gateway(sending(framed(body, length=500))) as base:
        answer = await ask(base)
    assert answer.ending is CallEnd.CUT
    assert answer.urls == ("https://cdn.example.com/a.png",)


async def test_client_reports_damage_when_a_picture_is_cut_or_no_base64() -> None:
    sinks = Sinks()
    async with gateway(sending(framed(HALF, length=len(WHOLE)))) as base:
        answer = await ask(base, sinks)
    assert "ended inside" in answer.pictures[0].damage
    assert PICTURE.startswith(sinks.pictures[0])
    sinks = Sinks()
    async with gateway(sending(framed(b'{"data":[{"b64_json":"<html>"}]}'))) as base:
        answer = await ask(base, sinks)
    assert answer.ending is CallEnd.COMPLETE
    assert (answer.pictures[0].file, answer.pictures[0].size) == ("picture-0", 0)
    assert answer.pictures[0].damage


async def test_client_keeps_an_excerpt_when_the_body_is_not_json() -> None:
    page = b"<html>\n\x1b[31m\xe2\x80\xae" + b"x" * 10_000
    async with gateway(sending(status(502, page, b"text/html"))) as base:
        answer = await ask(base)
    assert answer.excerpt.startswith("<html>\\x0a\\x1b[31m\\u202exxx")
    assert len(answer.excerpt) <= 4096
    assert not answer.is_json


async def test_client_obeys_the_longest_wait_that_is_asked_for() -> None:
    body = b'{"error":{"message":"Rate limit reached. Please try again in 12s.","code":"rate_limit_exceeded"}}'
    reply = b"HTTP/1.1 429 X\r\nretry-after-ms: 240\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with gateway(sending(reply)) as base:
        answer = await ask(base)
    assert answer.retry_after == 12.0
    assert answer.error is not None
    assert answer.error.code == "rate_limit_exceeded"


@pytest.mark.parametrize("key", [KEY, ANOTHER])
async def test_client_never_repeats_a_key_when_the_gateway_echoes_it(key: str) -> None:
    body = json.dumps(
        {"error": {"message": f"bad key {key}", "code": key}, "data": [{"url": f"https://x/{key}"}]}
    ).encode()
    head = f"HTTP/1.1 401 X\r\nx-request-id: {key}\r\nContent-Type: {key}\r\n".encode()
    cases = [framed(body, head=head), framed(b"<html>" + key.encode() * 500, head=head), f"{key}\r\n\r\n".encode()]
    for reply in cases:
        async with gateway(sending(reply)) as base:
            answer = await ask(base)
        assert "canary" not in repr(answer)


@pytest.mark.parametrize("key", [KEY, ANOTHER])
async def test_number_of_a_call_at_a_place_of_the_contract_never_repeats_a_key(key: str) -> None:
    rule = Following("/tasks/{id}", every=1.0, patience=60.0, id=("id",))
    async with (
        gateway(sending(framed(json.dumps({"id": f"job-{key}-1"}).encode()))) as base,
        Client(clock=SystemClock(), key=lambda _name: KEY, secrets=lambda: (KEY, ANOTHER)) as client,
    ):
        answer = await client.send(replace(a_call(base), following=rule), Sinks())
    assert answer.task == "job-[key]-1"


@pytest.mark.parametrize("key", [KEY, ANOTHER])
async def test_picture_that_holds_any_key_of_the_route_is_damaged(key: str) -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"x" * 1000 + key.encode() + b"x" * 1000).decode()
    async with gateway(sending(framed(json.dumps({"data": [{"b64_json": picture}]}).encode()))) as base:
        answer = await ask(base)
    assert [each.damage for each in answer.pictures] == [HOLDS_KEY]


async def test_client_stops_within_bounds_when_a_small_body_inflates_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """100 MiB out of 100 KB: no more than the limit is ever looked at, a step at a time."""
    squeeze = zlib.compressobj(9, wbits=31)
    bomb = (
        squeeze.compress(b'{"b64_json":"')
        + b"".join(squeeze.compress(b"QUJD" * (1 << 18)) for _ in range(100))
        + squeeze.flush()
    )
    assert len(bomb) < 200_000
    monkeypatch.setattr(scan, "MAX_PICTURE", 2 << 20)
    longest = 0
    real = exchange_module.Scanner.feed

    def feed(self: scan.Scanner, data: bytes) -> list[tuple[int, bytes]]:
        nonlocal longest
        longest = max(longest, len(data))
        return real(self, data)

    monkeypatch.setattr(exchange_module.Scanner, "feed", feed)
    sinks = Sinks()
    async with gateway(sending(framed(bomb, head=HEAD + b"Content-Encoding: gzip\r\n"))) as base:
        answer = await ask(base, sinks)
    assert answer.ending is CallEnd.TOO_LARGE
    assert "2 MiB" in answer.detail
    assert len(sinks.pictures[0]) < (2 << 20) + (1 << 16)
    assert longest <= 1 << 16


async def test_client_stops_when_the_text_never_ends() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b'Transfer-Encoding: chunked\r\n\r\n2\r\n{"\r\n')
        while True:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()

    async with gateway(serve) as base:
        answer = await ask(base)
    assert (answer.ending, answer.status) == (CallEnd.TOO_LARGE, 200)


async def test_client_streams_a_large_picture_piece_by_piece() -> None:
    picture = bytes(range(256)) * 16_384  # 4 MiB
    body = json.dumps({"data": [{"b64_json": base64.b64encode(picture).decode()}]}).encode()
    largest = 0

    class Watching(MemorySink):
        async def write(self, data: bytes | memoryview) -> None:
            nonlocal largest
            largest = max(largest, len(data))
            await super().write(data)

    class WatchingSinks(Sinks):
        def __call__(self, index: int) -> MemorySink:
            self.made[index] = Watching(index)
            return self.made[index]

    sinks = WatchingSinks()
    async with gateway(sending(framed(body))) as base:
        answer = await ask(base, sinks)
    assert answer.ending is CallEnd.COMPLETE
    assert sinks.pictures == [picture]
    assert largest <= 1 << 16


async def test_client_uses_what_came_when_the_connection_breaks_while_a_sink_is_busy() -> None:
    """aiohttp hides bytes that it holds behind the error of the connection; they are paid."""
    picture = bytes(range(256)) * 1024
    body = json.dumps({"data": [{"b64_json": base64.b64encode(picture).decode()}]}).encode()

    class Busy(MemorySink):
        async def write(self, data: bytes | memoryview) -> None:
            await super().write(data)
            await asyncio.sleep(0.01)

    made: list[Busy] = []

    def sinks(index: int) -> Busy:
        made.append(Busy(index))
        return made[-1]

    for serve in (sending, then_reset):
        made.clear()
        async with (
            gateway(serve(framed(body, length=len(body) + 9))) as base,
            Client(clock=SystemClock(), key=lambda name: KEY) as client,
        ):
            answer = await client.send(a_call(base), sinks)
        assert answer.ending is CallEnd.COMPLETE
        assert bytes(made[0].data) == picture


async def test_client_lets_a_sinks_error_through_and_closes_the_connection() -> None:
    left = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(framed(WHOLE, length=len(WHOLE) + 9))
        await reader.read()
        left.set()

    class Full(MemorySink):
        async def write(self, data: bytes | memoryview) -> None:
            raise OSError(28, "No space left on device")

    async with gateway(serve) as base, Client(clock=SystemClock(), key=lambda name: KEY) as client:
        with pytest.raises(OSError, match="No space"):
            await client.send(a_call(base), Full)
        await asyncio.wait_for(left.wait(), 2)


async def test_client_is_cancelled_at_once_and_sends_nothing_afterwards() -> None:
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()

    async with gateway(serve) as base, Client(clock=SystemClock(), key=lambda name: KEY) as client:
        task = asyncio.create_task(client.send(a_call(base), Sinks()))
        await asyncio.wait_for(arrived.wait(), 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_client_sends_nothing_when_the_deadline_passes_before_the_first_byte() -> None:
    """The verdict "not sent" must stay true: a writer that wakes up later finds its permission gone."""
    got: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(1000))

    async with gateway(serve, read=False) as base:
        for _ in range(20):
            answer = await ask(base, timeout=0.0)
            assert answer.ending is CallEnd.NOT_SENT
        await asyncio.sleep(0.02)
    assert not any(got)


@pytest.mark.parametrize("frame", ["length", "chunked", "none"])
@pytest.mark.parametrize("end", ["closed", "reset"])
async def test_client_judges_an_answer_by_its_bytes_wherever_it_breaks_off(frame: str, end: str) -> None:
    body = b'{"data":[{"b64_json":"iVBORw0KGgo="}],"usage":{"total_tokens":7}}'
    head = b"HTTP/1.1 200 OK\r\nx-a: b\r\n"
    reply = {
        "length": framed(body, head=head),
        "chunked": chunked(body[:30], body[30:], head=head),
        "none": head + b"\r\n" + body,
    }[frame]
    head_end = reply.index(b"\r\n\r\n") + 4
    whole = reply.index(b"}}") + 2
    cut = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply[:cut])
        await writer.drain()
        if end == "reset":
            await asyncio.sleep(0.002)
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async with gateway(serve) as base, Client(clock=SystemClock(), key=lambda name: KEY) as client:
        for cut in range(len(reply) + 1):
            sinks = Sinks()
            answer = await client.send(a_call(base), sinks)
            expected = CallEnd.NO_ANSWER if cut < head_end else CallEnd.COMPLETE if cut >= whole else CallEnd.CUT
            assert answer.ending is expected, (reply[:cut], answer)
            assert all(b"\x89PNG\r\n\x1a\n".startswith(picture) for picture in sinks.pictures)
            assert (answer.picture is not None) is (reply[:cut].count(b'o="') == 1)


async def test_exchange_takes_back_the_permission_to_write_when_it_is_over() -> None:
    exchange = exchange_module.Exchange(a_call("http://127.0.0.1:1/v1", timeout=0.0), Sinks(), SystemClock())

    async def ask(body: RequestBody | None) -> aiohttp.ClientResponse:
        raise TimeoutError

    await exchange.run(ask)
    assert exchange.ending is CallEnd.NOT_SENT
    assert exchange.request.revoked


@pytest.mark.parametrize("state", ["revoked", "closing", "gone"])
async def test_request_body_writes_nothing_when_the_call_is_over_or_the_connection_gone(state: str) -> None:
    class Transport(asyncio.Transport):
        written = b""

        def write(self, data: bytes | bytearray | memoryview) -> None:
            self.written += bytes(data)

        def is_closing(self) -> bool:
            return state == "closing"

    transport = Transport()
    protocol = BaseProtocol(asyncio.get_running_loop(), None)
    protocol.transport = None if state == "gone" else transport
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    body = RequestBody((b"{}",), "application/json", SystemClock(), Deadline(10.0))
    body.revoked = state == "revoked"
    with pytest.raises(aiohttp.ClientConnectionResetError):
        await body.write_with_length(writer, None)
    assert (transport.written, body.begun, body.sent_at, body.seconds()) == (b"", False, 0.0, 0.0)


async def test_client_does_not_reach_a_second_host_when_the_gateway_redirects() -> None:
    reached: list[bytes] = []

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(await reader.read(100))

    async with gateway(other, read=False) as elsewhere:
        reply = f"HTTP/1.1 308 X\r\nLocation: {elsewhere}/x\r\nContent-Length: 0\r\n\r\n".encode()
        async with gateway(sending(reply)) as base:
            answer = await ask(base)
    assert (answer.ending, answer.status) == (CallEnd.COMPLETE, 308)
    assert reached == []


async def test_client_ignores_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    async with gateway(sending(framed(WHOLE))) as base:
        assert (await ask(base)).ending is CallEnd.COMPLETE


async def test_client_makes_many_calls_at_once() -> None:
    async with gateway(sending(framed(WHOLE))) as base, Client(clock=SystemClock(), key=lambda name: KEY) as client:
        answers = await asyncio.gather(*(client.send(a_call(base), Sinks()) for _ in range(200)))
    assert {answer.ending for answer in answers} == {CallEnd.COMPLETE}
