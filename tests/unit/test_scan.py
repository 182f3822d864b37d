"""The scanner takes base64 pictures out of a JSON text, wherever the text is cut, and never gives other bytes."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.gateway import scan
from batchgen.gateway.picture_start import key_pattern
from batchgen.gateway.scan import MARK, WITHIN_MARK, Scanner


def scanned(text: bytes, cuts: list[int] | None = None) -> tuple[Scanner, list[bytes]]:
    """Feed a text in pieces that end at the cuts; gives the scanner and the decoded pictures."""
    scanner = Scanner()
    pictures: dict[int, bytearray] = {}
    edges = [0, *sorted(cuts or []), len(text)]
    for start, end in itertools.pairwise(edges):
        for index, piece in scanner.feed(text[start:end]):
            pictures.setdefault(index, bytearray()).extend(piece)
    scanner.finish()
    return scanner, [bytes(pictures.get(index, b"")) for index in range(len(scanner.pictures))]


def one(value: str) -> tuple[str, bytes]:
    """Damage and bytes of one picture whose JSON string has this content as written."""
    scanner, pictures = scanned(b'{"b64_json":"' + value.encode() + b'"}')
    return scanner.pictures[0].damage, pictures[0]


def one_byte_at_a_time(text: bytes) -> list[int]:
    return list(range(1, len(text)))


def test_scanner_decodes_and_leaves_a_mark() -> None:
    picture = bytes(range(256)) * 5
    text = json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(picture).decode()}], "usage": {"a": 1}})
    scanner, pictures = scanned(text.encode())
    assert pictures == [picture]
    assert json.loads(scanner.text) == {"created": 1, "data": [{"b64_json": MARK + "0"}], "usage": {"a": 1}}
    assert scanner.pictures[0].size == len(picture)
    assert scanner.pictures[0].damage == ""


@pytest.mark.parametrize(
    "value",
    [
        "iVBORw0KGgo=",
        "iVBORw0KGgo",
        "data:image/png;base64,iVBORw0KGgo=",
        "data:image\\/png;base64,iVBORw0KGgo",
        "data:image/png;charset=x;BASE64,iVBORw0KGgo=",
        "iVBO\\nRw0K\\r\\nGgo=",
        "iVBO Rw0K\\tGgo=\\n",
        "iVBORw0KGgo\\u003d",
        "\\u0069VBORw0KGgo\\u003D",
    ],
)
def test_scanner_decodes_every_wrapping_wherever_it_is_cut(value: str) -> None:
    text = b'{"data":[{"b64_json":"' + value.encode() + b'","x":"y"}]}'
    for cut in range(1, len(text)):
        scanner, pictures = scanned(text, [cut])
        assert pictures == [b"\x89PNG\r\n\x1a\n"], cut
        assert scanner.pictures[0].damage == "", cut
        assert json.loads(scanner.text) == {"data": [{"b64_json": "#0", "x": "y"}]}
    assert scanned(text, one_byte_at_a_time(text))[1] == [b"\x89PNG\r\n\x1a\n"]


@pytest.mark.parametrize(
    "value",
    [
        "iVBOR*w0KGgo=",  # stray text: a lenient decoder would return other bytes
        "iVBORw0KGgo=====",
        "iVBORw0KGgo=iVBO",
        "QUJDRA==QUJD",
        "QUJDR",  # one character more than whole groups
        "_-_-",  # the URL-safe alphabet is another alphabet
        "<html>error</html>",
        "QUJD\\\\QUJD",
        "QUJD\\\\rtQUJD",  # dropping `\r` would make a `\t` and hide the backslash
        'QUJD\\"QUJD',
        "QUJD\\u20acQUJD",
        "QUJD\\u000",
        "data:image/png,iVBO",
        "data:image/svg+xml;utf8,<svg/>",
        "data:" + "x" * 400,
    ],
)
def test_scanner_reports_damage_and_keeps_the_rest_whole_wherever_it_is_cut(value: str) -> None:
    text = b'{"b64_json":"' + value.encode() + b'","b64_json":"QUJD"}'
    for cuts in ([], one_byte_at_a_time(text), *([cut] for cut in range(1, len(text)))):
        scanner, pictures = scanned(text, cuts)
        assert scanner.pictures[0].damage
        assert pictures[1] == b"ABC"
        assert scanner.text == '{"b64_json":"#0","b64_json":"#1"}'


def test_scanner_gives_no_byte_after_damage() -> None:
    damage, picture = one("QUJDREVG" + "*" + "QUJD" * 100)
    assert damage
    assert picture == b""
    scanner, pictures = scanned(b'{"b64_json":"QUJD*QUJDQUJD"}', [17])
    assert pictures == [b"ABC"]
    assert scanner.pictures[0].damage


@pytest.mark.parametrize(
    "text",
    [
        '{"b64_json":null,"url":"https://x/y"}',
        '{"b64_json":""}',
        '{"b64_json":"data:image/png;base64,"}',
        '{"a":"b64_json","b":"QUJD"}',
        '{"a":"say \\"b64_json\\":\\"QUJD\\""}',
        '{"a\\"b64_json":"QUJD"}',
        '{"xb64_json":"QUJD"}',
        '{"a\\"b64_json":"QUJD","x":"' + "y" * 200 + '"}',
        '{"b64_json":["QUJD"]}',
        '{"b64_json":"https://x/y.png"}',
        '{"b64_json":"HTTP:\\/\\/x\\/y.png"}',
        '{"x":"/9j/short"}',
        '{"x":"iVBORw0KGg"}',
        '{"x":"an iVBORw0KGgo= within"}',
    ],
)
def test_scanner_finds_no_picture_where_there_is_none_wherever_it_is_cut(text: str) -> None:
    for cut in range(1, len(text)):
        scanner, _ = scanned(text.encode(), [cut])
        assert [found for found in scanner.pictures if found.size or found.damage] == []
        assert MARK not in scanner.text
        json.loads(scanner.text)


SIGNED = {
    "png": b"\x89PNG\r\n\x1a\n\xff\xfe\xfb rest",
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\xff\xff\xff rest",
    "webp": b"RIFF\xff\xfb\xef\x00WEBPVP8 rest",
}


@pytest.mark.parametrize("kind", SIGNED)
@pytest.mark.parametrize("slash", ["/", "\\/", "\\u002f"])
def test_picture_is_known_by_its_first_bytes_under_any_key_wherever_it_is_cut(kind: str, slash: str) -> None:
    encoded = base64.b64encode(SIGNED[kind]).decode().replace("/", slash)
    text = f'{{"whatever": ["{encoded}"], "x": "y"}}'.encode()
    for cuts in ([], one_byte_at_a_time(text), *([cut] for cut in range(1, len(text)))):
        scanner, pictures = scanned(text, cuts)
        assert pictures == [SIGNED[kind]]
        assert json.loads(scanner.text) == {"whatever": ["#0"], "x": "y"}


@pytest.mark.parametrize(
    "value", ["QUJD" * 30, "QUJD", "data:image/png;base64,QUJD", "https://x/y.png", "/files/y.png"]
)
def test_key_that_a_contract_names_holds_base64_of_any_kind_or_an_address_wherever_it_is_cut(value: str) -> None:
    text = f'{{"drawn":"{value}","x":"y"}}'.encode()
    for cuts in ([], one_byte_at_a_time(text), *([cut] for cut in range(1, len(text)))):
        scanner = Scanner(key_pattern(("b64_json",), "drawn"))
        pictures = b""
        for start, end in itertools.pairwise([0, *cuts, len(text)]):
            pictures += b"".join(piece for _, piece in scanner.feed(text[start:end]))
        scanner.finish()
        is_base64 = "." not in value
        assert pictures == (base64.b64decode(value.rpartition(",")[2]) if is_base64 else b"")
        assert json.loads(scanner.text)["drawn"] in ((value,) if not is_base64 else ("#0", "data:#0"))


def test_scanner_takes_a_data_url_for_a_picture_when_it_stands_in_url() -> None:
    text = b'{"data":[{"url":"data:image/png;base64,QUJD"},{"url":"https://x/y.png"}]}'
    for cut in range(1, len(text)):
        scanner, pictures = scanned(text, [cut])
        assert pictures == [b"ABC"]
        assert scanner.text == '{"data":[{"url":"#0"},{"url":"https://x/y.png"}]}'


def test_scanner_marks_an_open_picture_as_damaged_when_the_text_ends() -> None:
    scanner, pictures = scanned(b'{"b64_json":"QUJDQU')
    assert pictures == [b"ABC"]
    assert "ended inside" in scanner.pictures[0].damage
    assert scanner.inside


def test_scanner_stops_when_a_limit_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_PICTURE", 100)
    monkeypatch.setattr(scan, "MAX_REST", 1000)
    assert "picture" in scanned(b'{"b64_json":"' + b"QUJD" * 40)[0].too_large
    assert "around" in scanned(b'{"x":"' + b"y" * 2000)[0].too_large
    many = b"[" + b",".join([b'{"b64_json":"QUJD"}'] * 33) + b"]"
    scanner, pictures = scanned(many)
    assert "pictures" in scanner.too_large
    assert len(pictures) == 32


def test_scanner_counts_a_damaged_picture_towards_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MAX_BODY", 500)
    scanner, _ = scanned(b'{"b64_json":"*' + b"*" * 1000, list(range(100, 1000, 100)))
    assert "body" in scanner.too_large


def test_scanner_knows_when_more_must_come() -> None:
    scanner = Scanner()
    for piece, may in (
        (b'{"data":[{"b64_json":"QUJD', False),
        (b'"}', True),
        (b"]", True),
        (b"} \n", True),
        (b" ", True),
    ):
        scanner.feed(piece)
        assert scanner.may_be_whole() is may
    scanner.feed(b',"x"')
    assert not scanner.may_be_whole()


def test_scanner_memory_stays_flat_when_a_picture_is_large() -> None:
    scanner = Scanner()
    scanner.feed(b'{"b64_json":"')
    piece = base64.b64encode(random.Random(1).randbytes(49_152))
    total = sum(len(decoded) for _ in range(100) for _, decoded in scanner.feed(piece))
    assert total == 100 * 49_152
    assert len(scanner.text) < 100


# What the scanner must agree with: the whole text, parsed and decoded at once.

_KEYS = st.sampled_from(["b64_json", "url", "x", 'a"b64_json', "b64_json\\", "data", "b64_jso", "error"])
_BASE64 = st.binary(max_size=70).map(lambda raw: base64.b64encode(raw).decode())
_PICTURES = st.builds(
    lambda prefix, text, pad, every: prefix + "\n".join(_split(text if pad else text.rstrip("="), every)),
    st.sampled_from(["", "", "data:image/png;base64,"]),
    _BASE64,
    st.booleans(),
    st.sampled_from([1000, 1000, 5, 64]),
)
_WORDS = st.one_of(
    _PICTURES,
    st.text(max_size=20),
    st.sampled_from(['"b64_json":"QUJD"', "\\", '"', "{", "}", "b64_json", "https://x/y.png", "data:,", "QUJ*"]),
    st.builds("{}{}".format, st.sampled_from(["iVBORw0KGgoA", "/9j/4AAQSkZJRgABAQAA", "UklGRiQAAABXRUJQ"]), _BASE64),
)
_DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.integers(), _WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=12,
)


def _split(text: str, every: int) -> list[str]:
    return [text[start : start + every] for start in range(0, len(text), every)]


_SCHEME = re.compile("https?:", re.IGNORECASE)
_SIGNED = re.compile("iVBORw0KGg[o-r]|/9j/[A-Za-z0-9+/]{12}|UklGR[A-Za-z0-9+/]{6}XRUJQ")


def expected(document: object) -> tuple[object, list[bytes | None]]:
    """The document with its marks and its pictures (None: damaged), by the plain way."""
    pictures: list[bytes | None] = []

    def walk(node: object) -> object:
        if isinstance(node, list):
            return [walk(each) for each in node]
        if isinstance(node, str) and (found := re.match(r"data:image/png;base64,([A-Za-z0-9+/=]+)", node)):
            pictures.append(decode(found[1]))
            return f"{WITHIN_MARK}{len(pictures) - 1}{node[found.end() :]}"
        if isinstance(node, str) and _SIGNED.match(node):
            return mark(node)
        if not isinstance(node, dict):
            return node
        return {key: walk(value) if not taken(key, value) else mark(value) for key, value in node.items()}

    def taken(key: str, value: object) -> bool:
        return isinstance(value, str) and (
            (key == "b64_json" and not _SCHEME.match(value)) or (key == "url" and value.startswith("data:"))
        )

    def mark(value: str) -> str:
        decoded = decode(value)
        if decoded == b"":
            return ""
        pictures.append(decoded)
        return f"{MARK}{len(pictures) - 1}"

    return walk(document), pictures


def decode(value: str) -> bytes | None:
    if value.startswith("data:"):
        prefix, comma, value = value.partition(",")
        if not comma or ";base64" not in prefix:
            return None
    value = "".join(value.split(" ")) if " " in value else value
    value = value.replace("\n", "").replace("\r", "").replace("\t", "")
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except ValueError:
        return None


@settings(max_examples=400, deadline=None)
@given(document=_DOCUMENTS, seed=st.integers(0, 2**32), style=st.sampled_from(["plain", "pretty", "slashes", "ascii"]))
def test_scanner_agrees_with_json_and_base64_wherever_the_text_is_cut(document: object, seed: int, style: str) -> None:
    text = json.dumps(document, indent=2 if style == "pretty" else None, ensure_ascii=style == "ascii")
    if style == "slashes":
        text = text.replace("/", "\\/")
    raw = text.encode("utf-8", "surrogatepass")
    rng = random.Random(seed)
    scanner, pictures = scanned(raw, [rng.randrange(len(raw) + 1) for _ in range(rng.randrange(8))])
    if scanner.too_large:
        return
    rest, wanted = expected(json.loads(raw.decode("utf-8", "replace")))
    assert json.loads(scanner.text) == rest
    assert len(wanted) == len(pictures)
    for found, got, want in zip(scanner.pictures, pictures, wanted, strict=True):
        if want is None:
            assert found.damage
        else:
            assert (found.damage, got) == ("", want)
