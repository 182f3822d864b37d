from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.errors import StoreError
from batchgen.domain.lifecycle import Charge
from batchgen.domain.output_image import Delivered, Image
from batchgen.store.layout import INDEX
from batchgen.store.output.image_index import write_line
from batchgen.store.output.index_lines import lines_of, newest, read_line
from tests.support.store import ORIGIN

LINE = Delivered(
    origin=ORIGIN,
    image=Image("Größe/mug-r2.png", "ab" * 32, 1234, 2048, 1152, "png"),
    flags=("downgraded", "rerouted"),
    attempt=57,
    request_ids=(("x-request-id", "req_1"),),
    charge=Charge.BILLED,
    billed=30_000,
    created=1_800_000_000.0,
)
RECORD: dict[str, Any] = json.loads(write_line(LINE))
HUGE = 2**70
STRANGE: list[dict[str, Any]] = [
    {"file": "/etc/passwd.png"},
    {"file": "../x.png"},
    {"file": "a/../../x.png"},
    {"file": "a//x.png"},
    {"file": "./x.png"},
    {"file": "a\\x.png"},
    {"file": "C:\\x.png"},
    {"file": ".batchgen/57-0.png"},
    {"file": "x\0.png"},
    {"file": "x.exe"},
    {"file": ""},
    {"file": "\ud800.png"},
    {"file": "x" * 20_000 + ".png"},
    {"format": "gif"},
    {"sha256": "ab"},
    {"sha256": 7},
    {"bytes": -1},
    {"bytes": 0},
    {"bytes": 1.5},
    {"bytes": HUGE},
    {"width": True},
    {"attempt": 0},
    {"attempt": HUGE},
    {"attempt": "57"},
    {"attempt": -57},
    {"billed_micros": -1},
    {"billed_micros": HUGE},
    {"billed_micros": float("nan")},
    {"billed_micros": float("inf")},
    {"reserved_micros": None},
    {"charge": "reserved"},
    {"charge": "void"},
    {"charge": []},
    {"own": "8" + "0" * 15},
    {"own": 7},
    {"shared": "xyz"},
    {"size": "2048×1152"},
    {"size": "big"},
    {"size_sent": "0x0"},
    {"sample": 0},
    {"revision": HUGE},
    {"revision": 0},
    {"images": -1},
    {"key": ""},
    {"key": 7},
    {"key": "\ud800"},
    {"key": "a\0b"},
    {"job": None},
    {"path": "{size.__class__}"},
    {"path": "{size:>99999999999}"},
    {"path": "{size!r}"},
    {"path": "{0}"},
    {"path": "{unclosed"},
    {"reserved_at": 1e400},
    {"reserved_at": -1},
    {"reserved_at": "now"},
    {"created": "2027-01-15T08:00:00"},
    {"created": 7},
    {"created": "99999-01-01T00:00:00Z"},
    {"flags": "downgraded"},
    {"flags": ["\x1b[31m"]},
    {"flags": [{}]},
    {"request_ids": [["a"]]},
    {"request_ids": {"a": "b"}},
    {"request_ids": [["a", 7]]},
    {"request_ids": [["a", "b"]] * 60},
]


def test_line_is_read_as_it_was_written() -> None:
    assert read_line(write_line(LINE)) == LINE


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_line_keeps_every_key(key: str) -> None:
    line = replace(LINE, origin=replace(ORIGIN, key=key))
    assert read_line(write_line(line)) == line


@pytest.mark.parametrize("strange", STRANGE, ids=lambda strange: str(strange)[:40])
def test_line_is_refused_in_words_when_a_field_is_none_of_ours(strange: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_line(json.dumps(RECORD | strange).encode())


@pytest.mark.parametrize("name", sorted(set(RECORD) - {"request_id", "cost"}))
def test_line_is_refused_when_a_field_is_missing(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_line(json.dumps({each: value for each, value in RECORD.items() if each != name}).encode())


@pytest.mark.parametrize(
    "data", [b"", b"null", b"[]", b"7", b'"x"', b"\xff", b"[" * 100_000, b'{"key": ' + b"9" * 5000]
)
def test_line_is_refused_when_it_is_no_record(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_line(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(RECORD)), json_values)
def test_line_is_read_or_refused_and_nothing_else_whatever_a_field_holds(name: str, value: Any) -> None:
    try:
        line = read_line(json.dumps(RECORD | {name: value}).encode("utf-8", "surrogatepass"))
    except ValueError:
        return
    assert write_line(line)


def test_index_is_read_past_what_is_torn_too_long_or_strange(tmp_path: Path) -> None:
    whole = write_line(LINE)
    long = b'{"key":"' + b"x" * 10_000_000 + b'"}\n'
    (tmp_path / INDEX).write_bytes(whole + long + b"\n" + b"notes\n" + whole + whole[:-9])
    found = list(lines_of(tmp_path))
    assert [told.number for told in found if told.image is not None] == [1, 5]
    assert {told.number: told.why for told in found if told.image is None}[2].startswith("it is too long")
    assert found[-1].why == "it is torn"


def test_folder_without_an_index_tells_nothing(tmp_path: Path) -> None:
    assert list(lines_of(tmp_path)) == []
    assert newest(tmp_path) == ([], frozenset())
    assert newest(tmp_path / "nowhere") == ([], frozenset())


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
def test_index_that_is_no_file_is_refused_and_not_followed(tmp_path: Path, kind: str) -> None:
    place = tmp_path / INDEX
    if kind == "link":
        (tmp_path / "elsewhere").write_bytes(write_line(LINE))
        place.symlink_to(tmp_path / "elsewhere")
    elif kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    with pytest.raises(StoreError, match=r"images\.jsonl"):
        list(lines_of(tmp_path))
    with pytest.raises(StoreError, match=r"images\.jsonl"):
        newest(tmp_path)


def test_end_of_a_long_index_and_the_spool_tell_the_newest_attempts(tmp_path: Path) -> None:
    lines = [write_line(replace(LINE, attempt=number)) for number in range(1, 501)]
    (tmp_path / INDEX).write_bytes(b"".join(lines) + lines[0][:-3])
    spool = tmp_path / ".batchgen"
    spool.mkdir()
    for name in ("501.json", "502-0.part", "503.tmp", "owner.json", f"{HUGE}.json", "0.json"):
        (spool / name).touch()
    images, spooled = newest(tmp_path)
    assert (images[-1].attempt, spooled) == (500, {501, 502, 503})
    assert 40 < len(images) < 80
