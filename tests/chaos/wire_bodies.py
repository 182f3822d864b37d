"""Faults of a body under a 200: nothing in it, broken JSON, broken frames, compression."""

from __future__ import annotations

import gzip
import zlib

from batchgen.domain.lifecycle import Charge
from tests.chaos import wire_case as of
from tests.chaos.pictures import HTML, gzip_bomb
from tests.chaos.raw_gateway import FOREVER, Drip, End, Script, Send
from tests.chaos.wire_case import CHUNKED, HALF, HEAD, WHOLE, Case, answer, chunk, document, error, framed, sends

_MIB = 1 << 20
_OPEN = HEAD + b"\r\n"  # a head without a length
_TAIL = b"0\r\n\r\n"


def _data(value: object) -> Script:
    return answer(document({"created": 1, "data": value}))


_EMPTY = [
    of.empty("no data", _data([])),
    of.empty("an empty object as data", _data([{}])),
    of.empty("null as data", _data(None)),
    of.empty("nulls for picture and address", _data([{"b64_json": None, "url": None}])),
    of.empty("empty strings for picture and address", _data([{"b64_json": "", "url": ""}])),
    of.empty("an empty object", answer(b"{}")),
    of.empty("an empty list", answer(b"[]")),
    of.empty("no body, with a length of 0", answer(b"")),
    of.unread("null", answer(b"null")),
    of.unread("a number", answer(b"42")),
    of.page("an HTML page", answer(HTML)),
    of.page("an HTML page as such", of.status(200, b"\n<p>" + HTML, kind="text/html")),
    of.page("half an HTML page", sends(framed(HTML, length=len(HTML) + 9))),
    of.error_inside("an error", answer(error("upstream failed", "upstream_error")), says="upstream failed"),
    of.error_inside("an error beside empty data", answer(document({"error": {"message": "no"}, "data": []}))),
    of.worded("an error for the content", answer(error("no", "moderation_blocked"))),
    of.no_quota(
        "an error for want of money",
        answer(error("no", "insufficient_user_quota")),
        charge=Charge.UNKNOWN,
        step=of.Step.CLOSE,
    ),
    of.throttled(
        "an error for too many calls",
        answer(error("Please try again in 15ms", "rate_limit_exceeded")),
        charge=Charge.UNKNOWN,
        step=of.Step.AGAIN,
    ),
    of.worded("a refusal in words", _data([{"text": "I'm sorry, but I can't create that."}])),
    of.unread("an address that is no address", _data([{"url": "javascript:alert(1)"}])),
    of.damaged("a picture as a list of numbers", _data([{"b64_json": "\u0000\u0001"}])),
]

_JSON = [
    of.whole("a byte order mark", answer(b"\xef\xbb\xbf" + WHOLE)),
    of.whole("leading white space", answer(b" \r\n\t" * 500 + WHOLE)),
    of.whole("blanks to keep alive", sends(CHUNKED, *[chunk(b"\n")] * 10, chunk(WHOLE), _TAIL)),
    of.whole("garbage behind the document", answer(WHOLE + b"\x00\xffgarbage}}")),
    of.whole("a second document behind the first", answer(WHOLE + b'{"error":{"message":"late"}}')),
    of.whole("another content type", sends(framed(WHOLE, head=b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"))),
    of.whole("an event of a stream", answer(b"data: " + WHOLE + b"\n\ndata: [DONE]\n\n")),
    of.whole("HTTP 1.0", sends(_OPEN.replace(b"1.1", b"1.0") + WHOLE)),
    of.whole("bytes that are no UTF-8", answer(WHOLE.replace(b'"created": 1', b'"created": "\xff\xfe"'))),
    of.whole("a comma too many around a whole picture", answer(WHOLE.replace(b'"created": 1,', b'"created": 1,,'))),
    of.unread("single quotes", answer(WHOLE.replace(b'"', b"'"))),
    of.unread("brackets without end", answer(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")),
    of.unread("a number without end", answer(b'{"a":' + b"9" * 100_000 + b"}")),
    of.unread("zeros", answer(bytes(100_000))),
    of.whole(
        "other keys of the same name within words", answer(WHOLE.replace(b'"created": 1', b'"a": "\\"b64_json\\":\\""'))
    ),
]

_FRAMES = [
    of.whole("whole without a length, then it hangs", sends(_OPEN + WHOLE, end=End.HANG)),
    of.whole("whole without the last chunk, then it hangs", sends(CHUNKED + chunk(WHOLE), end=End.HANG)),
    of.whole("whole, the length too long, then it hangs", sends(framed(WHOLE, length=len(WHOLE) + 99), end=End.HANG)),
    of.whole("whole, the length too long, then closed", sends(framed(WHOLE, length=len(WHOLE) + 99))),
    of.whole("whole, the length too long, then reset", sends(framed(WHOLE, length=len(WHOLE) + 99), end=End.RESET)),
    of.whole("whole without the last chunk, then closed", sends(CHUNKED + chunk(WHOLE))),
    of.whole("whole, then a broken chunk", sends(CHUNKED + chunk(WHOLE), b"zz\r\n")),
    of.whole("whole, then blanks without end", Script((Send(_OPEN + WHOLE), Drip(b" ", 0.01)))),
    of.cut("the length too short", sends(framed(WHOLE[:-5], length=len(WHOLE) - 5), WHOLE[-5:])),
    of.whole("the length too short by a bracket", sends(framed(WHOLE[:-1], length=len(WHOLE) - 1), WHOLE[-1:])),
    of.whole("a line behind the body", sends(framed(WHOLE) + b"\r\n")),
    of.whole("garbage behind the body", sends(framed(WHOLE), b"garbage")),
    of.whole(
        "a second answer behind the first", sends(framed(WHOLE) + framed(error("late"), head=b"HTTP/1.1 500 X\r\n"))
    ),
    of.cut("short without a length", sends(_OPEN, HALF)),
    of.whole("only brackets missing behind a whole picture", sends(_OPEN, WHOLE[:-2])),
    of.cut("all but the picture's last quote", sends(_OPEN, WHOLE[:-4])),
    of.cut("nothing but the head", sends(_OPEN)),
    of.cut("short with a length", sends(framed(HALF, length=len(WHOLE)))),
    of.cut("short, and the length says so", answer(HALF)),
    of.cut("short, without the last chunk", sends(CHUNKED, chunk(HALF))),
    of.cut("short, with the last chunk", sends(CHUNKED, chunk(HALF), _TAIL)),
    of.cut("reset within the body", sends(framed(HALF, length=len(WHOLE)), end=End.RESET)),
    of.cut("a chunk size that is none", sends(CHUNKED, chunk(HALF), b"zz\r\n")),
    of.cut("a negative chunk size", sends(CHUNKED, chunk(HALF), b"-5\r\n")),
    of.cut("a chunk size beyond all memory", sends(CHUNKED, chunk(HALF), b"fffffffffffffffff\r\nabc")),
    of.cut("a chunk longer than its size", sends(CHUNKED, chunk(HALF), b"2\r\nabcdef\r\n")),
    of.cut("silence within the picture", sends(framed(HALF, length=len(WHOLE)), end=End.HANG), timeout=0.5),
    of.cut("silence behind the head", sends(HEAD + b"Content-Length: 9\r\n\r\n", end=End.HANG), timeout=0.5),
    of.cut("one blank at a time", Script((Send(CHUNKED), Drip(b"1\r\n \r\n", 0.01))), timeout=0.5),
    of.cut("one byte of the body at a time", Script((Send(_OPEN), Drip(WHOLE, 0.02))), timeout=0.5),
    # aiohttp drops a head that comes in one piece with a broken frame, so nothing is known of these two.
    of.lost("garbage behind the body in the piece of the head", sends(framed(WHOLE) + b"garbage")),
    of.lost("a broken chunk in the piece of the head", sends(CHUNKED + chunk(HALF) + b"zz\r\n")),
    of.lost("two lengths", sends(framed(WHOLE, head=HEAD + b"Content-Length: 3\r\n"))),
    of.lost("a length that is no number", sends(HEAD + b"Content-Length: many\r\n\r\n" + WHOLE)),
    of.lost("a negative length", sends(framed(WHOLE, length=-1))),
]


def _packed(body: bytes, encoding: str) -> Script:
    return answer(body, f"Content-Encoding: {encoding}")


_PICTURE = b'{"data":[{"b64_json":"'
_PACKED = [
    of.whole("gzip", _packed(gzip.compress(WHOLE), "gzip")),
    of.whole("deflate", _packed(zlib.compress(WHOLE), "deflate")),
    of.whole("deflate without its head", _packed(zlib.compress(WHOLE)[2:-4], "deflate")),
    of.whole(
        "gzip in three members", _packed(b"".join(map(gzip.compress, (WHOLE[:9], WHOLE[9:99], WHOLE[99:]))), "gzip")
    ),
    of.whole("gzip with garbage behind it", _packed(gzip.compress(WHOLE) + b"garbage", "gzip")),
    of.whole("an unknown encoding that was not used", _packed(WHOLE, "br")),
    of.whole("gzip that was not used", _packed(WHOLE, "gzip")),
    of.unread("an encoding that is unknown", _packed(b"\x8b\x00\x81" * 50, "br")),
    of.unread("gzip within gzip", _packed(gzip.compress(gzip.compress(WHOLE)), "gzip, gzip")),
    of.cut("gzip cut short", _packed(gzip.compress(WHOLE)[:-30], "gzip")),
    of.cut("gzip of half", _packed(gzip.compress(HALF), "gzip")),
    of.cut("gzip that is none", _packed(b"\x1f\x8b\x08\x00garbage", "gzip")),
    of.cut("ten thousand members of gzip", _packed(gzip.compress(b"") * 10_000, "gzip")),
    of.oversized("a hundred members full of blanks", _packed(gzip.compress(b" " * _MIB) * 100, "gzip")),
    of.oversized("a gigabyte of blanks in gzip", _packed(gzip_bomb(b"", b" " * _MIB, 1024), "gzip")),
    of.oversized("a gigabyte of picture in gzip", _packed(gzip_bomb(_PICTURE, b"QUJD" * (_MIB // 4), 1024), "gzip")),
    of.oversized(
        "a gigabyte of text in deflate", _packed(gzip_bomb(b'{"a":"', b"x" * _MIB, 1024, zlib_head=True), "deflate")
    ),
    of.damaged(
        "a gigabyte of tiny pictures in gzip", _packed(gzip_bomb(b"{", b'"b64_json":"QUJD",' * 50_000, 1024), "gzip")
    ),
]

_ENDLESS = [
    of.oversized(
        "text without end", Script((Send(CHUNKED), Send(chunk(b'{"a":"')), Send(chunk(b"x" * 65536), FOREVER)))
    ),
    of.oversized("blanks without end", Script((Send(_OPEN), Send(b" " * 65536, FOREVER)))),
    of.oversized("a picture without end", Script((Send(_OPEN + _PICTURE), Send(b"QUJD" * 16384, FOREVER)))),
    of.oversized("blanks within a picture without end", Script((Send(_OPEN + _PICTURE), Send(b" " * 65536, FOREVER)))),
    of.oversized("a list without end", Script((Send(_OPEN + b'{"data":['), Send(b'{"url":null},' * 5000, FOREVER)))),
    of.oversized("an HTML page without end", Script((Send(_OPEN + HTML), Send(b"<p>" * 20000, FOREVER)))),
    of.edge("an error without end", Script((Send(_OPEN.replace(b"200", b"500")), Send(b"x" * 65536, FOREVER)))),
    of.cut(
        "a chunk extension without end",
        Script((Send(CHUNKED), Send(b"5;a="), Send(b"x" * 65536, FOREVER))),
        timeout=0.5,
    ),
    of.cut("a chunk size without end", Script((Send(CHUNKED), Send(b"0" * 65536, FOREVER))), timeout=0.5),
    of.whole(
        "a trailer without end", Script((Send(CHUNKED + chunk(WHOLE)), Send(b"0\r\na: "), Send(b"x" * 65536, FOREVER)))
    ),
    of.whole(
        "trailers without end",
        Script((Send(CHUNKED + chunk(WHOLE)), Send(b"0\r\n"), Send(b"a: b\r\n" * 9999, FOREVER))),
    ),
]

CASES: list[Case] = [*_EMPTY, *_JSON, *_FRAMES, *_PACKED, *_ENDLESS]
