"""Proxies on loopback: one of our own, and tinyproxy where it is installed; and a gateway behind TLS to be reached by it.

Hosts such as `gateway.example` exist for the proxy alone, which leads all of them to ports of this machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from yarl import URL

from tests.support.sockets import Handler, connections

USER, PASSWORD = "clerk", "pr0xy+canary/Xw7=Qz"
NAMES = ("gateway.example", "images.example", "localhost")
TINYPROXY = shutil.which("tinyproxy")


@dataclass
class OwnProxy:
    """What a proxy of our own was asked, and what it does.

    Attributes:
        login: user and password that it wants, "" for none.
        hosts: the ports of this machine that names lead to.
        refusal: what it answers instead of leading on, whole.
        asked: the first line of every request that it let pass or refused.
        heads: of all requests, as they came.
    """

    login: str = ""
    hosts: dict[str, int] = field(default_factory=dict)
    refusal: bytes = b""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        first, _, rest = head.partition(b"\r\n")
        self.asked.append(first.decode())
        method, target, _ = first.decode().split()
        wanted = b"Basic " + base64.b64encode(self.login.encode())
        if self.login and wanted not in head:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        elif self.refusal:
            length = [line for line in rest.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            await reader.readexactly(int(length[0].split()[1]) if length else 0)
            writer.write(self.refusal)
        elif method == "CONNECT":
            await self._tunnel(URL(f"https://{target}"), b"", reader, writer)
        else:
            url = URL(target)
            lines = [line for line in rest.split(b"\r\n") if not line.lower().startswith(b"proxy-")]
            await self._tunnel(
                url, f"{method} {url.raw_path_qs} HTTP/1.1\r\n".encode() + b"\r\n".join(lines), reader, writer
            )
        await writer.drain()

    async def _tunnel(self, url: URL, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = self.hosts.get(url.host or "", url.port or 0)
        there, out = await asyncio.open_connection("127.0.0.1", port)
        if first:
            out.write(first)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_pump(reader, out), _pump(there, writer))
        finally:
            out.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(1 << 16):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
        else:
            sink.close()


@contextlib.asynccontextmanager
async def own_proxy(
    *, login: str = "", refusal: bytes = b"", tls: ssl.SSLContext | None = None, **hosts: int
) -> AsyncIterator[OwnProxy]:
    """A proxy; `hosts` are ports by the first part of a name, below `.example`."""
    made = OwnProxy(login, {f"{name}.example": port for name, port in hosts.items()}, refusal)
    async with connections(made.serve, ssl=tls) as made.port:
        yield made


@contextlib.asynccontextmanager
async def tinyproxy(folder: Path, *, login: str = "", upstream: int = 0) -> AsyncIterator[int]:
    """Debian's tinyproxy; gives its port. What it cannot resolve itself it hands to another proxy."""
    assert TINYPROXY is not None
    folder.mkdir()
    async with connections(_nobody) as free:
        pass
    lines = [f"Port {free}", "Listen 127.0.0.1", "Timeout 60", "LogLevel Info", f'LogFile "{folder}/log"']
    lines += [f'PidFile "{folder}/pid"', "MaxClients 100", "Allow 127.0.0.1"]
    lines += [f"BasicAuth {login.replace(':', ' ')}"] if login else []
    lines += [f"Upstream http 127.0.0.1:{upstream}"] if upstream else []
    (folder / "conf").write_text("\n".join(lines) + "\n")
    process = await asyncio.create_subprocess_exec(
        TINYPROXY, "-d", "-c", str(folder / "conf"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            assert process.returncode is None, (folder / "log").read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", free)
            except OSError:
                await asyncio.wait([asyncio.ensure_future(process.wait())], timeout=0.02)
                continue
            writer.close()
            break
        yield free
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close every connection."""


@dataclass(frozen=True)
class Certificate:
    """One for every name here, by nobody but itself.

    Attributes:
        file: what whoever is to trust it reads.
    """

    file: Path
    server: ssl.SSLContext

    @classmethod
    def made(cls, folder: Path) -> Certificate:
        key, file = folder / "key.pem", folder / "certificate.pem"
        names = ",".join([*(f"DNS:{name}" for name in NAMES), "IP:127.0.0.1"])
        words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        words += ["-subj", "/CN=batchgen tests", "-days", "2", "-addext", f"subjectAltName={names}"]
        subprocess.run([*words, "-keyout", str(key), "-out", str(file)], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, key)
        return cls(file, context)


@contextlib.asynccontextmanager
async def served_by_tls(handler: Handler, tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A well-behaved server behind TLS; gives its port."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
