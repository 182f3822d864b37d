"""Warnings about texts: a resolution that no text decides, and the shop's own risky terms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.errors import ManifestError
from batchgen.manifest.load import load_manifest
from batchgen.manifest.plan import expand
from batchgen.manifest.survey.risky_terms import RiskyTerms
from tests.support.pace import no_longer_than

VIP = "apiyi/gpt-image-2-vip"


def warned(folder: Path, texts: list[str], rest: str = "", *, route: str = VIP, sizes: str = '["1:1@1K"]') -> list[str]:
    prompts = "".join(f"  - {{id: p{n}, text: {json.dumps(text)}}}\n" for n, text in enumerate(texts))
    sized = f"sizes: {sizes}\n" if sizes else ""
    path = folder / "job.yaml"
    path.write_text(f"version: 1\nname: job\nroute: {route}\nprompts:\n{prompts}{sized}{rest}", encoding="utf-8")
    manifest = load_manifest(path, load_catalog())
    return [str(warning).partition("job.yaml:")[2] for warning in (*manifest.warnings, *expand(manifest).warnings)]


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("a mug in 4K", "4K"),
        ("a mug, 4k.", "4k"),
        ("(8K) mug", "8K"),
        ("4 K mug", "4 K"),
        ("4K高清的杯子", "4K"),
        ("一个杯子，4k", "4k"),
        ("HD/4K", "4K"),
        ("UHD quality", "UHD"),
        ("4K-UHD", "4K"),
        ("ultra HD", "ultra HD"),
        ("Ultra-high definition", "Ultra-high definition"),
        ("超高清", "超高清"),
        ("８Ｋ", "８Ｋ"),
    ],
)
def test_resolution_in_a_text_is_named_with_its_place(tmp_path: Path, text: str, claim: str) -> None:
    says = f'says "{claim}", which does not change the size; it is decided by sizes:'
    assert warned(tmp_path, ["a mug", text]) == [f"6:5: prompts.1.text: {says}"]


@pytest.mark.parametrize(
    "text",
    [
        *("4Kg of flour", "A4K2", "SKU-4K", "4K-2231", "14K gold", "$4K", "1.4K", "44 keys", "4 kites", "4KB", "X4K"),
        *("a 4K TV", "a 4K monitor", "4K电视", "SUHD", "uhdr", "a mug", "k4", "ultramarine", "高清"),
    ],
)
def test_what_only_looks_like_a_resolution_is_not(tmp_path: Path, text: str) -> None:
    assert warned(tmp_path, [text]) == []


@pytest.mark.parametrize(
    ("text", "sizes", "warns"),
    [
        ("a 4K photo", '["1:1@4K"]', False),
        ("a UHD photo", '["1:1@4K", "16:9@4K"]', False),
        ("an 8K photo", '["1:1@4K"]', True),
        ("a 4K photo", '["1:1@4K", "1:1@2K"]', True),
    ],
)
def test_text_that_says_what_is_asked_is_right(tmp_path: Path, text: str, sizes: str, warns: bool) -> None:
    assert bool(warned(tmp_path, [text], sizes=sizes)) is warns


def test_route_that_takes_no_size_or_chooses_one_is_told_apart(tmp_path: Path) -> None:
    (said,) = warned(tmp_path, ["a 4K mug"], route="laozhang/gpt-image-2", sizes="")
    assert said.endswith("which does not change the size; laozhang/gpt-image-2 takes none")
    assert warned(tmp_path, ["a 4K mug"], route="apiyi/gpt-image-2", sizes="[auto]") == []


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("in the style of DISNEY", "Disney"),
        ("disney鞋", "Disney"),
        ("coca-cola!", "Coca-Cola"),
        ("the Dr. Who box", "dr. who"),
        ("m&m's", "M&M's"),
        ("穿耐克鞋的人", "耐克"),
        ("ÜNIQUE", "ünique"),
        ("u\u0308nique", "ünique"),
    ],
)
def test_risky_term_is_named_as_it_is_listed(tmp_path: Path, text: str, term: str) -> None:
    terms = """risky_terms: ["Disney", "Coca-Cola", "dr. who", "M&M's", "耐克", "ünique"]\n"""
    says = f"holds the term {term} of risky_terms; a refusal may be charged on {VIP}"
    assert warned(tmp_path, [text], terms) == [f"5:5: prompts.0.text: {says}"]


@pytest.mark.parametrize("text", ["Disneyland", "pre_disney", "coca cola", "cola", "Dr Who", "耐 克", "a mug"])
def test_terms_are_whole_words(tmp_path: Path, text: str) -> None:
    assert warned(tmp_path, [text], 'risky_terms: ["Disney", "Coca-Cola", "dr. who", "耐克"]\n') == []


def test_where_refusals_are_free_the_warning_says_so(tmp_path: Path) -> None:
    (said,) = warned(tmp_path, ["disney"], "risky_terms: [Disney]\n", route="laozhang/gpt-image-2-vip")
    assert said.endswith("of risky_terms; it may be refused")


def test_terms_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("\ufeffDisney\n\n  迪士尼  \n", encoding="utf-8")
    found = warned(tmp_path, ["Disney", "迪士尼乐园", "mug"], "risky_terms: terms.txt\n")
    assert [each.partition(" of risky")[0] for each in found] == [
        "5:5: prompts.0.text: holds the term Disney",
        "6:5: prompts.1.text: holds the term 迪士尼",
    ]


@pytest.mark.parametrize(
    ("written", "content", "sentence"),
    [
        ("5", "", "must be a list of words"),
        ("[a, 5]", "", "must be a list of words"),
        ('["", b]', "", "must be a list of words"),
        ("none.txt", "", "none.txt: cannot be read: No such file"),
        ("terms.txt", "\n", "terms.txt: holds 0 terms"),
        ("terms.txt", "a\n" + "b" * 201, "terms.txt: line 2 is longer"),
        ("terms.txt", "a\nb\0\n", "terms.txt:2: holds a NUL"),
    ],
)
def test_terms_that_cannot_be_read_are_a_problem_at_their_place(
    tmp_path: Path, written: str, content: str, sentence: str
) -> None:
    (tmp_path / "terms.txt").write_text(content, encoding="utf-8")
    with pytest.raises(ManifestError) as failed:
        warned(tmp_path, ["a"], f"risky_terms: {written}\n")
    assert f"job.yaml:7:14: risky_terms: {sentence}" in str(failed.value)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("p.csv", "sku,name,Made In,a-b,a b,other\nS,mug,Delft,1,2,3\n"),
        ("p.jsonl", '{"sku": "S", "name": "mug", "Made In": "Delft", "a-b": 1, "a b": 2, "other": 3}\n'),
    ],
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Photo of {name}", ["`{name}` is not filled in; write `{{ name }}`"]),
        ("{{ other }}: { name } and {name}", ["`{name}` is not filled in; write `{{ name }}`"]),
        ("{% if other %}{name}{% endif %}", ["`{name}` is not filled in; write `{{ name }}`"]),
        ("{Made In}", ["`{Made In}` is not filled in; write `{{ Made_In }}`"]),
        ("{Made_In}", ["`{Made_In}` is not filled in; write `{{ Made_In }}`"]),
        ("{a-b}", ['`{a-b}` is not filled in; write `{{ row["a-b"] }}`']),
        ("{name} {sku}", [f"`{{{each}}}` is not filled in; write `{{{{ {each} }}}}`" for each in ("name", "sku")]),
        ("{{ name }}", []),
        ("{{name}} {nothing} {} { }", []),
        ("{{ '{name}' }} {# {name} #}", []),
    ],
)
def test_column_in_single_braces_is_named_at_its_text(
    tmp_path: Path, file: str, content: str, text: str, said: list[str]
) -> None:
    (tmp_path / file).write_text(content, encoding="utf-8")
    path = tmp_path / "job.yaml"
    path.write_text(
        f"version: 1\nname: job\nroute: {VIP}\nsizes: ['1:1@1K']\nprompts:\n"
        f'  - from: {file}\n    id: "{{{{ sku }}}}"\n    text: {json.dumps(text)}\n'
    )
    found = load_manifest(path, load_catalog()).warnings
    assert [str(each).partition("job.yaml:")[2] for each in found] == [f"8:11: prompts.0.text: {each}" for each in said]


def test_braces_in_a_cell_are_text(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("sku,name\nS,{sku}\n", encoding="utf-8")
    rest = '  - {from: p.csv, id: "{{ sku }}", text: "{{ name }}"}\nsizes: ["1:1@1K"]\n'
    assert warned(tmp_path, ["a {name} mug"], rest, sizes="") == []


def test_rows_of_a_catalog_are_named_and_those_alike_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"S{n},{'4K Disney' if n % 2 else 'plain'}\n" for n in range(60))
    (tmp_path / "p.csv").write_text("sku,name\n" + rows, encoding="utf-8")
    path = tmp_path / "job.yaml"
    path.write_text(
        f"version: 1\nname: job\nroute: {VIP}\nsizes: ['1:1@1K']\nrisky_terms: [Disney]\n"
        'prompts: [{from: p.csv, id: "{{ sku }}", text: "{{ sku }} {{ name }}"}]\n'
    )
    found = expand(load_manifest(path, load_catalog())).warnings
    assert len(found) == 22
    assert {each.line for each in found[:4]} == {3, 5}
    assert sum("and 20 more: " in each.message for each in found) == 2


def test_many_terms_that_begin_alike_are_read_and_found_at_once() -> None:
    with no_longer_than(900):  # seconds; a minute, when each term had a pattern of its own
        terms = RiskyTerms(f"a {number}" for number in range(20_000))
        text = "a " * 1_000 + "ba 19999 a 199999 a 19998x"
        assert terms.find(text) is None
        assert terms.find(f"{text} a 19999.") == "a 19999"
