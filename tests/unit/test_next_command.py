"""What is printed to be typed next can be pasted as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.init import init


@pytest.mark.parametrize("manifest", ["job.yaml", "my shop/the job.yaml", "it's.yaml", "a;b$(c).yaml"])
def test_manifest_is_one_word(manifest: str) -> None:
    assert shlex.split(LedgerChoice().run_command(Path(manifest))) == ["batchgen", "run", manifest]


def test_next_command_is_about_the_same_ledger() -> None:
    elsewhere = LedgerChoice(Path("my shop.db")).command("retry mugs")
    assert shlex.split(elsewhere) == ["batchgen", "retry", "mugs", "--db", "my shop.db"]
    assert LedgerChoice(Path("my shop.db"), rehearse=True).command("retry mugs") == "batchgen retry mugs --rehearse"


def test_init_names_a_folder_with_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    said = CliRunner().invoke(init, [str(folder)]).stderr
    assert f"batchgen check '{folder}/first.yaml'" in said
    assert f"batchgen run '{folder}/first.yaml' --rehearse" in said
