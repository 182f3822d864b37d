"""The name of an error that no row of the table fits: the same for all that say the same."""

from __future__ import annotations

import pytest

from batchgen.domain.model import OutcomeKind
from batchgen.domain.wire import ApiError
from batchgen.policy.cause import slug_of, unlisted_cause


def cause(message: str = "", code: str = "", kind: str = "", sent: str = "") -> str:
    return unlisted_cause(OutcomeKind.SERVER_ERROR, ApiError(message=message, code=code, type=kind), sent)


@pytest.mark.parametrize(
    "message",
    [
        "OpenAI upstream compute fluctuation, status_code: 500",
        "OpenAI upstream compute fluctuation (request id: 20261128045733928RkdL)",
        "openai upstream  compute fluctuation; request_id=abcdef",
        "OpenAI upstream compute fluctuation, trace https://status.example.com/abc",
        "OpenAI upstream compute fluctuation: 7f9c24e5-2f1d-4a8a-b8d8-1b6a3f2f7c11",
        'OpenAI "gpt-image" upstream compute fluctuation',
    ],
)
def test_ids_numbers_and_quoted_parts_are_no_part_of_a_cause(message: str) -> None:
    assert cause(message).startswith("server_error:openai-upstream-compute-fluctuation")
    assert not any(letter.isdigit() for letter in cause(message))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no worker for req_011CSx in zone 4", "no worker for req_9ZZp in zone 7"),
        ("bad id: aBcDeFgHiJ here", "bad id: kLmNoPqRsT here"),
        ("worker aBcDeFgHiJkL died", "worker qRsTuVwXyZaB died"),
        ("token qwertyuiopasdfghjklzxcvbnm is odd", "token mnbvcxzlkjhgfdsapoiuytrewq is odd"),
        ("it can't be 'mug/1' now", "it can't be 'vase/2' now"),
        ("上游负载已饱和，编号：20261128", "上游负载已饱和，编号：20261129"),
        ("mail ann@example.com", "mail bob@example.com"),
    ],
)
def test_two_of_one_reason_have_one_cause(one: str, other: str) -> None:
    assert cause(one) == cause(other)
    assert cause(one) != "server_error"


def test_code_says_more_than_a_message_and_a_message_more_than_a_number() -> None:
    assert cause("anything", code="Compute_Error") == "server_error:compute-error"
    assert cause("no luck", code="500") == "server_error:no-luck"
    assert cause("no luck", code="server_error") == "server_error:no-luck"
    assert cause("", kind="upstream_error") == "server_error:upstream-error"
    assert cause("", code="server_error", kind="server_error") == "server_error"
    assert cause("12345") == "server_error"


def test_prompt_in_a_message_is_left_out() -> None:
    assert cause("cannot draw a red mug today", sent="a red mug") == "server_error:cannot-draw-today"


def test_slug_is_short() -> None:
    assert slug_of("one two three four five six seven") == "one-two-three-four-five-six"
    assert len(slug_of("extraordinarily " * 6)) <= 60
    assert slug_of("") == slug_of("7 8 9 …") == ""
