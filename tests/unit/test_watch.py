"""The key is found in a picture wherever it stands and however it is cut."""

from __future__ import annotations

import os
import struct
import zlib
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from batchgen.gateway.watch import HOLDS_KEY, KeyWatch
from tests.support.pace import no_longer_than

KEY = "sk-canary+7Qw3/zX9v=Tr5mB8nK"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
BEARER = f"Authorization: Bearer {KEY}"
FORMS = {
    "plain": KEY.encode(),
    "in words": BEARER.encode() + b" and more",
    "hex": KEY.encode().hex().encode(),
    "HEX": KEY.encode().hex().upper().encode(),
    **{f"base64 {n}": b64encode(b"x" * n + KEY.encode() + b"yz") for n in range(3)},
    "base64url": urlsafe_b64encode(BEARER.encode()),
    "in an address": quote(KEY, safe="").encode(),
    "in an address, small": quote(KEY, safe="")
    .replace("%2B", "%2b")
    .replace("%2F", "%2f")
    .replace("%3D", "%3d")
    .encode(),
    "percent": "".join(f"%{ord(char):02X}" for char in KEY).encode(),
    "JSON": "".join(f"\\u{ord(char):04x}" for char in KEY).encode(),
    "JSON with slashes": KEY.replace("/", "\\/").encode(),
    "UTF-16": KEY.encode("utf-16"),
    "UTF-16 LE": KEY.encode("utf-16-le"),
    "UTF-16 BE": KEY.encode("utf-16-be"),
}


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    return (
        SIGNATURE + chunk(b"IHDR", bytes(13)) + b"".join(chunks) + chunk(b"IDAT", os.urandom(500)) + chunk(b"IEND", b"")
    )


PACKED = zlib.compress(BEARER.encode())
TEXTS = {
    "tEXt": chunk(b"tEXt", b"Comment\0" + BEARER.encode()),
    "zTXt": chunk(b"zTXt", b"Comment\0\0" + PACKED),
    "iTXt": chunk(b"iTXt", b"Comment\0\1\0de\0Kommentar\0" + PACKED),
    "iTXt without a language": chunk(b"iTXt", b"Comment\0\1\0\0\0" + PACKED),
    "iTXt, not compressed": chunk(b"iTXt", b"Comment\0\0\0\0\0" + BEARER.encode()),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + PACKED),
    "eXIf": chunk(b"eXIf", b"II*\0" + BEARER.encode()),
    "the second": chunk(b"zTXt", b"A\0\0" + zlib.compress(b"hello")) + chunk(b"zTXt", b"B\0\0" + PACKED),
}


def found(data: bytes, size: int, key: str = KEY) -> bool:
    watch = KeyWatch(key)
    for at in range(0, len(data), size):
        watch.take(data[at : at + size])
    assert watch.damage == (HOLDS_KEY if watch.found else "")
    return watch.found


@pytest.mark.parametrize("form", FORMS)
def test_key_is_found_in_every_form_and_at_every_cut(form: str) -> None:
    before, after = os.urandom(300), os.urandom(300)
    for size in (1, 2, 7, 64, 299, 300, 310, 330, 1 << 16):
        assert found(before + FORMS[form] + after, size), size
    for cut in range(len(FORMS[form])):
        watch = KeyWatch(KEY)
        watch.take(before + FORMS[form][:cut])
        watch.take(FORMS[form][cut:] + after)
        assert watch.found, cut


@pytest.mark.parametrize("text", TEXTS)
def test_key_is_found_in_every_text_of_a_png(text: str) -> None:
    for size in (1, 3, 8, 50, 1 << 16):
        assert found(png(TEXTS[text]), size), size


def test_key_behind_the_end_of_the_picture_is_found() -> None:
    assert found(png() + KEY.encode(), 100)


@pytest.mark.parametrize(
    "data",
    [
        os.urandom(1 << 16),
        png(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000)))),
        png(chunk(b"zTXt", b"no zero byte")),
        png(chunk(b"zTXt", b"")),
        SIGNATURE + b"\xff" * 100,
        SIGNATURE[:5],
        b"",
        KEY[:-1].encode() * 50,
        KEY[1:].encode() * 50,
    ],
    ids=["noise", "another text", "no text", "an empty text", "endless", "cut", "nothing", "no end", "no beginning"],
)
def test_nothing_is_found_where_the_key_is_not(data: bytes) -> None:
    for size in (1, 10, 1 << 16):
        assert not found(data, size)


def test_what_is_no_key_is_not_looked_for() -> None:
    for key in ("", "K", "short"):
        assert not found(png(TEXTS["tEXt"]) + b"short K", 100, key)


def test_text_that_inflates_without_end_takes_no_time() -> None:
    bomb = zlib.compress(bytes(50 << 20))
    with no_longer_than(600):
        assert not found(png(*[chunk(b"zTXt", b"a\0\0" + bomb)] * 5), 1 << 16)


def test_every_secret_of_a_call_is_looked_for() -> None:
    password = "pr0xy+canary/Xw7=Qz"
    for secrets in ((KEY, password), (password, KEY), ("", password)):
        watch = KeyWatch(*secrets)
        watch.take(png(chunk(b"tEXt", b"way\0" + b64encode(f"clerk:{password}".encode()))))
        assert watch.damage == HOLDS_KEY
    watch = KeyWatch(KEY)
    watch.take(png(chunk(b"tEXt", b"way\0" + password.encode())))
    assert watch.damage == ""
