"""How long to wait, and under which id to ask: from headers and messages that may hold anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from batchgen.gateway.headers import REQUEST_ID_HEADERS, hinted, longest, request_ids, retry_after

NOW = 1_790_000_000.0  # 2026-09-21T14:13:20Z


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, 12.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": " 7 "}, 7.0),
        ({"Retry-After": "1000000000"}, 1e9),
        ({"Retry-After": "Mon, 21 Sep 2026 14:15:20 GMT"}, 120.0),
        ({"Retry-After": "Monday, 21-Sep-26 14:15:20 GMT"}, 120.0),
        ({"Retry-After": "Mon, 21 Sep 2026 16:15:20 +0200"}, 120.0),
        ({"retry-after-ms": "240"}, 0.24),
        ({"retry-after-ms": "1500", "Retry-After": "1"}, 1.5),
        ({"retry-after-ms": "240", "Retry-After": "1"}, 1.0),
        ({"Retry-After": "Mon, 21 Sep 2026 14:12:20 GMT"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "0"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e999"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Mon, 99 Foo 2026"}, None),
        ({"retry-after-ms": "x"}, None),
        ({}, None),
    ],
)
def test_retry_after_understands_seconds_dates_and_milliseconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(CIMultiDict(headers), NOW) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached for gpt-image-2 on input-images per min: Limit 5, Used 5. Please try again in 12s.", 12.0),
        ("Please try again in 240ms.", 0.24),
        ("Please try again in 2.4s.", 2.4),
        ("Please try again in 7.5s. Visit https://x", 7.5),
        ("Please try again in 1m30s", 90.0),
        ("Try again in 6m0s", 360.0),
        ("please retry after 20 seconds", 20.0),
        ("Retry in 2 minutes and 5 seconds", 125.0),
        ("retry after: 1h", 3600.0),
        ("当前分组上游负载已饱和，请 15 秒后再试", 15.0),
        ("请在 2 分钟后重试", 120.0),
        ("Limit 5, Used 5, Requested 1.", None),
        ("Please try again later.", None),
        ("try again", None),
        ("retry 500 apples", None),
        ("", None),
    ],
)
def test_hinted_reads_the_wait_out_of_a_message(message: str, seconds: float | None) -> None:
    assert hinted(message) == (None if seconds is None else pytest.approx(seconds))


@given(st.text(max_size=300))
def test_headers_never_raise_and_never_ask_to_wait_backwards(text: str) -> None:
    for seconds in (hinted(text), hinted("try again in " + text), retry_after({"retry-after": text}, NOW)):
        assert seconds is None or 0 < seconds < float("inf")


def test_longest_ignores_what_is_not_said() -> None:
    assert longest([None, 2.0, 1.0]) == 2.0
    assert longest([None]) is None


def test_request_ids_takes_every_known_header_clean_and_short() -> None:
    headers = CIMultiDict(
        {
            "X-Request-Id": "a",
            "Request-ID": "b\x1b\u202e",
            "cf-ray": "c" * 999,
            "x-oneapi-request-id": "",
            "x-other": "d",
        }
    )
    assert request_ids(headers, REQUEST_ID_HEADERS) == (
        ("x-request-id", "a"),
        ("request-id", "b"),
        ("cf-ray", "c" * 200),
    )
    assert request_ids(headers, ("x-other",)) == (("x-other", "d"),)
