"""What the tests of manifests share: files in a folder, a catalog of routes of their own, problems as text."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from batchgen.contracts.catalog import Catalog, load_catalog
from batchgen.domain.errors import ManifestError
from batchgen.domain.job import Prompt
from batchgen.manifest.load import load_manifest
from batchgen.manifest.manifest import Manifest
from batchgen.manifest.plan import ExpandedPlan, expand

# Routes that never drift: one without sizes and price, one that takes much, one that takes little.
ROUTES = """
provider: own
checked: 2026-11-21
source: made for tests
base_url: https://gateway.example/v1
key_env: OWN_KEY
contracts:
  plain:
    concurrency: 8
  wide:
    price: {per_call: 0.03}
    concurrency: 40
    max_prompt: 100
    formats: [png, jpeg, webp]
    sizes: {auto: true, multiple_of: 16, max_edge: 3840, max_ratio: 3, min_pixels: 655360, max_pixels: 8294400}
    parameters:
      quality: {takes: [low, medium, high]}
      background: {unsure: [auto, transparent]}
      format: {takes: [png, jpeg, webp]}
  narrow:
    price: {per_call: 0.03}
    sizes: {listed: thirty}
  worded:
    price: {per_call: 0.03}
    max_prompt: 100
    sizes:
      auto: true
      min_edge: 512
      max_edge: 1536
      joiner: ", "
      wording:
        "1:1": {phrase: square picture, pixels: 1254x1254}
"""

HEAD = """\
version: 1
name: test
route: own/wide
sizes: ["1:1@1K"]
"""


def routes(folder: Path) -> Catalog:
    """The catalog with the routes above."""
    path = folder / "own-routes.yaml"
    path.write_text(ROUTES, encoding="utf-8")
    return load_catalog(path)


def write(folder: Path, text: str, **files: str | bytes) -> Path:
    """A manifest, and the files beside it: `products_csv="…"` becomes products.csv."""
    for name, content in files.items():
        path = folder / ".".join(name.rsplit("_", 1))
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
    manifest = folder / "job.yaml"
    manifest.write_text(textwrap.dedent(text), encoding="utf-8")
    return manifest


def load(folder: Path, text: str, **files: str | bytes) -> Manifest:
    """The manifest such a file holds."""
    return load_manifest(write(folder, text, **files), routes(folder))


def planned(folder: Path, text: str, **files: str | bytes) -> ExpandedPlan:
    """The same, expanded."""
    return expand(load(folder, text, **files))


def prompts(folder: Path, text: str, **files: str | bytes) -> list[Prompt]:
    """All its prompts."""
    return list(planned(folder, text, **files).prompts())


def problems(folder: Path, text: str, **files: str | bytes) -> list[str]:
    """What is wrong with it, as a user reads it, with the folder cut off."""
    with pytest.raises(ManifestError) as caught:
        planned(folder, text, **files)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def problem(folder: Path, text: str, **files: str | bytes) -> str:
    """The one thing that is wrong with it."""
    found = problems(folder, text, **files)
    assert len(found) == 1, found
    return found[0]
