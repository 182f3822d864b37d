"""What calls cost: published figures as vectors, exact integers, and bounds that hold."""

from __future__ import annotations

import time
import timeit
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.pricing import Demand, billed, expected
from batchgen.contracts.tokens import (
    NoPrice,
    PerCall,
    TokenPrice,
    input_image_tokens,
    output_range,
    output_tokens,
)
from batchgen.domain.model import Cost
from batchgen.domain.size import AUTO, THIRTY, Size, parse_size
from batchgen.domain.wire import Usage

CATALOG = load_catalog()
OFFICIAL = CATALOG.find("apiyi/gpt-image-2")
ENTERPRISE = CATALOG.find("apiyi/gpt-image-2@image2Enterprise")
VIP = CATALOG.find("apiyi/gpt-image-2-vip")
LOW = "low"
SQUARE = Size(1024, 1024)


def table(family: str) -> TokenPrice:
    price = CATALOG.resolve({"use": "openai/gpt-image-2", "price": {"tokens": family}}).price
    assert isinstance(price, TokenPrice)
    return price


# The readings of OpenAI's calculator for gpt-image-2: size, then tokens at low, medium, high.
READINGS = [
    ("1024x1024", 196, 1756, 7024),
    ("1536x1024", 158, 1372, 5488),
    ("1024x1536", 158, 1372, 5488),
    ("2048x2048", 397, 3568, 14272),
    ("2048x1152", 157, 1413, 5650),
    ("2560x1440", 205, 1843, 7370),
    ("3840x2160", 371, 3336, 13342),
    ("2880x2880", 659, 5930, 23719),
]
DOLLARS = [
    ("1024x1024", "low", 5_880),
    ("1024x1024", "medium", 52_680),
    ("1024x1024", "high", 210_720),
    ("1536x1024", "low", 4_740),
    ("1024x1536", "medium", 41_160),
    ("1536x1024", "high", 164_640),
    ("2048x2048", "low", 11_910),
    ("2048x2048", "medium", 107_040),
    ("2048x2048", "high", 428_160),
    ("2048x1152", "low", 4_710),
    ("2048x1152", "medium", 42_390),
    ("2048x1152", "high", 169_500),
    ("2560x1440", "low", 6_150),
    ("2560x1440", "medium", 55_290),
    ("2560x1440", "high", 221_100),
    ("3840x2160", "low", 11_130),
    ("3840x2160", "medium", 100_080),
    ("3840x2160", "high", 400_260),
    ("2880x2880", "low", 19_770),
    ("2880x2880", "medium", 177_900),
    ("2880x2880", "high", 711_570),
]


@pytest.mark.parametrize(("size", "low", "medium", "high"), READINGS)
def test_output_tokens_match_the_published_readings(size: str, low: int, medium: int, high: int) -> None:
    price = table("gpt-image-2")
    found = [output_tokens(price, parse_size(size), quality) for quality in ("low", "medium", "high")]
    assert found == [low, medium, high]


@pytest.mark.parametrize(("size", "quality", "micros"), DOLLARS)
def test_a_bill_of_output_alone_matches_the_published_dollars(size: str, quality: str, micros: int) -> None:
    tokens = output_tokens(table("gpt-image-2"), parse_size(size), quality)
    usage = Usage(input_tokens=0, output_tokens=tokens)
    cost = billed(OFFICIAL, Demand.of(parse_size(size), quality, ""), usage, 1)
    assert cost == Cost(micros, micros, "tokens 2026-11-21")


@pytest.mark.parametrize("family", ["gpt-image-2.5-flare", "gpt-image-2.5-sunburst"])
@pytest.mark.parametrize(("size", "low", "medium", "high"), READINGS)
def test_output_tokens_of_2_5_use_its_own_bases(family: str, size: str, low: int, medium: int, high: int) -> None:
    price = table(family)
    at = {quality: output_tokens(price, parse_size(size), quality) for quality in price.qualities}
    # Its low, high and max share the bases 16, 48 and 96 with low, medium and high of gpt-image-2.
    assert (at["low"], at["high"], at["max"]) == (low, medium, high)
    assert low < (at["medium"] or 0) < medium < (at["xhigh"] or 0) < high


@pytest.mark.parametrize(
    ("quality", "size", "tokens"),
    [
        ("low", "1024x1024", 272),
        ("low", "1024x1536", 408),
        ("low", "1536x1024", 400),
        ("medium", "1024x1024", 1056),
        ("medium", "1024x1536", 1584),
        ("medium", "1536x1024", 1568),
        ("high", "1024x1024", 4160),
        ("high", "1024x1536", 6240),
        ("high", "1536x1024", 6208),
    ],
)
@pytest.mark.parametrize("family", ["gpt-image-1.5", "gpt-image-1-mini"])
def test_output_tokens_of_older_families_come_from_the_fixed_table(
    family: str, quality: str, size: str, tokens: int
) -> None:
    assert output_tokens(table(family), parse_size(size), quality) == tokens
    assert output_tokens(table(family), Size(2048, 2048), quality) is None


@pytest.mark.parametrize(
    ("quality", "dollars"),
    [("low", (0.009, 0.013, 0.013)), ("medium", (0.034, 0.05, 0.05)), ("high", (0.133, 0.2, 0.2))],
)
def test_price_of_an_image_of_1_5_is_the_published_one(quality: str, dollars: tuple[float, ...]) -> None:
    """Of the output alone, as the image guide rounds it. Its figures for 1-mini lie $0.0027 above that throughout."""
    price = table("gpt-image-1.5")
    sizes = (Size(1024, 1024), Size(1024, 1536), Size(1536, 1024))
    found = [(output_tokens(price, size, quality) or 0) * price.image_out / 1e12 for size in sizes]
    assert found == pytest.approx(dollars, abs=0.0015)


def test_output_tokens_round_u_to_even_when_it_is_a_tie() -> None:
    # 16 / (1024 / 672) = 10.5 exactly: to even is 10, not 11.
    assert output_tokens(table("gpt-image-2"), Size(1024, 672), "low") == -(
        -16 * 10 * (2_000_000 + 1024 * 672) // 4_000_000
    )


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [
        (1024, 1024, 1024),
        (2048, 2048, 1521),
        (4096, 4096, 1521),
        (1024, 1536, 1536),
        (1536, 1024, 1536),
        (512, 512, 1024),
    ],
)
def test_input_image_tokens_match_what_was_measured(width: int, height: int, tokens: int) -> None:
    assert input_image_tokens(width, height) == tokens


@given(st.integers(1, 8000), st.integers(1, 8000))
def test_input_image_tokens_never_pass_the_patch_limit(width: int, height: int) -> None:
    if max(width, height) <= 40 * min(width, height):
        assert 1 <= input_image_tokens(width, height) <= 1536


@pytest.mark.parametrize("size", [AUTO, *THIRTY])
def test_expected_is_the_flat_price_when_the_route_bills_per_call(size: Size) -> None:
    assert expected(VIP, Demand.of(size, None, "a mug")) == Cost(30_000, 30_000, "per_call 2026-11-21")


def test_expected_applies_the_multiplier_and_rounds_up_once() -> None:
    odd = replace(VIP, price=PerCall(33_333, "2026-11-21"), multiplier=Decimal("1.1"))
    assert expected(odd, Demand.of(SQUARE, None, "")).micros == 36_667  # 36,666.3
    third = replace(VIP, price=PerCall(10, "2026-11-21"), multiplier=Decimal("0.25"))
    assert expected(third, Demand.of(SQUARE, None, "")).micros == 3


def test_expected_is_unknown_and_never_zero_when_there_is_no_price() -> None:
    silent = replace(VIP, price=NoPrice())
    assert expected(silent, Demand.of(SQUARE, None, "a mug")) == Cost(None, None, "unknown")
    assert billed(silent, Demand.of(SQUARE, None, ""), Usage(10, 196, 206), 1) == Cost(None, None, "unknown")


def test_expected_adds_the_text_to_the_published_output() -> None:
    cost = expected(OFFICIAL, Demand.of(SQUARE, LOW, "x" * 40))
    assert cost.micros == 196 * 30 + 10 * 5
    assert cost.upper == 196 * 30 + (40 + 32) * 5
    assert cost.basis == "tokens 2026-11-21"


def test_expected_takes_the_multiplier_of_the_enterprise_group() -> None:
    assert expected(ENTERPRISE, Demand.of(SQUARE, LOW, "")).micros == 7056  # 5,880 x 1.2
    assert expected(ENTERPRISE, Demand.of(SQUARE, LOW, "a")).micros == 7062


@pytest.mark.parametrize("text", ["", "a mug", "一只白色陶瓷杯", "🫖" * 30, "naïve", "\ud800"])
def test_expected_bounds_text_by_its_bytes(text: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    by_text, by_length = expected(OFFICIAL, Demand.of(SQUARE, LOW, text)), expected(OFFICIAL, Demand(SQUARE, LOW, size))
    assert by_text.upper == 5880 + (size + 32) * 5
    assert by_text.micros is not None
    assert by_text.upper is not None
    assert by_text.micros <= by_text.upper
    assert by_length == by_text


def test_expected_is_a_flagged_guess_with_the_dearest_bound_when_quality_is_left_open() -> None:
    for quality in (None, "auto"):
        cost = expected(OFFICIAL, Demand.of(SQUARE, quality, ""))
        assert (cost.micros, cost.basis) == (1756 * 30, "estimate 2026-11-21")
        assert cost.upper == 7024 * 30 + 32 * 5


def test_expected_bounds_every_quality_when_the_route_is_not_told_it() -> None:
    deaf = CATALOG.resolve({"use": "apiyi/gpt-image-2", "parameters": {"quality": "rejects"}})
    size = parse_size("1:1@2K")
    dearest = expected(OFFICIAL, Demand.of(size, "high", "")).upper
    assert expected(deaf, Demand.of(size, "low", "")).upper == dearest


def test_expected_bounds_every_size_the_route_takes_when_size_is_auto() -> None:
    cost = expected(OFFICIAL, Demand.of(AUTO, "high", ""))
    assert (cost.micros, cost.basis) == (7024 * 30, "estimate 2026-11-21")
    assert cost.upper == 23719 * 30 + 32 * 5


@given(st.integers(16, 240), st.integers(16, 240), st.sampled_from(["low", "medium", "high"]))
def test_most_output_tokens_bound_any_size_that_keeps_the_limits(across: int, down: int, quality: str) -> None:
    size = Size(across * 16, down * 16)
    if OFFICIAL.check_size(size) is None:
        price = table("gpt-image-2")
        tokens = output_tokens(price, size, quality)
        least, most = output_range(price, OFFICIAL.sizes, AUTO, (quality,))
        assert tokens is not None
        assert most is not None
        assert least is not None
        assert least <= most
        assert tokens <= most


def test_expected_bounds_listed_sizes_and_fixed_tables_when_size_is_auto() -> None:
    listed = CATALOG.resolve(
        {"use": "apiyi/gpt-image-2", "sizes": {"listed": ["1024x1024", "2048x1152"], "auto": True}}
    )
    assert expected(listed, Demand.of(AUTO, LOW, "")).upper == 196 * 30 + 160
    fixed = CATALOG.resolve({"use": "apiyi/gpt-image-2", "price": {"tokens": "gpt-image-1.5"}})
    assert expected(fixed, Demand.of(AUTO, LOW, "")).upper == 408 * 32 + 160


def test_expected_is_unknown_when_the_family_publishes_no_grid() -> None:
    newest = CATALOG.resolve({"use": "apiyi/gpt-image-2", "price": {"tokens": "gpt-image-2.6-flare"}})
    assert expected(newest, Demand.of(SQUARE, LOW, "a mug")) == Cost(None, None, "unknown")
    assert billed(newest, Demand.of(SQUARE, LOW, ""), None, 1) == Cost(None, None, "unknown")
    assert billed(newest, Demand.of(SQUARE, LOW, ""), Usage(10, 196, 206), 1).micros == 5930


def test_billed_counts_all_input_as_text_when_details_are_missing() -> None:
    assert billed(OFFICIAL, Demand.of(SQUARE, LOW, ""), Usage(10, 196, 206), 1) == Cost(5930, 5930, "tokens 2026-11-21")


@pytest.mark.parametrize(
    ("usage", "micros"),
    [
        (Usage(1034, 196, 1230, 10, 1024), 10 * 5 + 1024 * 8 + 5880),
        (Usage(1034, 196, 1230, None, 1024), 10 * 5 + 1024 * 8 + 5880),
        (Usage(1034, 196, 1230, 10, None), 1034 * 5 + 5880),
        (Usage(None, 196, None, 10, 1024), 10 * 5 + 1024 * 8 + 5880),
        (Usage(None, 196, 206), 5930),
        (Usage(10, None, 206), 5930),
        (Usage(10, 196), 5930),
    ],
)
def test_billed_reads_what_the_usage_says(usage: Usage, micros: int) -> None:
    assert billed(OFFICIAL, Demand.of(SQUARE, LOW, ""), usage, 1) == Cost(micros, micros, "tokens 2026-11-21")


def test_billed_multiplies_and_rounds_up_once() -> None:
    cost = billed(ENTERPRISE, Demand.of(SQUARE, LOW, ""), Usage(1, 196, 197), 1)
    assert cost.micros == 7062  # 5,885 x 1.2
    uneven = replace(ENTERPRISE, multiplier=Decimal("1.01"))
    assert billed(uneven, Demand.of(SQUARE, LOW, ""), Usage(1, 196, 197), 1).micros == 5944  # 5,943.85


@pytest.mark.parametrize(
    "usage",
    [
        None,
        Usage(),
        Usage(0, 0, 0),
        Usage(10, None, None),
        Usage(10, -5, 5),
        Usage(-1, 196, 195),
        Usage(206, None, 10),
        Usage(10, 10**30, 10**30),
    ],
)
def test_billed_takes_the_most_it_can_have_cost_when_the_usage_cannot_be_trusted(usage: Usage | None) -> None:
    cost = billed(OFFICIAL, Demand.of(SQUARE, LOW, "a mug"), usage, 1)
    assert cost.micros == cost.upper == expected(OFFICIAL, Demand.of(SQUARE, LOW, "a mug")).upper
    assert cost.basis == "estimate 2026-11-21"


def test_billed_believes_a_usage_of_nothing_when_no_image_came() -> None:
    assert billed(OFFICIAL, Demand.of(SQUARE, LOW, ""), Usage(10, 0, 10), 0) == Cost(50, 50, "tokens 2026-11-21")


@pytest.mark.parametrize("outputs", [0, 1, 3])
def test_billed_charges_the_call_whatever_came_when_the_route_bills_per_call(outputs: int) -> None:
    cost = billed(VIP, Demand.of(Size(3840, 2160), None, ""), Usage(9, 9, 18), outputs)
    assert cost == Cost(30_000, 30_000, "per_call 2026-11-21")


def test_a_price_of_the_manifest_is_final() -> None:
    mine = CATALOG.resolve({"use": "apiyi/gpt-image-2@image2Enterprise", "price": Decimal("0.025")})
    assert expected(mine, Demand.of(SQUARE, LOW, "")) == Cost(25_000, 25_000, "per_call manifest")
    times = CATALOG.resolve({"use": "apiyi/gpt-image-2-vip", "price": "0.025", "multiplier": "1.2"})
    assert expected(times, Demand.of(SQUARE, LOW, "")).micros == 30_000


def test_a_price_is_not_shared_with_a_contract_made_from_another() -> None:
    assert expected(VIP, Demand.of(SQUARE, LOW, "")).micros == 30_000
    assert expected(replace(VIP, multiplier=Decimal(2)), Demand.of(SQUARE, LOW, "")).micros == 60_000


def test_expected_is_cheap_when_warm() -> None:
    text = "Studio photo of a white ceramic mug, plain background, soft light"
    expected(OFFICIAL, Demand.of(SQUARE, LOW, text))
    timed = timeit.Timer(lambda: expected(OFFICIAL, Demand.of(SQUARE, LOW, text)), timer=time.process_time)
    seconds = min(timed.repeat(number=2000, repeat=5)) / 2000
    assert seconds < 30e-6  # ten times what it takes on a quiet machine
