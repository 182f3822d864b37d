"""Faults of the connection and of what comes before a body: refused, reset, silent, no HTTP at all."""

from __future__ import annotations

from functools import partial

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from tests.chaos import wire_case as of
from tests.chaos.raw_gateway import FOREVER, Drip, End, Script, Send
from tests.chaos.wire_case import HEAD, WHOLE, Case, Step, framed, sends

_send_broken = partial(Case, kind=OutcomeKind.SEND_BROKEN, charge=Charge.UNKNOWN, step=Step.AGAIN, heavy=True)
_LONG = b"x" * 65536
_BAD_HEAD = framed(WHOLE, head=HEAD + b"x-a: \x00\r\n")


def _headers(count: int, size: int) -> bytes:
    return HEAD + b"".join(b"x-%d: %b\r\n" % (number, b"y" * size) for number in range(count))


_CONNECTIONS = [
    of.not_sent("refused", Script(), refused=True, says="refused", pause=(0.5, 0.5)),
    of.not_sent(
        "TLS to a gateway that speaks plain",
        Script((Send(b"HTTP/1.1 400 X\r\n\r\n"),), read=1),
        https=True,
        says="secure",
    ),
    of.not_sent("TLS that gets no answer", Script(end=End.HANG, read=1), https=True, timeout=0.5),
    of.lost("plain to a gateway that speaks TLS", sends(b"\x15\x03\x01\x00\x02\x02\x46")),
    of.lost("reset after the first byte of the request", Script(end=End.RESET, read=1)),
    of.lost("closed after the first byte of the request", Script(end=End.CLOSE, read=1)),
    of.lost("reset after the request", Script(end=End.RESET)),
    of.lost("closed after the request", sends()),
    of.lost("half-closed after the request", Script(end=End.HALF_CLOSE)),
    of.cut("half-closed within the body", sends(framed(WHOLE[:99], length=len(WHOLE)), end=End.HALF_CLOSE)),
    of.whole("half-closed after the answer", sends(framed(WHOLE), end=End.HALF_CLOSE)),
    of.timed_out("silence", Script(end=End.HANG), timeout=0.5),
    _send_broken("reset while the request is sent", Script(end=End.RESET, read=1000)),
    of.timed_out("a request that is never read", Script(end=End.HANG, read=1), timeout=0.5),
    of.whole("an answer before the request is whole", Script((Send(framed(WHOLE)),), read=1)),
]

_HEADS = [
    of.lost("half a status line", sends(b"HTTP/1.1 200 O")),
    of.lost("a head without its end", sends(HEAD)),
    of.timed_out("a head without its end, then silence", sends(HEAD, end=End.HANG), timeout=0.5),
    of.timed_out("a head one byte at a time", Script((Drip(framed(WHOLE), 0.02),)), timeout=0.5),
    of.lost("garbage", sends(b"\x00\x01garbage\r\n\r\n")),
    of.lost("bare JSON", sends(WHOLE)),
    of.lost("another protocol", sends(b"SSH-2.0-OpenSSH_9.2\r\n")),
    of.lost("HTTP/2", sends(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18))),
    of.lost("a status that is no number", sends(b"HTTP/1.1 OK 200\r\nContent-Length: 0\r\n\r\n")),
    of.lost("a status of two digits", sends(b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n")),
    of.lost("a header with NUL", sends(_BAD_HEAD)),
    of.lost("a header without a colon", sends(framed(WHOLE, head=HEAD + b"nonsense\r\n"))),
    of.whole("a header of 30 KB", sends(framed(WHOLE, head=_headers(1, 30_000)))),
    of.whole("three hundred headers", sends(framed(WHOLE, head=_headers(300, 20)))),
    of.lost("a header of 200 KB", sends(framed(WHOLE, head=_headers(1, 200_000)))),
    of.lost("a hundred thousand headers", sends(framed(WHOLE, head=_headers(100_000, 5)))),
    of.lost("a header without end", Script((Send(HEAD + b"x-a: "), Send(_LONG, FOREVER)))),
    of.lost("headers without end", Script((Send(HEAD), Send(b"a: b\r\n" * 9999, FOREVER)))),
    of.lost("a status line without end", Script((Send(b"HTTP/1.1 200 "), Send(_LONG, FOREVER)))),
    of.lost("102s without end", Script((Send(b"HTTP/1.1 102 X\r\n\r\n" * 99, FOREVER),))),
    of.whole("cookies that are none", sends(framed(WHOLE, head=HEAD + b"Set-Cookie: =; \xff\r\n"))),
]

CASES: list[Case] = [*_CONNECTIONS, *_HEADS]
