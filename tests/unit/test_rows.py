from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.domain.errors import ManifestError
from batchgen.files.text_lines import MAX_LINE
from batchgen.manifest.catalogs.catalog_file import open_catalog
from batchgen.manifest.problems import Problems


def read(
    folder: Path, content: str | bytes, name: str = "products.csv", *, whole: bool = False
) -> list[tuple[int, dict[str, object]]]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = Problems()
    rows = list(open_catalog(path, name).rows(problems, whole=whole))
    problems.raise_if_any()
    return rows


def refusal(folder: Path, content: str | bytes, name: str = "products.csv") -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read(folder, content, name)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_csv_is_read_whatever_separates_its_columns(tmp_path: Path, mark: str, start: bytes, end: str) -> None:
    text = end.join([mark.join(cells) for cells in (["sku", "name"], ["A-1", '"a, b; c\t| d"'], ["A-2", "Größe"])])
    assert read(tmp_path, start + text.encode()) == [
        (2, {"sku": "A-1", "name": "a, b; c\t| d"}),
        (3, {"sku": "A-2", "name": "Größe"}),
    ]


def test_csv_knows_the_first_line_of_each_row_when_cells_hold_line_ends(tmp_path: Path) -> None:
    text = 'sku,text\nA,"one\ntwo\r\nthree"\n\n,\nB,"say ""hi"""\n"C\n",x\n'
    assert [(line, names["sku"]) for line, names in read(tmp_path, text)] == [(2, "A"), (7, "B"), (8, "C\n")]
    assert read(tmp_path, text)[0][1]["text"] == "one\ntwo\r\nthree"
    assert read(tmp_path, text)[1][1]["text"] == 'say "hi"'


def test_csv_with_one_column_needs_no_delimiter(tmp_path: Path) -> None:
    assert read(tmp_path, "sku\nA\nB\n") == [(2, {"sku": "A"}), (3, {"sku": "B"})]


def test_csv_delimiter_is_the_one_that_splits_rows_evenly_when_the_header_fits_several(tmp_path: Path) -> None:
    text = "sku;name, or title\nA;Mug\nB;Cup, large, blue\n"
    assert read(tmp_path, text)[1] == (3, {"sku": "B", "name_or_title": "Cup, large, blue"})
    assert refusal(tmp_path, "a,b;c\n1,2;3\n") == [
        "products.csv:1: cannot tell which of comma, semicolon, tab, bar separates the columns; "
        "use one that no column name contains"
    ]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", ["products.csv:1: is empty; its first line must name the columns"]),
        (b"\n \n".replace(b" ", b""), ["products.csv:1: is empty; its first line must name the columns"]),
        (b"a,b\n1,2\n1\n1,2,3\n", [
            "products.csv:3: has 1 cells, but the header names 2 columns",
            "products.csv:4: has 3 cells, but the header names 2 columns",
        ]),
        (b"a,b,a\n", ["products.csv:1: two columns are called a; give each its own name"]),
        (b"\na, a\n", ["products.csv:2: two columns are called a; give each its own name"]),
        (b"a,,b\n", ["products.csv:1: column 2 has no name; every column needs one"]),
        (b"caf\xc3\xa9,cafe\xcc\x81\n", ["products.csv:1: two columns are called caf\u00e9; give each its own name"]),
        ("a,b\n1,2\nx,Gr\xf6\xdfe\n".encode("latin-1"), ["products.csv:3: not UTF-8 text; save the file as UTF-8 (in Excel: CSV UTF-8)"]),
        ("a,b\n1,2\n".encode("utf-16"), ["products.csv:1: not UTF-8 text; save the file as UTF-8 (in Excel: CSV UTF-8)"]),
        (b"a,b\n1,2\n3,\0\n", ["products.csv:3: holds a NUL character; is this no text?"]),
        (b'a,b\n1,2\n3,"open\n4,5\n', ["products.csv:3: not readable as CSV: unexpected end of data; look at the quotes from here on"]),
        (b'a,b\n1,2\n3,"x"y\n', ["products.csv:3: not readable as CSV: ',' expected after '\"'; look at the quotes from here on"]),
        (b"a,b\n1," + b"x" * (MAX_LINE + 1), [f"products.csv:2: a line of more than {MAX_LINE:,} bytes; is a quote left open, or is this no text?"]),
    ],
    ids=["empty", "blank", "ragged", "twice", "twice later", "nameless", "NFC twins", "latin-1", "utf-16", "NUL", "open", "quotes", "long"],
)  # fmt: skip
def test_csv_is_refused_with_the_line(tmp_path: Path, content: bytes, problems: list[str]) -> None:
    assert refusal(tmp_path, content) == problems


def test_csv_is_refused_when_an_open_quote_swallows_the_file(tmp_path: Path) -> None:
    rows = "".join(f"{number},some words here\n" for number in range(100_000))
    assert (
        "products.csv:2: not readable as CSV: field larger than field limit" in refusal(tmp_path, f'a,b\n1,"{rows}')[0]
    )


def test_column_is_known_by_the_nearest_name_when_its_own_is_none(tmp_path: Path) -> None:
    text = "Product Name,price (€),2nd,a b,a-b,größe,class\nMug,3,x,1,2,L,y\n"
    ((_, names),) = read(tmp_path, text, whole=True)
    row = names.pop("row")
    assert row == {
        "Product Name": "Mug",
        "price (€)": "3",
        "2nd": "x",
        "a b": "1",
        "a-b": "2",
        "größe": "L",
        "class": "y",
    }
    names.pop("", None)  # a b and a-b would both be a_b
    assert names == {"Product_Name": "Mug", "price": "3", "_2nd": "x", "größe": "L", "class": "y"}


def test_jsonl_values_are_text_as_written(tmp_path: Path) -> None:
    text = '\ufeff{"sku": "A", "price": 4.50, "big": 12345678901234567890, "new": true, "old": false, "none": null}\n\n{"sku": 1e400}\n'
    assert read(tmp_path, text, "products.jsonl") == [
        (1, {"sku": "A", "price": "4.50", "big": "12345678901234567890", "new": "true", "old": "false"}),
        (3, {"sku": "1e400"}),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"a": 1,}', "not readable as JSON"),
        ("[1]", "a line of a JSONL catalog is an object"),
        ('"a"', "a line of a JSONL catalog is an object"),
        ('{"a": [1]}', "a is a list or an object"),
        ('{"a": {"b": 1}}', "a is a list or an object"),
        ('{"a": 1, "a": 2}', "the key 'a' is empty or stands twice"),
        ('{" ": 1}', "is empty or stands twice"),
        ('{"a": NaN}', "NaN is no value"),
        ('{"a": ' + "[" * 100_000, "products.jsonl:2: "),
    ],
)
def test_jsonl_line_is_refused_and_the_others_read(tmp_path: Path, line: str, words: str) -> None:
    found = refusal(tmp_path, f'{{"a": 1}}\n{line}\nnot json\n', "products.jsonl")
    assert len(found) == 2
    assert found[0].startswith("products.jsonl:2: ")
    assert words in found[0]
    assert found[1].startswith("products.jsonl:3: not readable as JSON")


def test_catalog_is_refused_when_it_is_no_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name in ("folder.csv", "pipe.csv", "zero.csv"):
        with pytest.raises(ManifestError, match="is not a regular file"):
            open_catalog(tmp_path / name, name)
    with pytest.raises(ManifestError, match="No such file"):
        open_catalog(tmp_path / "nope.csv", "nope.csv")
    with pytest.raises(ManifestError, match=r"a catalog is a \.csv or a \.jsonl file"):
        open_catalog(tmp_path / "products.xlsx", "products.xlsx")


def test_catalog_is_refused_when_it_changes_between_two_readings(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text("sku\nA\n")
    catalog = open_catalog(path, "products.csv")
    path.write_text("sku\nA\nB\n")
    with pytest.raises(ManifestError, match="changed while it was read"):
        list(catalog.rows(Problems()))


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
            min_size=2,
            max_size=2,
        ),
        max_size=8,
    )
)
def test_csv_gives_back_what_a_writer_wrote(tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]) -> None:
    written = io.StringIO(newline="")
    csv.writer(written, quoting=csv.QUOTE_ALL).writerows([["one", "two"], *cells])
    folder = tmp_path_factory.mktemp("csv")
    rows = read(folder, written.getvalue())
    assert [list(names.values()) for _, names in rows] == [row for row in cells if any(row)]
    lines = [json.dumps(dict(zip(["one", "two"], row, strict=True))) for row in cells]
    rows = read(folder, "\n".join(lines), "products.jsonl")
    assert [list(names.values()) for _, names in rows] == cells
