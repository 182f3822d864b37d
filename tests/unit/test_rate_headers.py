"""What headers say of how many calls are taken, which may be anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from batchgen.gateway.rate_headers import spent_for, told_rate

NOW = 1_790_000_000.0


@pytest.mark.parametrize(
    ("remaining", "reset", "seconds"),
    [
        ("0", "120ms", 0.12),
        ("0", "58.891s", 58.891),
        ("0", "6m0s", 360.0),
        ("0", "12", 12.0),
        ("0", str(int(NOW) + 30), 30.0),
        ("1", "58s", None),
        ("0", "", None),
        ("0", "soon", None),
        ("0", "0", None),
        ("0", "24h", None),
        ("0", str(int(NOW) - 30), None),
    ],
)
def test_wait_is_read_where_no_call_is_left(remaining: str, reset: str, seconds: float | None) -> None:
    for ending in ("", "-requests", "-input-images"):
        headers = CIMultiDict({f"X-RateLimit-Remaining{ending}": remaining, f"X-RateLimit-Reset{ending}": reset})
        assert spent_for(headers, NOW) == (None if seconds is None else pytest.approx(seconds))


def test_tokens_are_no_calls() -> None:
    assert spent_for({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9s"}, NOW) is None


@pytest.mark.parametrize(
    ("text", "rate"),
    [("50;w=1", 50.0), ("100, 100;w=60", 100 / 60), ("0;w=60", None), ("100", None), ("5;w=0", None), ("", None)],
)
def test_rate_is_read_where_a_limit_has_a_window(text: str, rate: float | None) -> None:
    assert told_rate(CIMultiDict({"RateLimit-Limit": text})) == rate


@given(st.text(), st.text())
def test_no_header_makes_trouble(one: str, other: str) -> None:
    seconds = spent_for({"x-ratelimit-remaining": "0", "x-ratelimit-reset": one}, NOW)
    rate = told_rate({"ratelimit-policy": one, "ratelimit-limit": other})
    assert all(found is None or 0 <= found < float("inf") for found in (seconds, rate))
