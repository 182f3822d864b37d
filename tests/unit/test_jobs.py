"""The example manifests: each is right, does what its comments say, and costs what they say."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path

import pytest

from batchgen.app.input_check import look_at_inputs
from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.job import FourK, Plan, output_path
from batchgen.domain.size import downgraded
from batchgen.manifest.document.schema import schema
from batchgen.manifest.load import load_manifest
from batchgen.manifest.manifest import Manifest
from batchgen.manifest.plan import ExpandedPlan, expand
from batchgen.store.inputs.input_store import InputStore

JOBS = Path(__file__).parents[2] / "jobs"
MANIFESTS = sorted(JOBS.glob("*.yaml"))
TASKS = {"catalog": (60, 180), "first": (3, 3), "overnight": (4, 11), "edits": (3, 6)}


def read(path: Path) -> tuple[Manifest, ExpandedPlan]:
    manifest = load_manifest(path, load_catalog())
    plan = expand(manifest)
    store = InputStore(JOBS, JOBS / "nothing-is-kept")
    asyncio.run(look_at_inputs(plan, store, (), None))
    store.close()
    return manifest, plan


def test_examples_are_all_here() -> None:
    assert {path.stem for path in MANIFESTS} >= set(TASKS)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_example_is_right_and_warns_of_nothing(path: Path) -> None:
    manifest, plan = read(path)
    assert manifest.job.name == path.stem
    assert manifest.warnings + plan.warnings == ()
    assert (plan.totals.prompts, plan.totals.tasks) == TASKS[path.stem]
    assert sum(1 for _ in plan.prompts()) == plan.totals.prompts


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_example_has_a_budget_that_covers_its_plan_and_little_more(path: Path) -> None:
    manifest, plan = read(path)
    cost = sum(_upper(manifest, plan))
    budget = manifest.job.limits.budget
    assert budget is not None
    assert cost <= budget <= 4 * cost
    assert budget < 10_000_000


def _upper(manifest: Manifest, plan: Plan) -> list[int]:
    costs = []
    for prompt in plan.prompts():
        for number in plan.variant_sets[prompt.variant_set]:
            size = plan.variants[number].size
            upper = expected(manifest.contract, Demand.of(size, manifest.job.parameters.quality, prompt.text)).upper
            assert upper is not None
            costs.append(upper)
    return costs


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_example_helps_editors_with_the_schema(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == "# yaml-language-server: $schema=./batchgen.schema.json"


def test_schema_file_is_what_the_command_prints() -> None:
    """After a change of keys: `batchgen schema > jobs/batchgen.schema.json`."""
    assert json.loads((JOBS / "batchgen.schema.json").read_text(encoding="utf-8")) == schema()


def test_catalog_names_files_by_sku() -> None:
    _, plan = read(JOBS / "catalog.yaml")
    paths = [
        output_path(prompt.path, plan.variants[number].size, 1)
        for prompt in plan.prompts()
        for number in plan.variant_sets[prompt.variant_set]
    ]
    assert paths[:3] == ["mugs/MUG-001-1x1", "mugs/MUG-001-3x4", "mugs/MUG-001-16x9"]
    assert "tea/TEA-018%2FS-1x1" in paths
    assert len(set(paths)) == 180


def test_catalog_is_varied() -> None:
    with (JOBS / "catalog.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["sku"] for row in rows}) == len({row["name"] for row in rows}) == 60
    assert len({row["category"] for row in rows}) >= 6
    assert sum(not row["name"].isascii() for row in rows) >= 5
    assert any("," in row["name"] for row in rows)
    assert all(all(row.values()) for row in rows)


def test_overnight_asks_only_for_what_can_be_downgraded() -> None:
    manifest, plan = read(JOBS / "overnight.yaml")
    assert manifest.job.four_k is FourK.DOWNGRADE
    assert manifest.job.limits.until == 7 * 60
    assert all(downgraded(variant.size) for variant in plan.variants)
    assert max(variant.sample for variant in plan.variants) == 3
