"""What is printed to be typed next can be pasted as it is."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from batchgen.cli.common import run_command
from batchgen.cli.start import init


@pytest.mark.parametrize("manifest", ["job.yaml", "my shop/the job.yaml", "it's.yaml", "a;b$(c).yaml"])
def test_manifest_is_one_word(manifest: str) -> None:
    with click.Context(click.Command("run")):
        assert shlex.split(run_command(Path(manifest))) == ["batchgen", "run", manifest]


def test_init_names_a_folder_with_a_space(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    said = CliRunner().invoke(init, [str(folder)]).stderr
    assert f"batchgen check '{folder}/first.yaml'" in said
    assert f"batchgen run '{folder}/first.yaml' --rehearse" in said
