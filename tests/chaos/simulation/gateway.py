"""A gateway that exists in numbers only: it answers, or not, when and as its dice say, and keeps its own bill."""

from __future__ import annotations

import asyncio
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Protocol

from batchgen.domain.wire import Answer, ApiError, Call, CallEnd, Download, Fetch, Picture

PRICES = {"apiyi/gpt-image-2-vip": 30_000, "laozhang/gpt-image-2-vip": 50_000}
FREE = {("laozhang/gpt-image-2-vip", "empty"), ("laozhang/gpt-image-2-vip", "refused in words")}
IDS = (("x-request-id", "r"),)

# What may happen to a call, by weight, and whether the gateway charges for it (None: either).
FAULTS: dict[str, tuple[int, bool | None]] = {
    "429": (7, False),
    "not sent": (3, False),
    "send broken": (2, None),
    "lost": (5, None),
    "timed out": (2, None),
    "500": (6, False),
    "502": (3, None),
    "cut": (2, True),
    "empty": (2, True),
    "no image": (2, True),
    "unread": (2, True),
    "refused": (2, False),
    "refused in words": (2, True),
    "quota": (2, False),
}
HOLLOW = frozenset({"empty", "no image"})
LOST = frozenset({"send broken", "lost", "timed out", "502", "cut"})
UNCOUNTED = frozenset({"429", "not sent", "quota"})


class Sink(Protocol):
    """Where a picture goes."""

    name: str
    size: int

    async def write(self, data: bytes) -> None: ...


@dataclass
class Line:
    """One call as the gateway has it.

    Attributes:
        digest: of the image that was made for it, "" for none.
        seen: whether the other side had the whole answer in hand.
    """

    attempt: int
    task: int
    route: str
    fault: str
    charged: int
    digest: str = ""
    url: str = ""
    expires: float = 0.0
    seen: bool = False


@dataclass
class Gateway:
    """Every route's other side, over all lives of the program.

    Attributes:
        calm: whether nothing goes wrong any more.
        told: is told before a call is taken in, with the attempt and the variable of its key; gives its task and route.
    """

    dice: random.Random
    step: Callable[[str], None]
    told: Callable[[int, str], tuple[int, str]]
    now: Callable[[], float]
    rate: float
    urls: float
    calm: bool = False
    bill: list[Line] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    async def send(self, call: Call, sinks: Callable[[int], Sink]) -> Answer:
        """In place of `Client.send`."""
        task, route = self.told(call.attempt, call.key_env)
        fault = self._fault()
        may = FAULTS[fault][1] if fault else True
        taken = may or (may is None and self.dice.random() < 0.5)
        charged = PRICES[route] if taken and (route, fault) not in FREE else 0
        line = Line(call.attempt, task, route, fault, charged)
        self.bill.append(line)
        self.step(f"sent {call.attempt}")
        began = self.now()
        await asyncio.sleep(min(call.timeout, self.dice.lognormvariate(3.5, 1.0)) if not fault else self._latency())
        answer = await self._answer(call, line, sinks)
        line.seen = True
        self.step(f"answered {call.attempt}")
        return _stamped(answer, began, self.now())

    async def fetch(self, url: str, sink: Sink, *, loopback_base: str = "") -> Download:
        """In place of `Downloader.fetch`."""
        line = next(line for line in self.bill if line.url == url)
        self.step(f"fetch {line.attempt}")
        await asyncio.sleep(self.dice.uniform(0.1, 5.0))
        if self.now() >= line.expires:
            return Download(Fetch.GONE, detail="status 404")
        if not self.calm and self.dice.random() < self.rate:
            if self.dice.random() < 0.5:
                await sink.write(self.pictures[url][:40])
            return Download(Fetch.AGAIN, detail="it broke off")
        await self._write(sink, self.pictures[url])
        return Download(Fetch.DONE, Picture(sink.name, sink.size))

    async def is_there(self, call: Call) -> bool:
        """In place of `Client.is_there`."""
        self.step("asked whether it is there")
        await asyncio.sleep(self.dice.uniform(0.1, 20.0))
        return self.calm or self.dice.random() < 0.7

    def _fault(self) -> str:
        if self.calm or self.dice.random() >= self.rate:
            return ""
        return self.dice.choices(list(FAULTS), [weight for weight, _ in FAULTS.values()])[0]

    def _latency(self) -> float:
        return self.dice.choice((0.0, self.dice.uniform(0.01, 2.0), self.dice.uniform(10.0, 300.0)))

    async def _answer(self, call: Call, line: Line, sinks: Callable[[int], Sink]) -> Answer:
        if line.fault in _BARE:
            return Answer(call.attempt, _BARE[line.fault], detail=line.fault)
        if line.fault in _ERRORS:
            status, code = _ERRORS[line.fault]
            wait = self.dice.choice((None, 0.5, 20.0)) if status == 429 and code != "insufficient_quota" else None
            error = ApiError(message=line.fault, code=code) if code else None
            return Answer(
                call.attempt, CallEnd.COMPLETE, status=status, is_json=bool(code), error=error, retry_after=wait
            )
        if line.fault == "empty":
            return Answer(call.attempt, CallEnd.COMPLETE, status=200, is_json=True, request_ids=IDS)
        if line.fault == "refused in words":
            return Answer(call.attempt, CallEnd.COMPLETE, status=200, is_json=True, text="I cannot draw that")
        return await self._image(call, line, sinks)

    async def _image(self, call: Call, line: Line, sinks: Callable[[int], Sink]) -> Answer:
        data = b"this is no image" if line.fault == "no image" else _png(call.attempt, self.dice)
        if not line.fault and self.dice.random() < self.urls:
            line.url = f"https://images.example.com/{call.attempt}.png"
            line.expires = self.now() + self.dice.choice((600.0, 86_400.0, 86_400.0))
            line.digest = sha256(data).hexdigest()
            self.pictures[line.url] = data
            return Answer(call.attempt, CallEnd.COMPLETE, status=200, is_json=True, urls=(line.url,), request_ids=IDS)
        sink = sinks(0)
        await self._write(sink, data if line.fault != "cut" else data[: len(data) // 2])
        if line.fault == "cut":
            pictures = (Picture(sink.name, sink.size, "it ended early"),)
            return Answer(call.attempt, CallEnd.CUT, status=200, pictures=pictures, request_ids=IDS)
        pictures = (Picture(sink.name, sink.size),)
        if line.fault == "unread":  # at a place that nobody knows
            text = '{"made":"#0"}'
            return Answer(
                call.attempt, CallEnd.COMPLETE, status=200, is_json=True, unread=text, spare=pictures, request_ids=IDS
            )
        if not line.fault:
            line.digest = sha256(data).hexdigest()
        return Answer(call.attempt, CallEnd.COMPLETE, status=200, is_json=True, pictures=pictures, request_ids=IDS)

    async def _write(self, sink: Sink, data: bytes) -> None:
        for start in range(0, len(data), 700):
            await sink.write(data[start : start + 700])
            await asyncio.sleep(self.dice.uniform(0.0, 0.5))


_BARE = {
    "not sent": CallEnd.NOT_SENT,
    "send broken": CallEnd.SEND_FAILED,
    "lost": CallEnd.NO_ANSWER,
    "timed out": CallEnd.TIMED_OUT,
}
_ERRORS = {
    "429": (429, "rate_limit"),
    "500": (500, "server_error"),
    "502": (502, ""),
    "refused": (400, "moderation_blocked"),
    "quota": (429, "insufficient_quota"),
}


def _stamped(answer: Answer, began: float, ended: float) -> Answer:
    return replace(answer, sent_at=began, first_byte=ended - began, total=ended - began)


def _png(number: int, dice: random.Random) -> bytes:
    """A whole small PNG that no other call gets."""
    side = dice.choice((4, 16, 32))
    noise = random.Random(number)
    rows = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunks(((b"IHDR", head), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")))
    )


def _chunks(parts: tuple[tuple[bytes, bytes], ...]) -> Iterator[bytes]:
    for name, data in parts:
        yield struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
