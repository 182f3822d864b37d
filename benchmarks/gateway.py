"""A gateway that is nobody's: answers made in advance, limits that it does not tell, and a count of all it was asked.

    python benchmarks/gateway.py [NAME=VALUE ...]

It prints its port. Names and values are the fields of `Options`; `GET /set?NAME=VALUE&…` changes them and counts anew,
`GET /stats` tells the counts. One thread and no library but asyncio, so that what is measured is whoever asks.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
import struct
import sys
import time
import zlib
from collections import defaultdict
from dataclasses import asdict, dataclass, field, fields
from urllib.parse import parse_qsl, urlsplit

_HEAD_END = b"\r\n\r\n"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass
class Options:
    """What the gateway is like.

    Attributes:
        latency: mean seconds of an answer; `sigma` of its logarithm, 0 for none.
        size: bytes of a picture.
        rate: calls per second and key, from a bucket that holds `burst`; 0 for no limit.
        cap: calls in flight per key; 0 for no limit.
        retry_after: seconds that a refusal asks for; -1 says nothing.
        down_from, down_for: seconds after the first call at which errors begin, and how long they go on.
        down_after: seconds that an error takes.
    """

    latency: float = 0.0
    sigma: float = 0.0
    size: int = 1024
    rate: float = 0.0
    burst: int = 1
    cap: int = 0
    retry_after: float = -1.0
    down_from: float = 0.0
    down_for: float = 0.0
    down_after: float = 1.0
    seed: int = 1


@dataclass
class Counts:
    """What it was asked since its options were set; seconds on its own clock."""

    calls: int = 0
    paid: int = 0
    refused: int = 0
    errors: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    first: float = 0.0
    last: float = 0.0
    latencies: list[float] = field(default_factory=list)


@dataclass
class Key:
    """What one key has used."""

    tokens: float
    at: float
    in_flight: int = 0


class Pictures:
    """Pictures of so many bytes, all different, of which only the first bytes are made anew."""

    def __init__(self, size: int) -> None:
        side = max(1, math.isqrt(max(1, size - 200) // 3))
        rows = b"".join(b"\0" + random.Random(1).randbytes(3 * side) for _ in range(side))
        deflated = zlib.compress(rows, 0)
        self._start = _SIGNATURE + _chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        padding = -len(self._start + self._number(0)) % 3
        self._padding = b" " * padding
        self._rest = base64.b64encode(_chunk(b"IDAT", deflated) + _chunk(b"IEND", b"")).decode()

    def base64(self, number: int) -> str:
        """Write the picture of a number."""
        return base64.b64encode(self._start + self._number(number)).decode() + self._rest

    def _number(self, number: int) -> bytes:
        padding = getattr(self, "_padding", b"")
        return _chunk(b"tEXt", b"Comment\0" + f"{number:012d}".encode() + padding)


class Gateway:
    """The options, the counts and the limits."""

    def __init__(self, options: Options) -> None:
        self.set(options)

    def set(self, options: Options) -> None:
        """Begin anew."""
        self.options = options
        self.counts = Counts()
        self.pictures = Pictures(options.size)
        self.keys: dict[str, Key] = defaultdict(lambda: Key(float(options.burst), time.monotonic()))
        self._random = random.Random(options.seed)

    def answer(self, key: str) -> tuple[float, int, bytes, Key | None]:
        """Decide about one call: after how many seconds, with which status and body; and whose place it takes."""
        options, counts, now = self.options, self.counts, time.monotonic()
        counts.calls += 1
        counts.first = counts.first or now
        used = self.keys[key]
        if options.down_from <= now - counts.first < options.down_from + options.down_for:
            counts.errors += 1
            return (
                options.down_after,
                500,
                b'{"error":{"message":"The server had an error","type":"server_error"}}',
                None,
            )
        if self._is_refused(used, now):
            counts.refused += 1
            return 0.0, 429, b'{"error":{"message":"Rate limit reached","type":"rate_limit_error"}}', None
        counts.paid += 1
        used.in_flight += 1
        latency = options.latency
        if options.sigma:
            latency = self._random.lognormvariate(math.log(latency) - options.sigma**2 / 2, options.sigma)
        counts.latencies.append(latency)
        picture = self.pictures.base64(counts.paid)
        return latency, 200, f'{{"created":1,"data":[{{"b64_json":"{picture}"}}]}}'.encode(), used

    def _is_refused(self, used: Key, now: float) -> bool:
        if self.options.cap and used.in_flight >= self.options.cap:
            return True
        if not self.options.rate:
            return False
        used.tokens = min(self.options.burst, used.tokens + (now - used.at) * self.options.rate)
        used.at = now
        if used.tokens < 1:
            return True
        used.tokens -= 1
        return False

    def told(self) -> bytes:
        """Return the counts as JSON."""
        return json.dumps(asdict(self.counts)).encode()


class Line(asyncio.Protocol):
    """One connection."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        self._data += data
        while (end := self._data.find(_HEAD_END)) >= 0:
            head = self._data[:end].decode("latin-1")
            names = {
                name.strip().lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
            }
            whole = end + len(_HEAD_END) + int(names.get("content-length", 0))
            if len(self._data) < whole:
                return
            self._data = self._data[whole:]
            self._asked(head.split(" ", 2)[1], names)

    def _asked(self, target: str, names: dict[str, str]) -> None:
        way, gateway = urlsplit(target), self._gateway
        if way.path == "/stats":
            self._write(200, gateway.told())
        elif way.path == "/set":
            gateway.set(options_of(parse_qsl(way.query)))
            self._write(200, b"{}")
        elif names.get("content-length") is None:
            self._write(404, b'{"error":{"message":"no such page"}}')
        else:
            after, status, body, place = gateway.answer(names.get("authorization", ""))
            counts = gateway.counts
            counts.in_flight += 1
            counts.most_in_flight = max(counts.most_in_flight, counts.in_flight)
            if after:
                asyncio.get_running_loop().call_later(after, self._end, status, body, place, counts)
            else:
                self._end(status, body, place, counts)

    def _end(self, status: int, body: bytes, place: Key | None, counts: Counts) -> None:
        counts.in_flight -= 1
        counts.last = time.monotonic()
        if place is not None:
            place.in_flight -= 1
        self._write(status, body)

    def _write(self, status: int, body: bytes) -> None:
        wait = self._gateway.options.retry_after
        asks = f"Retry-After: {wait:g}\r\n" if status == 429 and wait >= 0 else ""
        head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\n{asks}Content-Length: {len(body)}\r\n\r\n"
        if not self._transport.is_closing():
            self._transport.write(head.encode() + body)


def options_of(pairs: list[tuple[str, str]]) -> Options:
    """Read names and values as options."""
    kinds = {each.name: type(each.default) for each in fields(Options)}
    return Options(**{name: kinds[name](float(value)) for name, value in pairs})


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


async def main(words: list[str]) -> None:
    """Serve on loopback until it is ended."""
    gateway = Gateway(options_of([(name, value) for name, _, value in (word.partition("=") for word in words)]))
    server = await asyncio.get_running_loop().create_server(lambda: Line(gateway), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
