"""Catalogs of any shape are read in time that grows as they do, or refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchgen.domain.errors import ManifestError
from batchgen.files.csv_records import MAX_COLUMNS
from batchgen.manifest.catalogs.catalog_file import open_catalog
from batchgen.manifest.problems import Problems
from batchgen.manifest.templates.template import compile_template
from tests.support.pace import no_longer_than


def read(folder: Path, name: str, text: str) -> list[dict[str, object]]:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    problems = Problems()
    rows = [names for _, names in open_catalog(path, name).rows(problems, whole=True)]
    problems.raise_if_any()
    return rows


def refusal(folder: Path, name: str, text: str) -> list[str]:
    with no_longer_than(900), pytest.raises(ManifestError) as caught:
        read(folder, name, text)
    return [str(problem) for problem in caught.value.problems]


def numbered(count: int) -> list[str]:
    return [f"c{number:x}" for number in range(count)]


CSV = {
    "140,000 columns": (",".join(numbered(140_000)), "p.csv:1: has 140,000 columns; 10,000 are the most"),
    "1,000,000 cells": ("x" + "," * 999_998, "p.csv:1: has 999,999 columns; 10,000 are the most"),
    "a million cells in a row": ("a,b\n" + "," * 999_998 + "x", "p.csv:2: has 999999 cells, but the header names 2"),
    "100,000 equal names": (",".join(["a"] * 100_000), "has 100,000 columns"),
    "10,000 names and one twice": (",".join([*numbered(9_999), "c270e"]), "two columns are called c270e"),
    "a long name": (f"a,{'b' * 201}\n", f"a column has a name of up to 200 characters, and not {'b' * 40}…"),
    "a name with an escape": ("\x1b[2Ja,\x1b[2Ja\n", "two columns are called \\x1b[2Ja; give each its own name"),
    "a row without an end": (
        'a,b\n1,"' + ("x" * 450_000 + "\n" + "y" * 450_000 + '","') * 12,
        "p.csv:2: a row of more than 10 MB; look at the quotes from here on",
    ),
}


@pytest.mark.parametrize(("text", "words"), CSV.values(), ids=CSV)
def test_csv_that_is_too_wide_is_refused_at_once(tmp_path: Path, text: str, words: str) -> None:
    (said,) = refusal(tmp_path, "p.csv", text)
    assert words in said
    assert len(said) < 400


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_widest_catalog_is_read_quickly_and_its_like_named_columns_by_row_only(tmp_path: Path, ending: str) -> None:
    columns = [f"a{' ' * (number % 2)}{'-!?+'[number % 4]}{number // 4}" for number in range(MAX_COLUMNS)]
    cells = [str(number) for number in range(MAX_COLUMNS)]
    lines = [",".join(columns), *[",".join(cells)] * 20]
    if ending == "jsonl":
        lines = [json.dumps(dict(zip(columns, cells, strict=True)))] * 20
    with no_longer_than(900):
        rows = read(tmp_path, f"p.{ending}", "\n".join(lines))
    assert len(rows) == 20
    assert rows[0]["row"] == dict(zip(columns, cells, strict=True))
    assert set(rows[0]) == {"", "row"}  # each alias would stand for four columns


def test_jsonl_whose_every_line_has_other_keys_is_read_quickly(tmp_path: Path) -> None:
    lines = [json.dumps({f"k{line}-{number}": 1 for number in range(2_000)}) for line in range(80)]
    with no_longer_than(1_200):
        assert len(read(tmp_path, "p.jsonl", "\n".join(lines))) == 80


JSONL = {
    "140,000 keys": (json.dumps(dict.fromkeys(numbered(75_000), 1)), "has 75,000 keys; 10,000 are the most"),
    "deep": ('{"a": ' + "[" * 300_000, "is nested too deeply"),
    "deep objects": ('{"a":' * 100_000, "is nested too deeply"),
    "deep and closed": ('{"a": ' + "[" * 300 + "]" * 300 + "}", "a is a list or an object"),
    "NaN": ('{"a": NaN}', "NaN is no value"),
    "minus infinity": ('{"a": -Infinity}', "-Infinity is no value"),
    "equal keys": ('{"a": 1, "a ": 2}', "the key 'a' is empty or stands twice"),
    "equal keys of nothing": ('{"a": null, "a": 2}', "the key 'a' is empty or stands twice"),
    "an escape": ('{"\\u001b[2J": [1]}', "\\x1b[2J is a list or an object"),
    "a long key": (json.dumps({"k" * 900_000: 1}), f"a key has up to 200 characters, and not {'k' * 40}…"),
    "no JSON": ("{" * 100, "not readable as JSON"),
}


@pytest.mark.parametrize(("text", "words"), JSONL.values(), ids=JSONL)
def test_json_that_is_no_row_is_refused_at_once(tmp_path: Path, text: str, words: str) -> None:
    (said,) = refusal(tmp_path, "p.jsonl", text)
    assert said.startswith("p.jsonl:1: ")
    assert words in said
    assert len(said) < 300


@pytest.mark.parametrize(("number", "text"), [("1e999", "1e999"), ("9" * 5_000, "9" * 5_000), ("-0.0", "-0.0")])
def test_number_of_json_stays_as_it_is_written(tmp_path: Path, number: str, text: str) -> None:
    assert read(tmp_path, "p.jsonl", f'{{"a": {number}}}')[0]["a"] == text


def test_bad_lines_that_differ_in_their_words_are_counted_and_not_listed(tmp_path: Path) -> None:
    lines = [f'{{"k{number}": [1]}}' for number in range(500)] + ["{" + " " * number for number in range(500)]
    said = refusal(tmp_path, "p.jsonl", "\n".join(lines))
    assert len(said) == 22
    assert sum("and 490 more" in each for each in said) == 2


def test_missing_name_is_said_quickly_in_the_widest_row() -> None:
    template = compile_template("{{ nope }}")
    row = dict.fromkeys(numbered(MAX_COLUMNS), "x")
    with no_longer_than(600):
        for _ in range(50):
            with pytest.raises(
                ValueError, match=r"there is nothing called nope; this row has c0, c1, .* and 9,800 more"
            ):
                template.render(row)
