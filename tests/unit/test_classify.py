"""What came back means what, in money: every row of the fault table, under each vendor's contract."""

from __future__ import annotations

import pytest

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.domain.wire import Answer, ApiError, CallEnd, Picture
from batchgen.policy.classify import LOST_KINDS, classify

CATALOG = load_catalog(None)
VIP = CATALOG.find("apiyi/gpt-image-2-vip")
LAOZHANG = CATALOG.find("laozhang/gpt-image-2-vip")
OFFICIAL = CATALOG.find("openai/gpt-image-2")
WHOLE = Picture("1.0.part", 100)
BROKEN = Picture("1.0.part", 100, damage="stray text in the base64")


def answer(status: int = 0, ending: CallEnd = CallEnd.COMPLETE, **fields: object) -> Answer:
    return Answer(attempt=1, ending=ending, status=status, **fields)  # type: ignore[arg-type]


def error(message: str = "", code: str = "", kind: str = "") -> ApiError:
    return ApiError(message=message, code=code, type=kind)


@pytest.mark.parametrize(
    ("given", "kind", "charge"),
    [
        (answer(ending=CallEnd.NOT_SENT), OutcomeKind.NOT_SENT, Charge.VOID),
        (answer(ending=CallEnd.SEND_FAILED), OutcomeKind.SEND_BROKEN, Charge.UNKNOWN),
        (answer(ending=CallEnd.NO_ANSWER), OutcomeKind.LOST, Charge.UNKNOWN),
        (answer(ending=CallEnd.TIMED_OUT), OutcomeKind.TIMED_OUT, Charge.UNKNOWN),
        (answer(200, pictures=(WHOLE,), is_json=True), OutcomeKind.DELIVERED, Charge.BILLED),
        (answer(200, urls=("https://x/1.png",), is_json=True), OutcomeKind.DELIVERED, Charge.BILLED),
        (
            answer(200, pictures=(BROKEN,), urls=("https://x/1.png",), is_json=True),
            OutcomeKind.DELIVERED,
            Charge.BILLED,
        ),
        (answer(200, pictures=(BROKEN,), is_json=True), OutcomeKind.DAMAGED, Charge.BILLED),
        (answer(200, excerpt="no JSON", unread="no JSON"), OutcomeKind.UNREAD, Charge.BILLED),
        (answer(200, excerpt="<html>"), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
        (answer(200, excerpt="\\x0a<!-- 1 -->\\x0a<!DOCTYPE html><p>"), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
        (
            answer(200, excerpt="<p>Hello", content_type="text/html; charset=utf-8"),
            OutcomeKind.EDGE_ERROR,
            Charge.UNKNOWN,
        ),
        (answer(200, CallEnd.CUT, excerpt="<!doctype html>"), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
        (answer(200, excerpt="x", unread="x", content_type="text/html"), OutcomeKind.UNREAD, Charge.BILLED),
        (answer(200, excerpt="<html>", pictures=(BROKEN,)), OutcomeKind.DAMAGED, Charge.BILLED),
        (answer(200, CallEnd.TOO_LARGE, excerpt="<html>"), OutcomeKind.OVERSIZED, Charge.BILLED),
        (answer(200, is_json=True), OutcomeKind.EMPTY, Charge.BILLED),
        (answer(204), OutcomeKind.EMPTY, Charge.BILLED),
        (answer(200, is_json=True, unread="{}", text="Here it is"), OutcomeKind.UNREAD, Charge.BILLED),
        (answer(200, is_json=True, unread="{}", task="task_7"), OutcomeKind.ACCEPTED, Charge.UNKNOWN),
        (answer(202, is_json=True), OutcomeKind.ACCEPTED, Charge.UNKNOWN),
        (answer(202, is_json=True, text="no"), OutcomeKind.REFUSED_TEXT, Charge.BILLED),
        (answer(202, is_json=True, urls=("https://x/y.png",)), OutcomeKind.DELIVERED, Charge.BILLED),
        (answer(200, is_json=True, text="I can't help with that"), OutcomeKind.REFUSED_TEXT, Charge.BILLED),
        (answer(200, is_json=True, error=error("boom")), OutcomeKind.SERVER_ERROR, Charge.UNKNOWN),
        (answer(200, is_json=True, error=error("x", "insufficient_user_quota")), OutcomeKind.QUOTA, Charge.UNKNOWN),
        (answer(200, is_json=True, error=error("x", "rate_limit_exceeded")), OutcomeKind.THROTTLED, Charge.UNKNOWN),
        (answer(200, is_json=True, error=error("x", "moderation_blocked")), OutcomeKind.REFUSED_TEXT, Charge.BILLED),
        (answer(200, CallEnd.CUT), OutcomeKind.CUT, Charge.BILLED),
        (answer(200, CallEnd.TIMED_OUT), OutcomeKind.CUT, Charge.BILLED),
        (answer(200, CallEnd.CUT, urls=("https://x/1.png",)), OutcomeKind.DELIVERED, Charge.BILLED),
        (answer(200, CallEnd.TOO_LARGE), OutcomeKind.OVERSIZED, Charge.BILLED),
        (answer(400, is_json=True, error=error("bad size", "invalid_value")), OutcomeKind.REJECTED, Charge.VOID),
        (answer(400, is_json=True, error=error("no", "moderation_blocked")), OutcomeKind.REFUSED, Charge.VOID),
        (answer(307), OutcomeKind.UNSERVED, Charge.VOID),
        (answer(401, is_json=True, error=error("bad key", "invalid_api_key")), OutcomeKind.UNAUTHORIZED, Charge.VOID),
        (answer(403, excerpt="<html>"), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
        (answer(403, excerpt="no"), OutcomeKind.UNAUTHORIZED, Charge.VOID),
        (answer(403, is_json=True, error=error("该令牌无权访问模型 x")), OutcomeKind.UNSERVED, Charge.VOID),
        (answer(404, is_json=True, error=error("no", "model_not_found")), OutcomeKind.UNSERVED, Charge.VOID),
        (answer(503, is_json=True, error=error("无可用渠道", "model_not_found")), OutcomeKind.NO_CHANNEL, Charge.VOID),
        (answer(529, is_json=True, error=error("x", "overloaded_error")), OutcomeKind.BUSY, Charge.VOID),
        (answer(425), OutcomeKind.BUSY, Charge.VOID),
        (answer(400, is_json=True, error=error("You can retry your request")), OutcomeKind.SERVER_ERROR, Charge.VOID),
        (answer(400, is_json=True, error=error("Billing hard limit has been reached")), OutcomeKind.QUOTA, Charge.VOID),
        (answer(402), OutcomeKind.QUOTA, Charge.VOID),
        (answer(403, is_json=True, error=error("quota", "insufficient_user_quota")), OutcomeKind.QUOTA, Charge.VOID),
        (answer(429, is_json=True, error=error("slow", "rate_limit_exceeded")), OutcomeKind.THROTTLED, Charge.VOID),
        (answer(429, excerpt="slow down"), OutcomeKind.THROTTLED, Charge.VOID),
        (answer(429, is_json=True, error=error("quota", "insufficient_quota")), OutcomeKind.QUOTA, Charge.VOID),
        (answer(429, is_json=True, error=error("rejected by the safety system")), OutcomeKind.REFUSED, Charge.VOID),
        (answer(500, is_json=True, error=error("boom", kind="shell_api_error")), OutcomeKind.SERVER_ERROR, Charge.VOID),
        (answer(500, is_json=True, error=error("rejected by the safety system")), OutcomeKind.REFUSED, Charge.VOID),
        (answer(502, excerpt="<html>"), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
        (answer(524, is_json=True, error=error("timeout")), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
        (answer(504, is_json=True, error=error("timeout")), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
        (answer(408), OutcomeKind.EDGE_ERROR, Charge.UNKNOWN),
    ],
)
def test_answer_of_a_reverse_route_means(given: Answer, kind: OutcomeKind, charge: Charge) -> None:
    outcome = classify(given, VIP)
    assert (outcome.kind, outcome.charge) == (kind, charge)
    assert outcome.answered is (kind not in LOST_KINDS)


def test_vendors_disagree_about_a_200_without_an_image() -> None:
    refusal = answer(200, is_json=True, text="I can't help with that")
    assert classify(refusal, VIP).charge is Charge.BILLED
    assert classify(refusal, LAOZHANG).charge is Charge.VOID


def test_json_500_of_an_official_route_is_unknown_money() -> None:
    given = answer(500, is_json=True, error=error("boom", "server_error"))
    assert classify(given, OFFICIAL).charge is Charge.UNKNOWN
    assert classify(given, OFFICIAL).answered


def test_detail_tells_status_code_and_message() -> None:
    outcome = classify(answer(400, is_json=True, error=error("bad size", "invalid_value")), VIP)
    assert outcome.detail == "HTTP 400 · invalid_value: bad size"


def test_page_under_a_200_names_the_address_where_it_looks_wrong() -> None:
    page = answer(200, excerpt="<!doctype html><title>One API")
    bare = CATALOG.resolve({"use": "apiyi/gpt-image-2-vip", "base_url": "https://gateway.example"})
    outcome = classify(page, bare)
    assert outcome.detail.startswith("HTTP 200 · the address answers with a web page; base_url should end in /v1 · <!")
    assert outcome.page
    assert "base_url" not in classify(page, VIP).detail
    assert not classify(answer(502, excerpt="<html>"), VIP).page


def test_error_that_quotes_the_prompt_says_nothing_by_it() -> None:
    prompt = "a poster that says insufficient balance"
    given = answer(400, is_json=True, error=error(f"Invalid prompt: {prompt}"))
    assert classify(given, VIP, prompt).kind is OutcomeKind.REJECTED
    assert classify(given, VIP, "a mug").kind is OutcomeKind.QUOTA


def test_cause_is_the_row_or_what_happened() -> None:
    assert classify(answer(402, is_json=True, error=error("x", "INSUFFICIENT_BALANCE")), VIP).cause == (
        "quota:insufficient_balance"
    )
    assert classify(answer(500, is_json=True, error=error("boom (id: 7)")), VIP).cause == "server_error:boom"
    assert classify(answer(504, is_json=True, error=error("boom")), VIP).cause == "edge_error"
    assert classify(answer(ending=CallEnd.NO_ANSWER), VIP).cause == "lost"
    assert classify(answer(200, is_json=True, text="I can't help with that"), VIP).cause == "content:i can't help with"


def test_contract_says_which_errors_inside_a_200_are_free() -> None:
    free = CATALOG.resolve({"use": "apiyi/gpt-image-2-vip", "void_in_200": ["throttled"]})
    assert classify(answer(200, is_json=True, error=error("x", "slow_down")), free).charge is Charge.VOID
    assert classify(answer(200, is_json=True, error=error("x", "insufficient_quota")), free).charge is Charge.UNKNOWN


def test_request_that_is_too_large_names_the_way_out() -> None:
    for given in (answer(413, excerpt="<html>Request Entity Too Large"), answer(413, is_json=True, error=error("big"))):
        outcome = classify(given, VIP)
        assert (outcome.kind, outcome.charge) == (OutcomeKind.REJECTED, Charge.VOID)
        assert "have them made smaller with `references: {advised_bytes: 500000}`" in outcome.detail
