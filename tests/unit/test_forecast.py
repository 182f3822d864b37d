"""What a run is said to cost beforehand, held against what its calls may come to one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from batchgen.app.forecasting import forecast_of
from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.job import Ask, Difference, Parameters, Texts
from batchgen.domain.size import parse_size
from batchgen.report.forecast import Forecast
from tests.support.manifest import load

SIZE = parse_size("1024x1024")
ASK = Ask(SIZE, "low")
LOW = Parameters(quality="low")
TOKENS = "version: 1\nname: job\nroute: openai/gpt-image-2\nsizes: [1024x1024]\nquality: low\nlimits: {attempts: 1}\n"


def outlook(folder: Path, texts: Iterable[str], more: str = "") -> Forecast:
    manifest = load(folder, TOKENS + "prompts: [{id: a, text: x}]\n" + more)
    lengths = [len(text.encode()) for text in texts]
    found = Difference(buy=dict(Counter([ASK] * len(lengths))), texts={ASK: Texts(sum(lengths), max(lengths))})
    return forecast_of(manifest, manifest.job, found)


@pytest.mark.parametrize(
    "texts",
    [
        ["x" * 19_900] * 10,
        ["é" * 19_900] * 3,
        ["x"] * 500 + ["y" * 30_000],
        [f"{'ab' * length}" for length in range(90)],
    ],
    ids=["long ones", "two bytes each", "one among short ones", "all lengths"],
)
def test_worst_is_never_below_what_the_calls_set_aside_nor_much_above(tmp_path: Path, texts: list[str]) -> None:
    contract = load_catalog().find("openai/gpt-image-2")
    costs = [expected(contract, Demand.of(SIZE, "low", text)) for text in texts]
    most, plain = sum(cost.upper or 0 for cost in costs), sum(cost.micros or 0 for cost in costs)
    found = outlook(tmp_path, texts)
    assert found.worst is not None
    assert found.expected is not None
    assert most <= found.worst <= most + 6 * len(texts)
    assert plain - len(texts) <= found.expected <= plain + 3 * len(texts)
    assert found.dearest == max(cost.upper or 0 for cost in costs)
    assert found.worst_of(1) == found.dearest


@pytest.mark.parametrize(
    ("route", "limits", "calls"),
    [
        ("apiyi/gpt-image-2-vip", "", 3),
        ("apiyi/gpt-image-2-vip", "limits: {retry_paid: 0}", 2),
        ("apiyi/gpt-image-2-vip", "limits: {retry_paid: 2, attempts: 9}", 4),
        ("apiyi/gpt-image-2-vip", "limits: {retry_paid: 7, attempts: 2}", 2),
        ("{use: apiyi/gpt-image-2-vip, price: 0.06}", "", 2),
        ("{use: apiyi/gpt-image-2-vip, price: 0.06}", "limits: {retry_paid: 1}", 3),
    ],
)
def test_worst_counts_calls_that_are_paid_again_for_nothing(
    tmp_path: Path, route: str, limits: str, calls: int
) -> None:
    head = f"version: 1\nname: job\nroute: {route}\nsizes: ['1:1@1K']\nprompts: [{{id: a, text: x}}]\n"
    manifest = load(tmp_path, head + limits)
    size = parse_size("1:1@1K")
    found = Difference(buy={Ask(size): 1}, texts={Ask(size): Texts(1, 1)})
    upper = expected(manifest.contract, Demand.of(size, None, "x")).upper
    assert upper is not None
    assert forecast_of(manifest, manifest.job, found).worst == calls * upper


def test_worst_counts_long_texts_on_every_route(tmp_path: Path) -> None:
    text = "x" * 19_900
    other = "fallback: [{use: apiyi/gpt-image-2, key_env: OTHER}]\n"
    one, two = outlook(tmp_path, [text]).worst, outlook(tmp_path, [text], other).worst
    assert one is not None
    assert two == 2 * one
