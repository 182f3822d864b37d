"""`import batchgen`: the example of its page runs, its names are the ones that are told, and it stays light."""

from __future__ import annotations

import ast
import asyncio
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import batchgen

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "python.md"
EXAMPLE = PAGE.read_text(encoding="utf-8").partition("```python\n")[2].partition("```")[0]

TIMES = 5  # the CPU time of importing what it uses; seen were 2.3 times, 2.4 s in all where nothing else ran


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_example_runs_and_reads_the_ledger_into_rows_in_a_moment(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    before = cpu_of_children()
    subprocess.run([sys.executable, "-c", "import batchgen.app.run"], check=True)
    reference, before = cpu_of_children() - before, cpu_of_children()
    done = subprocess.run([sys.executable, "-c", EXAMPLE], cwd=tmp_path, capture_output=True, text=True, check=False)
    took = cpu_of_children() - before
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert first == "3 images for 0.09 dollars"
    assert sorted(lines[:3]) == [f"delivered {each}/1280x1280-1.png" for each in ("bakery", "fox", "lighthouse")]
    assert lines[3] == "3 images, 90000 micro-dollars: done"
    assert sorted(lines[4:]) == [f"{each} 1280x1280 completed 30000" for each in ("bakery", "fox", "lighthouse")]
    assert took < TIMES * reference


def test_example_uses_public_names_only() -> None:
    nodes = list(ast.walk(ast.parse(EXAMPLE)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"asyncio", "batchgen"}
    assert not [node for node in nodes if isinstance(node, ast.ImportFrom)]
    used = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert not [name for name in used if name.startswith("_")]
    asked = {ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)}
    assert {name.partition(".")[2] for name in asked if name.startswith("batchgen.")} <= set(batchgen.__all__)


def test_every_public_name_is_there_typed_and_told() -> None:
    source = ast.parse((ROOT / "batchgen" / "__init__.py").read_text(encoding="utf-8"))
    typed = {alias.name for node in ast.walk(source) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(batchgen.__all__) <= typed
    page = PAGE.read_text(encoding="utf-8")
    for name in batchgen.__all__:
        assert getattr(batchgen, name).__name__ == name
        assert f"`{name}" in page
        assert name in dir(batchgen)
    with pytest.raises(AttributeError, match="module 'batchgen' has no attribute 'anything'"):
        batchgen.anything  # noqa: B018


def test_import_loads_nothing_before_it_is_used() -> None:
    script = "import sys; before = set(sys.modules); import batchgen; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    others = {name for name in done.stdout.split() if name.partition(".")[0] not in sys.stdlib_module_names}
    assert others == {"batchgen"}


def test_program_that_does_not_agree_buys_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APIYI_API_KEY", "sk-canary-5f2d8c")
    prompts = "".join(f"  - {{id: p{number}, text: a mug}}\n" for number in range(200))
    Path("job.yaml").write_text(
        f"version: 1\nname: dear\nroute: apiyi/gpt-image-2-vip\nsizes: [1:1@1K]\nprompts:\n{prompts}"
    )
    manifest = batchgen.load_manifest("job.yaml")
    seen: list[batchgen.PlannedRun] = []

    class Reading(batchgen.RunHost):
        def planned(self, planned: batchgen.PlannedRun) -> None:
            seen.append(planned)

    with pytest.raises(batchgen.BatchgenError, match=r"up to \$18.00 and there is no `limits.budget`; nobody agreed"):
        asyncio.run(batchgen.run(manifest, host=Reading()))
    assert seen[0].fields() == batchgen.plan(manifest).fields()
    with batchgen.open_ledger() as ledger:
        assert ledger.jobs() == []
