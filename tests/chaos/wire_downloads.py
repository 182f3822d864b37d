"""Faults of a download: the call is paid, its address leads somewhere odd. None of them ever makes another call."""

from __future__ import annotations

import gzip

from tests.chaos import pictures
from tests.chaos import wire_case as of
from tests.chaos.pictures import GOOD_PICTURE, HTML, gzip_bomb
from tests.chaos.raw_gateway import FOREVER, PORT, Drip, End, Script, Send
from tests.chaos.wire_case import Case, answer, document, framed, sends, status

_HERE = f"http://127.0.0.1:{PORT.decode()}/files/a.png"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
_GOOD = sends(framed(GOOD_PICTURE, head=_HEAD))
_SHORT = 0.3  # seconds for which an address that never works is told to live


def _at(url: str) -> Script:
    return answer(document({"data": [{"url": url}]}))


_ADDRESS = _at(_HERE)


def _goes(name: str, *downloads: Script, **more: str) -> Case:
    """Delivered in the end."""
    return of.whole(f"download: {name}", _ADDRESS, downloads=downloads, **more)


def _dead(name: str, *downloads: Script, says: str = "") -> Case:
    """Paid, and parked."""
    return of.expired(f"download: {name}", _ADDRESS, downloads=downloads, lifetime=_SHORT, says=says)


def _status(code: int, *headers: str) -> Script:
    return status(code, HTML, *headers, kind="text/html")


def _to(location: str) -> Script:
    return status(302, b"", f"Location: {location}")


def _never(name: str, url: str) -> Case:
    """Paid, at an address that nothing can allow."""
    return of.expired(f"address: {name}", _at(url), says="never gone to")


def _withheld(name: str, url: str) -> Case:
    """Paid, at an address that `images_from` can allow."""
    return of.withheld(f"address: {name}", _at(url))


def _leads_away(name: str, location: str) -> Case:
    return of.withheld(f"download: {name}", _ADDRESS, downloads=(_to(location),))


_STATUS = [
    _goes("at once", _GOOD),
    _goes("500, then good", _status(500), _GOOD),
    _goes("429 and 503, then good", _status(429), _status(503), _GOOD),
    _goes("nothing, then good", sends(), _GOOD),
    _goes("reset, then good", Script(end=End.RESET), _GOOD),
    _goes("garbage, then good", sends(b"garbage\r\n\r\n"), _GOOD),
    _goes("an empty file, then good", sends(framed(b"", head=_HEAD)), _GOOD),
    _goes("one redirect, then good", _to("/files/b.png"), _GOOD),
    _dead("404", _status(404), says="404"),
    _dead("403", _status(403), says="403"),
    _dead("410", _status(410), says="410"),
    _dead("500 until it expires", _status(500), says="expired"),
    _dead("204 until it expires", status(204), says="expired"),
    _dead("silence until it expires", Script(end=End.HANG), says="expired"),
    _dead("a redirect to itself", _to("/files/a.png"), says="redirects"),
    _dead("a redirect to nowhere", _status(302)),
    _dead("a redirect to a file", _to("file:///etc/passwd")),
    _leads_away("a redirect to another port here", "http://127.0.0.1:1/a.png"),
    _leads_away("a redirect to this machine by another name", _HERE.replace("127.0.0.1", "localhost")),
    _leads_away("a redirect to another host in the clear", "http://example.com/a.png"),
    _dead("a redirect to the metadata service", _to("https://169.254.169.254/latest"), says="public"),
    _leads_away("a redirect to a private network", "https://10.0.0.1/a.png"),
    _dead("a redirect to NAT64", _to("https://[64:ff9b::7f00:1]/a.png"), says="public"),
]

_BODIES = [
    _goes("cut, then good", sends(framed(GOOD_PICTURE[:500], length=len(GOOD_PICTURE), head=_HEAD)), _GOOD),
    _goes("reset within, then good", sends(framed(GOOD_PICTURE[:500], length=9999, head=_HEAD), end=End.RESET), _GOOD),
    _goes("standing still, then good", sends(framed(GOOD_PICTURE[:500], length=9999, head=_HEAD), end=End.HANG), _GOOD),
    _goes("a slow drip, then good", Script((Send(_HEAD + b"\r\n"), Drip(GOOD_PICTURE, 0.05))), _GOOD),
    _goes(
        "a broken chunk, then good", sends(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"zz\r\n"), _GOOD
    ),
    _goes(
        "damaged gzip, then good",
        sends(framed(b"\x1f\x8b\x08\x00x", head=_HEAD + b"Content-Encoding: gzip\r\n")),
        _GOOD,
    ),
    _goes("whole in gzip", sends(framed(gzip.compress(GOOD_PICTURE), head=_HEAD + b"Content-Encoding: gzip\r\n"))),
    _goes("gzip that was not used", sends(framed(GOOD_PICTURE, head=_HEAD + b"Content-Encoding: gzip\r\n"))),
    _goes("without a length", sends(_HEAD + b"\r\n", GOOD_PICTURE)),
    _goes("a JPEG under another type", sends(framed(pictures.NOISE["jpeg"], head=_HEAD)), ending=".jpg"),
    _dead(
        "gzip without end",
        sends(framed(gzip_bomb(b"", bytes(1 << 20), 1024), head=_HEAD + b"Content-Encoding: gzip\r\n")),
    ),
    _dead("a file without end", Script((Send(_HEAD + b"\r\n"), Send(bytes(1 << 20), FOREVER))), says="larger"),
    of.damaged("download: a page", _ADDRESS, downloads=(sends(framed(HTML, head=_HEAD)),), says="text"),
    of.damaged("download: cut without a length", _ADDRESS, downloads=(sends(_HEAD + b"\r\n", GOOD_PICTURE[:500]),)),
]

_ADDRESSES = [
    _withheld("another port of this machine", "http://127.0.0.1:1/a.png"),
    _withheld("in the clear", "http://example.com/a.png"),
    _never("the metadata service", "https://169.254.169.254/latest/meta-data"),
    _withheld("a private network", "https://192.168.1.1/a.png"),
    _withheld("this machine over IPv6", "https://[::1]/a.png"),
    _never("this machine as one number", "https://2130706433/a.png"),
    _never("with a user in it", "https://user:pass@example.com/a.png"),
    _withheld("an odd port", "https://example.com:22/a.png"),
    of.unread("address: a file", _at("file:///etc/passwd")),
    of.unread("address: far too long", _at("https://example.com/" + "a" * 20_000)),
    of.whole(
        "address: whole in an answer that was cut",
        sends(framed(document({"data": [{"url": _HERE}]})[:-2], length=999)),
        downloads=(_GOOD,),
    ),
]

CASES: list[Case] = [*_STATUS, *_BODIES, *_ADDRESSES]
