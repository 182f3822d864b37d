"""Words from outside, without the secrets that they echo."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from batchgen.domain.text import cleaned, without
from batchgen.domain.wire import Answer, ApiError, CallEnd

SECRET = "sk-canary+7Qw3/zX9v"
SPELLED = {
    "plain": SECRET,
    "percent": quote(SECRET, safe=""),
    "percent, small": quote(SECRET, safe="").replace("%2B", "%2b"),
    "percent, every character": "".join(f"%{ord(char):02X}" for char in SECRET),
    "slashes as in JSON": SECRET.replace("/", "\\/"),
    "numbers as in JSON": "".join(f"\\u{ord(char):04x}" for char in SECRET),
    "some numbers as in JSON": SECRET.replace("+", "\\u002B"),
    "hex": SECRET.encode().hex(),
}


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
def test_secret_goes_however_it_is_spelled(spelled: str) -> None:
    assert without(SECRET, f"bad {spelled} here") == "bad [key] here"


@pytest.mark.parametrize("before", ["", "x", "xy", "Bearer "])
def test_secret_goes_from_base64_wherever_it_begins(before: str) -> None:
    coded = base64.b64encode(f"{before}{SECRET} and more".encode()).decode()
    left = without(SECRET, coded)
    assert "[key]" in left
    assert len(left) <= len(coded) - len(SECRET) + len("[key]")  # all of it but what its neighbours share


def test_beginning_of_a_secret_goes_where_words_were_cut() -> None:
    assert without(SECRET, f"bad key {SECRET[:12]}") == "bad key [key]"
    assert without(SECRET, f"bad key {SECRET[:5]}") == "bad key sk-ca"


def test_short_secret_is_left_alone() -> None:
    assert without("", "abc") == "abc"
    assert without("abc", "abc") == "abc"


def test_record_is_cleaned_to_its_depths_and_else_the_same() -> None:
    error = ApiError(f"bad {SECRET}", code=SECRET)
    answer = Answer(1, CallEnd.COMPLETE, error=error, urls=(f"https://x/{SECRET}",), request_ids=(("id", SECRET),))
    found = cleaned(SECRET, answer)
    assert (found.error, found.urls, found.request_ids) == (
        ApiError("bad [key]", code="[key]"),
        ("https://x/[key]",),
        (("id", "[key]"),),
    )
    assert cleaned("another-secret", answer) is answer
    assert cleaned(SECRET, {"a": [SECRET, 1, None, {SECRET: 2.5}]}) == {"a": ["[key]", 1, None, {"[key]": 2.5}]}
