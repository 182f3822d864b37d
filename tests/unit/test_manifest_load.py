from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.errors import Exit, ManifestError
from batchgen.domain.job import FourK, JobSpec, Limits, Parameters
from batchgen.domain.size import AUTO, Size
from batchgen.manifest.document.schema import schema
from batchgen.manifest.load import load_manifest
from batchgen.manifest.plan import expand
from tests.support.manifest import HEAD, ROUTES, load, problem, problems, routes, write

ONE = HEAD + "prompts: [{id: a, text: hello}]\n"


def test_manifest_gives_the_whole_job(tmp_path: Path) -> None:
    text = """
        version: 1
        name: spring-catalog
        route: own/wide
        prompts:
          - {id: mug-hero, text: A mug, sizes: ["16:9@4K"], count: 4}
        sizes: ["1:1@2K", 2048x1152]
        quality: high
        output: {folder: ../elsewhere, file: "{{ id }}-{{ size }}-{{ sample }}", format: jpeg}
        limits: {concurrency: 16, rate: 120/min, attempts: 5, unknown: 2, unknown_total: 40, budget: 25.10, until: "07:30"}
        downgrade: true
        timeout: 900
        """
    manifest = load(tmp_path, text)
    assert manifest.job == JobSpec(
        name="spring-catalog",
        route="own/wide",
        model="wide",
        manifest=tmp_path / "job.yaml",
        output=tmp_path.parent / "elsewhere",
        parameters=Parameters(quality="high", format="jpeg"),
        limits=Limits(16, 2.0, 5, 2, 40, 25_100_000, 450),
        four_k=FourK.DOWNGRADE,
        source_hash=manifest.source_hash,
        priced_by_text=False,
    )
    assert [warning.key for warning in manifest.warnings] == ["downgrade"]
    assert manifest.contract.timeout_for(Size(2048, 2048), "high") == 900.0


def test_manifest_has_sensible_defaults(tmp_path: Path) -> None:
    job = load(tmp_path, ONE).job
    assert job.limits == Limits(concurrency=32)  # the route would take 40
    assert job.output == tmp_path / "out" / "test"
    assert job.parameters == Parameters()
    assert job.four_k is FourK.RETRY
    assert (
        load(tmp_path, ONE.replace("own/wide", "own/plain").replace('sizes: ["1:1@1K"]\n', "")).job.limits.concurrency
        == 8
    )


@pytest.mark.parametrize(
    ("route", "calls"),
    [
        ("{use: own/wide, limits_per: key, concurrency: 8, keys: [A, B, C]}", 24),
        ("{use: own/wide, limits_per: key, keys: [A, B]}", 64),
        ("{use: own/wide, limits_per: account, keys: [A, B]}", 32),
        (f"{{use: own/wide, limits_per: key, keys: [{', '.join(f'K{number}' for number in range(40))}]}}", 1000),
    ],
)
def test_calls_in_flight_are_by_default_those_of_every_key_with_limits_of_its_own(
    tmp_path: Path, route: str, calls: int
) -> None:
    assert load(tmp_path, ONE.replace("own/wide", route)).job.limits.concurrency == calls


def test_size_is_auto_when_the_route_takes_none(tmp_path: Path) -> None:
    manifest = load(tmp_path, "version: 1\nname: test\nroute: own/plain\nprompts: [{id: a, text: hello}]\n")
    assert [variant.size for variant in manifest.variants] == [AUTO]


@pytest.mark.parametrize("route", ["own/wide", "own/narrow", "own/worded"])
def test_size_is_asked_for_with_an_example_when_the_route_needs_one(tmp_path: Path, route: str) -> None:
    found = problem(
        tmp_path, f"version: 1\nname: test\nroute: {route}\nprompts: [{{id: a, text: x}}, {{id: b, text: y}}]\n"
    )
    assert f"sizes: {route} needs a size; write for instance sizes: [" in found


def test_route_is_a_mapping_when_something_about_it_changes(tmp_path: Path) -> None:
    text = ONE.replace("own/wide", "{use: own/wide, base_url: 'http://127.0.0.1:8080/v1', price: {per_call: 0.05}}")
    manifest = load(tmp_path, text)
    assert manifest.contract.base_url == "http://127.0.0.1:8080/v1"
    assert manifest.job.route == "own/wide"


CASES = {
    # key by key: what is appended to a good manifest, or replaces a part of it, and what is said about it
    "unknown route": ("own/wide", "own/wid", "job.yaml:3:8: route: there is no route own/wid; did you mean own/wide"),
    "unknown provider": ("own/wide", "owm/wide", "job.yaml:3:8: route: there is no route owm/wide; did you mean own/wide"),
    "route without use": ("own/wide", "{base_url: x}", "job.yaml:3:8: route.use: must name the route"),
    "unknown key of the route": ("own/wide", "{use: own/wide, bas_url: x}", "job.yaml:3:24: route.bas_url: unknown key; did you mean base_url"),
    "odd value of the route": ("own/wide", "{use: own/wide, key_env: no}", 'job.yaml:3:33: route.key_env: YAML reads no as true or false; write it in quotes: "no"'),
    "two ways to name keys": ("own/wide", "{use: own/wide, key_env: A, keys: [B, C]}", "job.yaml:3:42: route.keys: stands beside key_env; keep one"),
    "keys of YAML's own kind": ("own/wide", "{use: own/wide, keys: [A, no]}", 'job.yaml:3:34: route.keys.1: YAML reads no as true or false; write it in quotes: "no"'),
    "version": ("version: 1", "version: 2", "job.yaml:1:10: version: must be 1"),
    "no version": ("version: 1", "", "job.yaml:2:1: version: is missing; write version: 1"),
    "name": ("name: test", "name: Test 1", "job.yaml:2:7: name: must be at most 64 small letters and digits"),
    "path as name": ("name: test", "name: ../x", "job.yaml:2:7: name: must be at most 64 small letters"),
    "number as name": ("name: test", "name: 12", 'job.yaml:2:7: name: YAML reads 12 as a number; write it in quotes: "12"'),
    "no size": ('["1:1@1K"]', "[]", "job.yaml:4:8: sizes: must not be empty"),
    "size not in a list": ('["1:1@1K"]', "1:1@1K", "job.yaml:4:8: sizes: must be a list"),
    "no such size": ('["1:1@1K"]', "[big]", "job.yaml:4:9: sizes.0: 'big' is not a size; write ratio@tier like 1:1@2K"),
    "no such ratio": ('["1:1@1K"]', '["7:5@1K"]', "job.yaml:4:9: sizes.0: 7:5 is not one of the ratios"),
    "sexagesimal": ('["1:1@1K"]', "[16:09]", 'sizes.0: YAML reads 16:09 as a number; write it in quotes: "16:09"'),
    "size the route refuses": ('["1:1@1K"]', '["1:1@1K", 1000x1000]', "job.yaml:4:19: sizes.1: own/wide does not take the size 1000x1000: it wants multiples of 16; the nearest it takes is"),
    "size twice": ('["1:1@1K"]', '["1:1@2K", 2048x2048]', "job.yaml:4:19: sizes.1: 1:1@2K and 2048x2048 are one size; keep one"),
    "one key twice": ("sizes:", "sizes: [auto]\nsizes:", "job.yaml:5:1: sizes: stands here a second time (first in line 4)"),
    "quality": ("sizes:", "quality: best\nsizes:", "job.yaml:4:10: quality: own/wide takes low, medium, high as `quality`, not best"),
    "quality as a word of YAML": ("sizes:", "quality: on\nsizes:", "job.yaml:4:10: quality: YAML reads on as true or false"),
    "nothing": ("sizes:", "quality:\nsizes:", "quality: has no value; write one, or remove the key"),
    "n": ("sizes:", "n: 2\nsizes:", "job.yaml:4:1: n: unknown key; did you mean count?"),
    "near miss": ("sizes:", "qualty: high\nsizes:", "job.yaml:4:1: qualty: unknown key (did you mean quality?)"),
    "near miss of a short key": ("sizes:", "sise:", "job.yaml:4:1: sise: unknown key (did you mean sizes?)"),
    "a kind of prompt": ("sizes:", "catalog: x\nsizes:", "job.yaml:4:1: catalog: unknown key"),
    "a kind of prompt in a prompt": ("text: hello", "text: hello, written: x", "prompts.0.written: unknown key"),
    "a kind of prompt in a part": ("sizes:", "limits: {written: 3}\nsizes:", "limits.written: unknown key"),
    "misplaced": ("sizes:", "budget: 3\nsizes:", "job.yaml:4:1: budget: unknown key here; it belongs under limits:"),
    "count": ("sizes:", "count: 0\nsizes:", "job.yaml:4:8: count: must be at least 1"),
    "count of halves": ("sizes:", "count: 1.5\nsizes:", "count: must be a whole number"),
    "too many": ("sizes:", "count: 1001\nsizes:", "count: must be at most 1000"),
    "format": ("sizes:", "output: {format: gif}\nsizes:", "job.yaml:4:18: output.format: must be png, jpeg or webp, not gif"),
    "folder with a variable": ("sizes:", 'output: {folder: "out/{{ id }}"}\nsizes:', "output.folder: is taken as it is written"),
    "home": ("sizes:", "output: {folder: ~/x}\nsizes:", "output.folder: is taken as it is written"),
    "file": ("sizes:", 'output: {file: "../{{ id }}"}\nsizes:', "is not a path below the output folder"),
    "file with a broken template": ("sizes:", 'output: {file: "{{ id"}\nsizes:', "job.yaml:4:16: output.file: not a template"),
    "file that bends the size": ("sizes:", 'output: {file: "{{ size | upper }}"}\nsizes:', "output.file: size may only stand alone"),
    "budget in quotes": ("sizes:", 'limits: {budget: "25"}\nsizes:', "job.yaml:4:18: limits.budget: must be a plain number of dollars"),
    "budget too fine": ("sizes:", "limits: {budget: 0.0000001}\nsizes:", "limits.budget: 0.0000001 is finer than a millionth of a dollar"),
    "budget below nothing": ("sizes:", "limits: {budget: -1}\nsizes:", "limits.budget: -1 is not an amount"),
    "budget of nothing": ("sizes:", "limits: {budget: 0.00}\nsizes:", "limits.budget: must be more than 0"),
    "rate": ("sizes:", "limits: {rate: 120}\nsizes:", "limits.rate: must be calls per second, minute or hour, for instance 120/min"),
    "rate of nothing": ("sizes:", "limits: {rate: 0/s}\nsizes:", "limits.rate: must be calls"),
    "until": ("sizes:", "limits: {until: 22:30}\nsizes:", 'limits.until: must be a time of day between 00:00 and 23:59, in quotes, for instance "07:00"'),
    "until late": ("sizes:", 'limits: {until: "24:00"}\nsizes:', "limits.until: must be a time of day"),
    "attempts": ("sizes:", "limits: {attempts: yes}\nsizes:", "limits.attempts: must be a whole number"),
    "concurrency": ("sizes:", "limits: {concurrency: 0}\nsizes:", "limits.concurrency: must be at least 1"),
    "timeout": ("sizes:", "timeout: soon\nsizes:", "timeout: must be a number of seconds"),
    "timeout twice": ("own/wide", "{use: own/wide, timeout: 900}\ntimeout: 900", "job.yaml:4:10: timeout: stands here and under route:"),
    "downgrade": ("sizes:", "downgrade: 4K\nsizes:", "downgrade: must be true or false"),
    "limits": ("sizes:", "limits: 5\nsizes:", "job.yaml:4:9: limits: must be a mapping of keys to values"),
    "no prompts": ("[{id: a, text: hello}]", "[]", "job.yaml:5:10: prompts: must not be empty"),
    "no list of prompts": ("[{id: a, text: hello}]", "hello", "job.yaml:5:10: prompts: must be a list"),
    "no prompt": ("[{id: a, text: hello}]", "[hello]", "job.yaml:5:11: prompts.0: must be a mapping"),
    "prompt without text": ("text: hello", "txt: hello", "job.yaml:5:19: prompts.0.txt: unknown key (did you mean text?)"),
    "prompt without id": ("id: a, ", "", "job.yaml:5:11: prompts.0.id: is missing"),
    "numeric id": ("id: a", "id: 0715", 'prompts.0.id: YAML reads 0715 as a number; write it in quotes: "0715"'),
    "empty id": ("id: a", 'id: " "', "prompts.0.id: the id is empty"),
    "id with a line end": ("id: a", 'id: "a\\nb"', "prompts.0.id: the id holds a control character"),
    "long id": ("id: a", "id: " + "a" * 201, "prompts.0.id: the id has 201 characters; 200 are the most"),
    "empty text": ("text: hello", 'text: " "', "prompts.0.text: the prompt is empty"),
    "long text": ("text: hello", "text: " + "a" * 101, "prompts.0.text: the prompt has 101 characters, the route takes 100"),
    "template without a catalog": ("text: hello", 'text: "hello {{ name }}"', "prompts.0.text: holds a template, which only the rows of a catalog can fill in"),
    "override the route refuses": ("text: hello", "text: hello, quality: best", "job.yaml:5:41: prompts.0.quality: own/wide takes low, medium, high"),
    "override that does not fit": ("text: hello", "text: hello, background: transparent, format: jpeg", "prompts.0.format: a transparent background needs the format"),
    "size of a prompt": ("text: hello", "text: hello, sizes: [1000x1000]", "prompts.0.sizes.0: own/wide does not take the size 1000x1000"),
    "too many of one": ("text: hello", 'text: hello, count: 501, sizes: ["1:1@1K", "1:1@2K"]', "prompts.0: 2 sizes x 501 images are more than the 1,000"),
    "catalog that is not there": ("text: hello", "text: hello, from: nope.csv", "job.yaml:5:38: prompts.0.from: nope.csv: cannot be read: No such file or directory"),
    "catalog of another kind": ("text: hello", "text: hello, from: job.yaml", "prompts.0.from: job.yaml: a catalog is a .csv or a .jsonl file"),
    "what does not work yet": ("text: hello", "text: hello, negative: x", "prompts.0.negative: unknown key"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), CASES.values(), ids=CASES)
def test_manifest_is_refused_with_line_key_and_remedy(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in ONE
    found = problems(tmp_path, ONE.replace(old, new, 1))
    assert words in "\n".join(found)
    assert all(line.startswith("job.yaml:") for line in found)


def test_manifest_reports_everything_at_once(tmp_path: Path) -> None:
    text = """
        version: 1
        name: Test
        route: own/wide
        n: 2
        sizes: ["1:1@1K", 1000x1000]
        quality: best
        prompts:
          - {id: a, text: hello, n: 1}
          - {id: A, text: hello}
          - {id: b, text: hello, file: a/1280x1280-1}
          - {from: products.csv, id: "{{ sku }}", text: "{{ naame }}"}
          - {from: nope.csv, id: "{{ sku }}", text: "{{ name | nope }}"}
        """
    found = problems(tmp_path, text, products_csv="sku,name\nx,1\nx,2\n1,2,3\n")
    marks = [
        "job.yaml:3:7: name:",
        "job.yaml:5:1: n: unknown key",
        "job.yaml:6:19: sizes.1: own/wide does not take",
        "job.yaml:7:10: quality: own/wide takes",
        "job.yaml:9:26: prompts.0.n: unknown key",
        "job.yaml:10:5: prompts.1.id: the id A differs only in case from a in line 9",
        "job.yaml:11:5: prompts.2.file: b lands in the file a/1280x1280-1, as does a (line 9)",
        "job.yaml:11:5: prompts.2.file: several images of one prompt land in one file",
        "job.yaml:13:12: prompts.4.from: nope.csv: cannot be read",
        "job.yaml:13:45: prompts.4.text: there is no filter nope",
        "products.csv:2: prompts.3.text: there is nothing called naame (did you mean name?)",
        "products.csv:3: prompts.3.id: the id x stands already in line 2",
        "products.csv:3: prompts.3.text: there is nothing called naame",
        "products.csv:4: has 3 cells, but the header names 2 columns",
    ]
    assert len(found) == len(marks), "\n".join(found)
    for mark, line in zip(marks, found, strict=True):
        assert line.startswith(mark)


def test_wrong_fallback_and_what_else_is_wrong_are_told_together(tmp_path: Path) -> None:
    text = ONE.replace(
        "name: test", "name: test\nfallback: [own/nowhere]\nquality: best\nlimits: {concurrency: none}", 1
    )
    for route in ("own/wide", "own/missing"):
        found = "\n".join(problems(tmp_path, text.replace("own/wide", route, 1)))
        assert "fallback.0: there is no route own/nowhere" in found
        assert "limits.concurrency" in found
        assert ("route: there is no route own/missing" in found) is (route == "own/missing")
        assert ("quality: own/wide takes" in found) is (route == "own/wide")


def test_problems_are_shown_up_to_a_number_and_counted(tmp_path: Path) -> None:
    same = HEAD + 'prompts: [{from: p.csv, id: "{{ sku }}", text: "{{ nope }}"}]\n'
    found = problems(tmp_path, same, p_csv="sku\n" + "".join(f"{number}\n" for number in range(1_000)))
    assert len(found) == 11
    assert found[-1] == "p.csv:1001: prompts.0.text: and 990 more: there is nothing called nope; this row has id, sku"
    each = HEAD + "prompts:\n" + "".join(f"  - {{id: a{number}, text: x, k{number}: 1}}\n" for number in range(300))
    found = problems(tmp_path, each)
    assert len(found) == 201
    assert found[0] == "job.yaml: only the first 200 problems are shown, 100 more are left out"


WARNED = {
    "short timeout": ("sizes:", "timeout: 60\nsizes:", "job.yaml:4:10: timeout: 60 s is less than the 300 s that own/wide may need for 1:1@1K; an abandoned call is paid all the same"),
    "unsure parameter": ("sizes:", "background: auto\nsizes:", "job.yaml:4:13: background: own/wide may reject `background`"),
    "unsure override": ("text: hello", "text: hello, background: auto", "job.yaml:5:44: prompts.0.background: own/wide may reject `background`"),
    "much for two keys": ("own/wide", "{use: own/wide, limits_per: key, keys: [A, B]}\nlimits: {concurrency: 81}", "limits.concurrency: 81 calls in flight are more than the 80"),
    "much at once": ("sizes:", "limits: {concurrency: 41}\nsizes:", "job.yaml:4:23: limits.concurrency: 41 calls in flight are more than the 40"),
    "needless downgrade": ("sizes:", "downgrade: true\nsizes:", "job.yaml:4:12: downgrade: has nothing to do"),
    "key that goes elsewhere": ("own/wide", "{use: own/wide, base_url: 'https://other.example/v1'}", "job.yaml:3:8: route: the key in OWN_KEY goes to https://other.example/v1"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), WARNED.values(), ids=WARNED)
def test_manifest_warns_of_what_is_doubtful(tmp_path: Path, old: str, new: str, words: str) -> None:
    (warning,) = load(tmp_path, ONE.replace(old, new, 1)).warnings
    assert words in str(warning).removeprefix(f"{tmp_path}/")


def test_budget_is_refused_when_the_route_has_no_price(tmp_path: Path) -> None:
    text = "version: 1\nname: test\nroute: own/plain\nprompts: [{id: a, text: hello}]\nlimits: {budget: 1}\n"
    assert "job.yaml:5:18: limits.budget: own/plain has no price" in problem(tmp_path, text)
    assert (
        load(tmp_path, text.replace("own/plain", "{use: own/plain, price: {per_call: 0.03}}")).job.limits.budget
        == 1_000_000
    )


UNBOUNDED = {
    "a size that the price has no figure for": ("{use: openai/gpt-image-2, price: {tokens: gpt-image-1.5}}", "2048x2048", "high", "openai/gpt-image-2 takes at most for 1:1@2K in the quality high"),
    "auto without a largest size": ("{use: openai/gpt-image-2, sizes: {auto: true, multiple_of: 16}}", "auto", "", "openai/gpt-image-2 takes at most for auto,"),
    "a quality that the price has no figure for": ("{use: openai/gpt-image-2.5-flare, price: {tokens: gpt-image-2}}", "1024x1024", "max", "openai/gpt-image-2.5-flare takes at most for 1024x1024 in the quality max"),
}  # fmt: skip


@pytest.mark.parametrize(("route", "size", "quality", "words"), UNBOUNDED.values(), ids=UNBOUNDED)
def test_budget_is_refused_when_one_kind_of_call_has_no_upper_bound(
    tmp_path: Path, route: str, size: str, quality: str, words: str
) -> None:
    asked = f"sizes: [1024x1536, {size}]\nprompts: [{{id: a, text: x{f', quality: {quality}' * bool(quality)}}}]\n"
    text = f"version: 1\nname: test\nroute: {route}\n{asked}"
    found = problem(tmp_path, text + "limits: {budget: 0.05}\n")
    assert found.startswith("job.yaml:6:18: limits.budget: nobody can say")
    assert words in found
    load(tmp_path, text)


def test_budget_asks_other_routes_only_for_what_can_come_to_them(tmp_path: Path) -> None:
    bounded = HEAD.replace("wide", "narrow").replace('"1:1@1K"', '"1:1@1K", "1:1@4K"') + "prompts: [{id: a, text: x}]\n"
    other = "fallback: [{use: openai/gpt-image-2, key_env: X, price: {tokens: gpt-image-1.5}, sizes: {listed: [%s]}}]\n"
    budget = "limits: {budget: 1}\n"
    found = problem(tmp_path, bounded + other % "1280x1280" + budget)
    assert "limits.budget: nobody can say what openai/gpt-image-2 takes at most for 1:1@1K, so" in found
    with pytest.raises(ManifestError, match="takes at most for 1:1@4K"):
        load(tmp_path, bounded + other % "2880x2880" + budget)
    load(tmp_path, bounded + "fallback: [{use: own/worded}]\n" + budget)


def test_budget_names_the_mainline_model_whose_price_is_missing(tmp_path: Path) -> None:
    route = "{use: openai/gpt-image-2, endpoint: responses, main_model: gpt-5.5}"
    text = f"version: 1\nname: test\nroute: {route}\nsizes: ['1:1@1K']\nprompts: [{{id: a, text: x}}]\n"
    found = problem(tmp_path, text + "limits: {budget: 1}\n")
    assert "the mainline model of openai/gpt-image-2 has no price" in found
    assert "main_price:" in found


def test_prompt_leaves_room_for_the_phrase_when_the_size_is_said_in_words(tmp_path: Path) -> None:
    text = f"version: 1\nname: test\nroute: own/worded\nsizes: ['1:1@1K']\nprompts: [{{id: a, text: {'x' * 85}}}]\n"
    assert "the prompt has 85 characters, the route takes 84" in problem(tmp_path, text)
    load(tmp_path, text.replace("x" * 85, "x" * 84))


def test_source_hash_changes_with_manifest_catalog_and_contract_only(tmp_path: Path) -> None:
    text = HEAD + 'prompts: [{from: p.csv, id: "{{ sku }}", text: "{{ sku }}"}]\n'
    first = load(tmp_path, text, p_csv="sku\na\n").source_hash
    assert load(tmp_path, text, p_csv="sku\na\n").source_hash == first
    os.utime(tmp_path / "p.csv", (1, 1))
    assert load_manifest(tmp_path / "job.yaml", routes(tmp_path)).source_hash == first
    other = {
        load(tmp_path, text + "# a remark\n", p_csv="sku\na\n").source_hash,
        load(tmp_path, text, p_csv="sku\nb\n").source_hash,
    }
    path = write(tmp_path, text, p_csv="sku\na\n")
    dearer = tmp_path / "dearer.yaml"
    dearer.write_text(ROUTES.replace("0.03", "0.04"))
    other.add(load_manifest(path, load_catalog(dearer)).source_hash)
    assert len(other - {first}) == 3


def test_manifest_is_refused_when_it_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is not a regular file") as caught:
        load_manifest(tmp_path, routes(tmp_path))
    assert caught.value.exit_code is Exit.USAGE
    with pytest.raises(ManifestError, match="cannot be read: No such file"):
        load_manifest(tmp_path / "nope.yaml", routes(tmp_path))


def test_schema_and_reader_agree_on_keys() -> None:
    found = schema()
    assert found["additionalProperties"] is False
    assert set(found["required"]) == {"version", "name", "route", "prompts"}
    assert set(found["properties"]) == {
        "version",
        "name",
        "route",
        "prompts",
        "sizes",
        "count",
        "quality",
        "background",
        "output",
        "limits",
        "timeout",
        "downgrade",
        "if_4k_fails",
        "fallback",
        "fallback_on_refusal",
        "images_from",
        "risky_terms",
    }
    assert set(found["$defs"]["CatalogPrompt"]["properties"]) >= {"from", "id", "text", "file", "format"}
    assert '"default": ""' not in json.dumps(found)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["own/wide", "1:1@1K", "{{ id }}", "07:00", "2/s", ""]), st.text(max_size=5)),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.sampled_from(["id", "text", "from", "sizes", "use", "file", "rate", "budget", "x"]), below, max_size=4)),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["version", "name", "route", "prompts", "sizes", "output", "limits", "count", "quality", "timeout", "zz"]
        ),
        VALUES,
    )
)
def test_any_manifest_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]) -> None:
    folder = tmp_path_factory.mktemp("any")
    good: dict[str, Any] = {
        "version": 1,
        "name": "test",
        "route": "own/wide",
        "sizes": ["1:1@1K"],
        "prompts": [{"id": "a", "text": "x"}],
    }
    with suppress(ManifestError):
        assert expand(load(folder, json.dumps(good | changes))).job.name
