"""Every example in jobs/ runs, as the README says: rehearsed, delivered, and equal to the simulated gateway's bill."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.shop import Shop

JOBS = Path(__file__).parent.parent.parent / "jobs"


@pytest.mark.parametrize("name", sorted(path.name for path in JOBS.glob("*.yaml")))
def test_example_is_delivered_in_a_rehearsal(tmp_path: Path, name: str) -> None:
    shop = Shop(tmp_path, pace=20)
    shutil.copytree(JOBS, tmp_path / "jobs")
    done = shop.run("run", f"jobs/{name}", "--rehearse", "--speed", "100000", "--fault", "pictures=plain")
    tasks = shop.query("SELECT count(*) FROM task", "rehearsal/batchgen.db")[0][0]
    assert shop.states("rehearsal/batchgen.db") == {"completed": tasks}
    assert len(shop.images("rehearsal")) == tasks
    assert ": equal" in done.stdout
    shop.run("verify", "--rehearse")


def test_init_gives_a_job_that_runs_without_a_warning(tmp_path: Path) -> None:
    shop = Shop(tmp_path, pace=20)
    shop.run("init", "first")
    checked = shop.run("check", "first/first.yaml")
    assert "warning" not in checked.stderr + checked.stdout
    shop.run("run", "first/first.yaml", "--rehearse", "--speed", "100000")
    assert shop.states("rehearsal/batchgen.db") == {"completed": 5}
