from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from batchgen.domain.errors import ManifestError
from batchgen.domain.job import Plan, Variant, output_path
from batchgen.domain.size import Size
from batchgen.manifest.manifest import Manifest
from batchgen.manifest.plan import expand
from batchgen.manifest.survey import survey
from tests.support.manifest import HEAD, load, planned, problem, problems, prompts

CATALOG = HEAD + 'prompts: [{from: p.csv, id: "{{ sku }}", text: "Photo of {{ name }}"}]\n'
CSV = "sku,name\nA-1,Mug\nA-2,Cup\nA-3,Bowl\n"


def test_plan_streams_prompts_in_order_and_again(tmp_path: Path) -> None:
    plan = planned(tmp_path, CATALOG, p_csv=CSV)
    found = list(plan.prompts())
    assert [(prompt.position, prompt.key, prompt.text) for prompt in found] == [
        (0, "A-1", "Photo of Mug"),
        (1, "A-2", "Photo of Cup"),
        (2, "A-3", "Photo of Bowl"),
    ]
    assert list(plan.prompts()) == found
    assert (plan.totals.prompts, plan.totals.tasks) == (3, 3)
    assert _conforms(plan)


def _conforms(plan: Plan) -> bool:
    return bool(plan.job.name)


def test_variants_are_shared_between_prompts(tmp_path: Path) -> None:
    text = """
        version: 1
        name: test
        route: own/wide
        sizes: ["1:1@1K", "3:4@1K"]
        prompts:
          - {id: a, text: x}
          - {id: b, text: x, count: 2}
          - {id: c, text: y, sizes: ["3:4@1K"]}
          - {id: d, text: z}
        """
    plan = planned(tmp_path, text)
    square, tall = Size(1280, 1280), Size(960, 1280)
    assert plan.variants == (Variant(0, square, 1), Variant(1, tall, 1), Variant(2, square, 2), Variant(3, tall, 2))
    assert plan.variant_sets == ((0, 1), (0, 2, 1, 3), (1,))
    assert [prompt.variant_set for prompt in plan.prompts()] == [0, 1, 2, 0]
    assert plan.totals.tasks == 2 + 4 + 1 + 2


def test_paths_are_those_of_the_manifest(tmp_path: Path) -> None:
    text = CATALOG + 'output: {file: "{{ name | lower }}/{{ id }}-{{ ratio }}-{{ tier }}"}\n'
    found = prompts(tmp_path, text, p_csv="sku,name\nA/1,Größe {x}\n")
    assert found[0].key == "A/1"
    assert output_path(found[0].path, Size(1280, 1280), 1) == "größe {x}/A%2F1-1x1-1K"


def test_id_is_composed_and_trimmed(tmp_path: Path) -> None:
    assert [prompt.key for prompt in prompts(tmp_path, CATALOG, p_csv="sku,name\n cafe\u0301 ,x\n")] == ["caf\u00e9"]


def test_id_in_text_and_path_is_the_prompts_own(tmp_path: Path) -> None:
    text = HEAD + 'prompts: [{from: p.csv, id: "{{ sku }}-{{ id }}", text: "{{ id }} {{ row.id }}"}]\n'
    (found,) = prompts(tmp_path, text, p_csv="sku,id\nA,7\n")
    assert (found.key, found.text, found.path) == ("A-7", "A-7 7", "A-7/{size}-{sample}")


# --- identity


def hashes(folder: Path, text: str) -> list[tuple[int, int]]:
    return [(prompt.own, prompt.shared) for prompt in prompts(folder, text, p_csv=CSV)]


def test_own_hash_changes_with_text_and_overrides_only(tmp_path: Path) -> None:
    base = HEAD + "prompts: [{id: a, text: hello}]\n"
    ((own, _),) = hashes(tmp_path, base)
    same = [
        base.replace("id: a", "id: b"),
        base.replace("hello", "' hello  '"),
        base + "count: 3\nquality: high\n",
        base + 'output: {file: "x-{{ id }}", format: jpeg}\n',
        base.replace("text: hello", "text: hello, count: 2"),
    ]
    assert {hashes(tmp_path, text)[0][0] for text in same} == {own}
    other = [base.replace("hello", "hallo"), base.replace("text: hello", "text: hello, quality: high")]
    assert own not in {hashes(tmp_path, text)[0][0] for text in other}
    assert 0 <= own < 2**63


def test_shared_hash_changes_with_model_and_what_is_not_overridden(tmp_path: Path) -> None:
    base = HEAD + "prompts: [{id: a, text: hello}, {id: b, text: hello, quality: low}]\n"
    (_, a), (_, b) = hashes(tmp_path, base)
    assert a == b  # nothing is asked for the job that b overrides
    (_, a_high), (_, b_high) = hashes(tmp_path, base + "quality: high\n")
    assert a_high != a
    assert b_high == b
    assert hashes(tmp_path, base + "output: {format: png}\n")[0][1] == a  # as good as not said
    assert hashes(tmp_path, base + "output: {format: webp}\n")[0][1] != a
    moved = base.replace("own/wide", "{use: own/wide, base_url: 'http://127.0.0.1:1/v1'}")
    assert hashes(tmp_path, moved)[0][1] == a  # the gateway is no part of what is asked


def test_overrides_are_compact_json(tmp_path: Path) -> None:
    text = HEAD + "prompts: [{id: a, text: x, quality: low, format: jpeg}, {id: b, text: x}]\n"
    assert [prompt.overrides for prompt in prompts(tmp_path, text)] == ['{"format":"jpeg","quality":"low"}', ""]


def test_row_keeps_its_identity_when_another_is_inserted(tmp_path: Path) -> None:
    before = {prompt.key: (prompt.own, prompt.shared, prompt.path) for prompt in prompts(tmp_path, CATALOG, p_csv=CSV)}
    longer = CSV.replace("A-2", "A-0,Jug\nA-2")
    after = {
        prompt.key: (prompt.own, prompt.shared, prompt.path) for prompt in prompts(tmp_path, CATALOG, p_csv=longer)
    }
    assert after.pop("A-0")
    assert after == before


def test_hashes_are_the_same_in_every_process(tmp_path: Path) -> None:
    """Written down once: a change here means that everything delivered would be bought again."""
    (found,) = prompts(tmp_path, HEAD + "prompts: [{id: a, text: 'Ein Löwe', quality: low}]\nbackground: auto\n")
    assert (found.own, found.shared) == (5555471038680745521, 7415501867167817902)


# --- what only rows can show


def test_equal_ids_are_named_with_their_lines(tmp_path: Path) -> None:
    text = HEAD + 'prompts: [{id: a-2, text: x}, {from: p.csv, id: "{{ sku }}", text: "{{ name }}"}]\n'
    found = problems(tmp_path, text, p_csv=CSV + "A-3,Again\nÉ,1\nE\u0301,2\né,3\n")
    assert found == [
        f"p.csv:3: prompts.1.id: the id A-2 differs only in case from a-2 in {tmp_path}/job.yaml, line 5; ids must differ",
        "p.csv:5: prompts.1.id: the id A-3 stands already in line 4; ids must differ",
        "p.csv:7: prompts.1.id: the id É stands already in line 6; ids must differ",
        "p.csv:8: prompts.1.id: the id é differs only in case from É in line 6; ids must differ",
    ]


def test_two_images_with_one_path_are_named(tmp_path: Path) -> None:
    text = CATALOG + 'output: {file: "{{ name }}-{{ size }}"}\n'
    found = problem(tmp_path, text, p_csv=CSV + "A-4,MUG\n")
    assert (
        found
        == "p.csv:5: prompts.0.file: A-4 lands in the file mug-1280x1280, as does A-1 (line 2); make output.file differ"
    )


def test_two_images_with_one_path_are_found_across_variants(tmp_path: Path) -> None:
    text = HEAD + 'count: 12\noutput: {file: "{{ id }}{{ sample }}"}\nprompts: [{id: a, text: x}, {id: a1, text: y}]\n'
    assert "a1 lands in the file a11, as does a (line 7)" in problem(tmp_path, text)


def test_variants_of_one_prompt_with_one_path_are_reported_once(tmp_path: Path) -> None:
    text = CATALOG + 'count: 2\noutput: {file: "{{ id }}-{{ size }}"}\n'
    found = problem(tmp_path, text, p_csv=CSV)
    assert (
        found
        == "p.csv:2: prompts.0.file: several images of one prompt land in one file; put {{ sample }} into output.file"
    )
    text = text.replace("{{ size }}", "x").replace('["1:1@1K"]', '["1:1@1K", "1:1@2K"]')
    assert "put {{ size }} and {{ sample }} into" in problem(tmp_path, text, p_csv=CSV)


def test_colliding_hashes_are_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "hash", lambda _: 7, raising=False)
    plan = planned(tmp_path, CATALOG, p_csv=CSV)
    assert plan.totals.prompts == 3
    assert plan.warnings == ()


def test_same_text_under_two_ids_is_a_warning(tmp_path: Path) -> None:
    plan = planned(tmp_path, CATALOG, p_csv=CSV + "A-4,Mug\nA-5,Mug\n")
    (warning,) = plan.warnings
    assert str(warning).removeprefix(f"{tmp_path}/") == (
        "p.csv:5: prompts.0.text: 2 prompts ask for what another asks, for instance A-4 and A-1; count: buys several"
    )


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (",x", "prompts.0.id: the id is empty"),
        (f"A,{'x' * 100}", "prompts.0.text: the prompt has 109 characters, the route takes 100"),
        ("..,x", "prompts.0.file: '../{size}-{sample}' is not a path below the output folder"),
    ],
)
def test_row_is_refused_with_its_line(tmp_path: Path, row: str, words: str) -> None:
    assert problem(tmp_path, CATALOG, p_csv=f"{CSV}{row}\n").startswith(f"p.csv:5: {words}")


def test_half_a_character_is_refused(tmp_path: Path) -> None:
    text = CATALOG.replace("p.csv", "p.jsonl")
    found = problems(
        tmp_path,
        text,
        p_jsonl='{"sku": "a", "name": "\\ud800"}\n{"sku": "\\udfff", "name": "x"}\n{"sku": "c", "name": "\\u0000"}',
    )
    assert [line.split(": ", 2)[2] for line in found] == [
        "the prompt holds a NUL or half a character (a lone surrogate)",
        "the id holds a control character or a line end",
        "the prompt holds a NUL or half a character (a lone surrogate)",
    ]


def test_catalog_without_rows_is_a_problem(tmp_path: Path) -> None:
    assert problem(tmp_path, CATALOG, p_csv="sku,name\n") == "p.csv: prompts.0: has no rows"


def test_variable_missing_in_one_line_of_jsonl_is_named_with_it(tmp_path: Path) -> None:
    text = CATALOG.replace("p.csv", "p.jsonl")
    found = problem(
        tmp_path, text, p_jsonl='{"sku": "a", "name": "x"}\n{"sku": "b", "nam": "y"}\n{"sku": "c", "name": "z"}\n'
    )
    assert (
        found
        == "p.jsonl:2: prompts.0.text: there is nothing called name (did you mean nam?); this row has id, nam, sku"
    )


def test_job_is_refused_when_it_is_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MAX_TASKS", 10)
    text = CATALOG + "count: 6\n"
    assert "comes to more than 10 images" in problem(tmp_path, text, p_csv=CSV)


def test_stream_stops_when_the_catalog_changes(tmp_path: Path) -> None:
    plan = planned(tmp_path, CATALOG, p_csv=CSV)
    (tmp_path / "p.csv").write_text(CSV + "A-4,Jug\n")
    with pytest.raises(ManifestError, match="changed while it was read"):
        list(plan.prompts())


def test_catalog_named_twice_is_read_twice_and_hashed_once(tmp_path: Path) -> None:
    text = (
        HEAD
        + 'prompts:\n  - {from: p.csv, id: "{{ sku }}-a", text: "{{ name }}"}\n  - {from: ./p.csv, id: "{{ sku }}-b", text: "{{ name }}!"}\n'
    )
    assert [prompt.key for prompt in prompts(tmp_path, text, p_csv=CSV)] == [
        "A-1-a",
        "A-2-a",
        "A-3-a",
        "A-1-b",
        "A-2-b",
        "A-3-b",
    ]


# --- size


def _large(folder: Path, rows: int) -> Manifest:
    table = "".join(f"SKU-{number:06d},Handmade mug number {number}\n" for number in range(rows))
    text = CATALOG.replace('["1:1@1K"]', '["1:1@1K", "3:4@1K", "16:9@1K"]')
    return load(folder, text, p_csv="sku,name\n" + table)


def test_row_takes_at_most_64_bytes_while_it_is_checked_and_none_afterwards(tmp_path: Path) -> None:
    rows = 5_000
    manifest = _large(tmp_path, rows)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        plan = expand(manifest)
        kept, peak = (size - before for size in tracemalloc.get_traced_memory())
        tracemalloc.reset_peak()
        streamed = sum(1 for _ in plan.prompts())
        stream = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert (streamed, plan.totals.tasks) == (rows, 3 * rows)
    assert peak < 64 * rows, peak
    assert kept < 25_000, kept
    assert stream < 125_000, stream


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the largest size of a process from /proc")
def test_process_hardly_grows_when_a_hundred_thousand_rows_are_expanded(tmp_path: Path) -> None:
    _large(tmp_path, 100_000)
    program = """
import sys
from pathlib import Path
from tests.support.manifest import routes
from batchgen.manifest.load import load_manifest
from batchgen.manifest.plan import expand

def most():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

manifest = load_manifest(Path(sys.argv[1]) / "job.yaml", routes(Path(sys.argv[1])))
before = most()
plan = expand(manifest)
assert plan.totals.tasks == 300_000
print(most() - before)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 12_000_000


def test_plan_of_written_prompts_needs_no_catalog(tmp_path: Path) -> None:
    many = json.dumps([{"id": f"p{number}", "text": f"picture {number}"} for number in range(2_000)])
    assert planned(tmp_path, f"{HEAD}prompts: {many}\n").totals.prompts == 2_000
