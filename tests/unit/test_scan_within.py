"""Data URLs within a longer text: taken out like any picture, ended by the first character that is not base64."""

from __future__ import annotations

import base64
import itertools
import json
import random
import re
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.gateway.endpoints import codec_for
from batchgen.gateway.picture_start import LONGEST, key_pattern
from batchgen.gateway.scan import Scanner
from tests.support.gateway import read

PNG = b"\x89PNG\r\n\x1a\n\xff\xfb\xbe"
TEXT = base64.b64encode(PNG).decode()  # iVBORw0KGgr/+74=


def scanned(body: bytes, cuts: list[int] | None = None, endpoint: str = "chat") -> tuple[Scanner, dict[int, bytes]]:
    scanner = Scanner(key_pattern(codec_for(endpoint).picture_keys))
    pictures: dict[int, bytes] = {}
    edges = [0, *sorted(cuts or []), len(body)]
    for start, end in itertools.pairwise(edges):
        for index, piece in scanner.feed(body[start:end]):
            pictures[index] = pictures.get(index, b"") + piece
    scanner.finish()
    return scanner, pictures


def every_cut(body: bytes) -> list[list[int]]:
    return [[], *([cut] for cut in range(1, len(body))), list(range(1, len(body)))]


ENCODED = {
    "plain": TEXT,
    "slashes escaped": TEXT.replace("/", "\\/"),
    "all escaped by number": TEXT.replace("/", "\\u002F").replace("+", "\\u002b").replace("=", "\\u003d"),
    "no padding": TEXT.rstrip("="),
}
AROUND = {
    "markdown after blank lines": ('"\\n\\n![image](', ')"', "\n\n![image](data:#0)"),
    "markdown with a title": ('"![a](', ' \\"title\\")\\n"', '![a](data:#0 "title")\n'),
    "bare": ('"', '"', "data:#0"),
    "bare, a line after it": ('"', '\\nDone"', "data:#0\nDone"),
    "bare, a control character by number": ('"', '\\u000aDone"', "data:#0\nDone"),
    "bare, white space": ('"', '\\t x"', "data:#0\t x"),
    "in quotes": ('"<img src=\\"', '\\">"', '<img src="data:#0">'),
    "in a code span": ('"`', '`"', "`data:#0`"),
    "after a backslash": ('"\\\\', '"', "\\data:#0"),
    "ended by a backslash": ('"', '\\\\"', "data:#0\\"),
}


@pytest.mark.parametrize("encoded", ENCODED)
@pytest.mark.parametrize("around", AROUND)
def test_data_url_within_a_text_becomes_a_mark_wherever_it_is_cut(encoded: str, around: str) -> None:
    before, after, kept = AROUND[around]
    for prefix in ("data:image/png;base64,", "data:image\\/png;charset=x;BASE64,", "data:;base64,"):
        body = f'{{"content":{before}{prefix}{ENCODED[encoded]}{after},"x":1}}'.encode()
        for cuts in every_cut(body):
            scanner, pictures = scanned(body, cuts)
            assert pictures == {0: PNG}, cuts
            assert scanner.pictures[0].damage == "", cuts
            assert json.loads(scanner.text) == {"content": kept, "x": 1}, cuts


@pytest.mark.parametrize(
    "content",
    [
        "data:image/png;base64,",
        "data:image/png;base64,...",
        "data:image/png;base64,(nothing)",
        "data:text/plain,QUJD",
        "say data: image/png;base64",
        "data:" + "x" * 200 + ";base64,QUJD",
        "#0 and data",
    ],
)
def test_text_without_a_picture_stays_as_it_is_wherever_it_is_cut(content: str) -> None:
    body = json.dumps({"content": content}).encode()
    for cuts in every_cut(body):
        scanner, pictures = scanned(body, cuts)
        assert (json.loads(scanner.text), pictures, scanner.pictures) == ({"content": content}, {}, []), cuts


@pytest.mark.parametrize("text", ["QUJDR", "QUJD=QUJD", "=", "QUJDRA==QUJD"])
def test_base64_that_is_none_is_damage_and_the_rest_stays_whole(text: str) -> None:
    body = json.dumps({"content": f"![x](data:image/png;base64,{text}) and ![y](data:image/png;base64,QUJD)"}).encode()
    for cuts in every_cut(body):
        scanner, pictures = scanned(body, cuts)
        assert scanner.pictures[0].damage
        assert pictures[1] == b"ABC"
        assert json.loads(scanner.text) == {"content": "![x](data:#0) and ![y](data:#1)"}


@pytest.mark.parametrize("end", ["", "QUJD", "QUJD\\", "QUJD\\u00"])
def test_picture_that_is_still_open_is_damaged_when_the_text_ends(end: str) -> None:
    scanner, _ = scanned(b'{"content":"![x](data:image/png;base64,' + end.encode())
    assert scanner.inside
    assert not scanner.may_be_whole()
    assert "ended inside" in scanner.pictures[0].damage


def test_picture_knows_whether_only_an_answer_can_hold_it() -> None:
    body = b'{"a":"data:image/png;base64,QUJD","url":"data:image/png;base64,QUJD","b64_json":"QUJD","result":"QUJD"}'
    assert [one.own for one in scanned(body, endpoint="chat")[0].pictures] == [False, False, True]
    assert [one.own for one in scanned(body, endpoint="responses")[0].pictures] == [False, False, True, True]


def test_no_match_of_a_pattern_is_longer_than_what_is_held_back() -> None:
    slash = "\\u002f"
    longest = "data:" + "a" * 16 + slash + "b" * 32 + ";" + "c" * 24 + ";base64,"
    for text in (longest, '"b64_json"' + " " * 32 + ":" + " " * 32 + '"', '"result"' + " " * 32 + ":" + " " * 32 + '"'):
        match = key_pattern(codec_for("responses").picture_keys).search(text.encode() + b"x")
        assert match is not None
        assert len(match[0]) == len(text) < LONGEST


def test_scanner_memory_stays_flat_when_a_picture_within_a_text_is_large() -> None:
    """20 MB in pieces as they come from a socket: no more than a few pieces are ever held."""
    scanner = Scanner(key_pattern(codec_for("chat").picture_keys))
    piece = base64.b64encode(random.Random(1).randbytes(49_152)).replace(b"/", b"\\/")
    assert scanner.feed(b'{"choices":[{"message":{"content":"![image](data:image\\/png;base64,') == []
    total = 0
    tracemalloc.start()
    try:
        for _ in range(427):
            total += sum(len(decoded) for _, decoded in scanner.feed(piece))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    scanner.feed(b')"}}]}')
    assert total + 3 > 427 * 49_152 > 20_000_000
    assert peak < 1_000_000
    assert json.loads(scanner.text) == {"choices": [{"message": {"content": "![image](data:#0)"}}]}


_WORDS = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
_PICTURES = st.binary(min_size=1, max_size=60)
_ENDS = st.sampled_from([")", " ", "\n", '"', "'", ">", "\\", "。", ") ", "\t", "]"])


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(st.tuples(_WORDS, _PICTURES, _ENDS), max_size=4),
    last=_WORDS,
    seed=st.integers(0, 2**32),
    style=st.sampled_from(["plain", "slashes", "ascii", "dotnet"]),
)
def test_scanner_agrees_with_the_plain_way_wherever_the_text_is_cut(
    parts: list[tuple[str, bytes, str]], last: str, seed: int, style: str
) -> None:
    content = "".join(f"{w}data:image/png;base64,{base64.b64encode(p).decode()}{e}" for w, p, e in parts) + last
    text = json.dumps({"content": content}, ensure_ascii=style == "ascii")
    if style == "slashes":
        text = text.replace("/", "\\/")
    if style == "dotnet":
        text = text.replace("+", "\\u002B")
    body = text.encode()
    rng = random.Random(seed)
    scanner, pictures = scanned(body, [rng.randrange(len(body) + 1) for _ in range(rng.randrange(8))])
    wanted = [p for _, p, _ in parts]
    assert [pictures[n] for n in range(len(wanted))] == wanted
    kept = "".join(f"{w}data:#{n}{e}" for n, (w, _, e) in enumerate(parts)) + last
    assert json.loads(scanner.text) == {"content": kept}


def test_line_of_a_batch_output_is_read_like_any_document() -> None:
    picture = base64.b64encode(PNG).decode()
    line = {
        "id": "batch_req_1",
        "custom_id": "17",
        "response": {"status_code": 200, "request_id": "req-1", "body": {"data": [{"b64_json": picture}]}},
        "error": None,
    }
    body = json.dumps(line).encode() + b"\n"
    for cuts in every_cut(body):
        got = read(body, "batch", cuts)
        assert got.pictures == (PNG,)
        assert re.search(r'"custom_id": ?"17"', got.text)
