"""The benchmarks run, and the page has a place for each of their figures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.figures import FIGURES
from benchmarks.running import Gateway, Job, gateway, ideal, once

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def served() -> Iterator[Gateway]:
    with gateway() as one:
        yield one


def test_page_has_a_place_for_every_figure_and_no_other() -> None:
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    places = re.findall(r"^<!-- figure: (\w+) -->$", text, re.MULTILINE)
    assert sorted(places) == sorted(figure.__name__ for figure in FIGURES)
    assert text.count("<!-- end -->") == len(places)


@pytest.mark.parametrize("kind", ["naive", "batchgen"])
def test_everybody_buys_what_the_neutral_gateway_sells(served: Gateway, tmp_path: Path, kind: str) -> None:
    served.set(latency=0.01, sigma=0.4)
    took = once(kind, served, Job(3, 2), tmp_path)
    stats = served.stats()
    assert (took.files, stats["paid"], stats["most_in_flight"]) == (3, 3, 2)
    assert 0 < ideal(stats["latencies"], 2) <= stats["last"] - stats["first"]


def test_neutral_gateway_refuses_what_is_over_its_limits(served: Gateway, tmp_path: Path) -> None:
    served.set(cap=1, latency=0.05)
    assert once("batchgen", served, Job(4, 4), tmp_path).files == 4
    stats = served.stats()
    assert stats["paid"] == 4
    assert stats["refused"] > 0
