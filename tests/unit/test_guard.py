from __future__ import annotations

import tracemalloc
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.errors import ManifestError
from batchgen.manifest.document.yaml_guard import MAX_BYTES, read_tree
from batchgen.manifest.document.yaml_tree import Mapping, Odd, Scalar, find, key_position, to_data
from batchgen.manifest.problems import Problems
from tests.support.pace import no_longer_than


def read(text: str | bytes) -> Mapping:
    problems = Problems()
    tree = read_tree(text if isinstance(text, bytes) else text.encode(), "job.yaml", problems)
    problems.raise_if_any()
    return tree


def refusal(text: str | bytes) -> str:
    with pytest.raises(ManifestError) as caught:
        read(text)
    return str(caught.value)


HOSTILE = {
    "alias bomb": (b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "job.yaml:1:4: anchors"),
    "merge bomb": (b"a: &a {x: 1}\nb: {<<: [*a, *a]}\n", "job.yaml:1:4: anchors"),
    "alias of nothing": (b"a: *b\n", "aliases"),
    "python tag": (b"a: !!python/object/apply:os.system [id]\n", "job.yaml:1:4: tags"),
    "own tag": (b"a: !secret x\n", "tags"),
    "empty tag": (b"a: ! x\n", "tags"),
    "deep flow": (b"a: " + b"[" * 50_000, "nested deeper than 20"),
    "deep blocks": (b"- " * 50_000, "nested deeper than 20"),
    "many values": (b"a: [" + b"[]," * 1_660_000 + b"]", "250,000 values"),
    "too large": (b"a" * (MAX_BYTES + 1), "larger than 5 MB"),
    "braces": (b"{" * 4_000_000, ("a key must be plain text", "nested deeper than 20")),  # by the parser's version
    "a list as a key": (b"? [a]\n: b\n", "a key must be plain text"),
    "two documents": (b"a: 1\n---\nb: 2\n", "job.yaml:2:1: a second document"),
    "utf-16": ("a: b".encode("utf-16"), "UTF-8"),
    "latin-1": ("a: 1\nb: Gr\xf6\xdfe\n".encode("latin-1"), "job.yaml:2: not UTF-8"),
    "NUL": (b"a: \0\n", "not YAML"),
    "half a character": (b'a: "\\ud800"\n', "not YAML"),
    "a list": (b"- a\n", "a manifest is a mapping"),
    "nothing": (b"", "a manifest is a mapping"),
    "blanks": (b" " * 4_900_000, "a manifest is a mapping"),
    "bad indentation": (b"a: 1\n b: 2\n", "job.yaml:2:3: not YAML"),
    "a tab": (b"a:\n\t- b\n", "job.yaml:2:1: not YAML"),
}


@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=HOSTILE)
def test_manifest_is_refused_quickly_and_in_little_memory_when_hostile(
    text: bytes, words: str | tuple[str, ...]
) -> None:
    with no_longer_than(2_000):  # 365 seen for the worst; 2,400 when all its values are read
        said = refusal(text)
    assert any(each in said for each in ((words,) if isinstance(words, str) else words))
    assert "\n" not in said


def test_manifest_needs_little_memory_when_it_is_a_bomb() -> None:
    text = b"a: [" + b"[]," * 1_660_000 + b"]"
    tracemalloc.start()
    try:
        refusal(text)
        assert tracemalloc.get_traced_memory()[1] < 60_000_000
    finally:
        tracemalloc.stop()


def test_keys_that_stand_twice_are_all_reported() -> None:
    said = refusal("a: 1\nb:\n  c: 1\n  c: 2\na: {x: [1], x: 2}\n").splitlines()
    assert said == [
        "job.yaml:4:3: c: stands here a second time (first in line 3); keep one",
        "job.yaml:5:1: a: stands here a second time (first in line 1); keep one",
        "job.yaml:5:13: x: stands here a second time (first in line 5); keep one",
    ]


def test_secret_is_reported_without_repeating_it_when_a_key_stands_in_the_manifest() -> None:
    secret = "sk-" + "a1B2" * 8
    said = refusal(f"a: 1\nroute: {{key: {secret}}}\n")
    assert said.startswith("job.yaml:2:14: this looks like an API key")
    assert secret not in said


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("25.00", Decimal("25.00")),
        ("0.1", Decimal("0.1")),
        ("3", 3),
        ("-3", -3),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ('"no"', "no"),
        ("'12'", "12"),
        ("07:00", "07:00"),
        ("1:1@2K", "1:1@2K"),
        ("2048x1152", "2048x1152"),
        ("120/min", "120/min"),
        ("no", Odd("no", "true or false")),
        ("on", Odd("on", "true or false")),
        ("12:30:45", Odd("12:30:45", "a number")),
        ("22:30", Odd("22:30", "a number")),
        ("012", Odd("012", "a number")),
        ("0x1F", Odd("0x1F", "a number")),
        ("1_000", Odd("1_000", "a number")),
        (".5", Odd(".5", "a number")),
        (".inf", Odd(".inf", "a number")),
        ("2026-01-01", Odd("2026-01-01", "a date")),
        ("9" * 5_000, Odd("9" * 5_000, "a number")),
    ],
)
def test_plain_scalar_is_what_its_writer_meant_or_odd(text: str, value: object) -> None:
    found = to_data(read(f"a: {text}\n"))["a"]  # type: ignore[index]
    assert found == value
    assert type(found) is type(value)


def test_decimal_keeps_its_digits_as_written() -> None:
    assert str(to_data(read("a: 25.10"))["a"]) == "25.10"  # type: ignore[index]


def test_place_is_known_for_values_keys_and_what_is_missing() -> None:
    tree = read("a: 1\nb:\n  - x\n  - {c: 'long', d: 2}\n")
    found = find(tree, ("b", 1, "d"))
    assert (found.line, found.column) == (4, 20)
    assert key_position(tree, ("b", 1, "d")) == (4, 17)
    assert key_position(tree, ("b", 1, "missing")) == (4, 5)
    assert find(tree, ("b", 7)).line == 3
    assert isinstance(find(tree, ("a",)), Scalar)


def test_byte_order_mark_is_skipped() -> None:
    assert to_data(read(b"\xef\xbb\xbfa: 1")) == {"a": 1}


@given(
    st.one_of(st.binary(max_size=200), st.text(st.sampled_from("ab:[]{}-&*!?|>'\"#%@`, \n\t<=~0129.\\"), max_size=80))
)
def test_any_bytes_are_read_or_refused(data: bytes | str) -> None:
    with suppress(ManifestError):
        assert isinstance(to_data(read(data)), dict | list | str | int | float | bool | None)
