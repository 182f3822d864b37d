"""What came back, and what it means in money.

Decided by what was seen on the wire; the contract's charge table says what each kind of outcome costs.
"""

from __future__ import annotations

import re

from batchgen.contracts.contract import Contract
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Outcome, OutcomeKind
from batchgen.domain.wire import Answer, ApiError, CallEnd

_NO_HEAD = {
    CallEnd.NOT_SENT: OutcomeKind.NOT_SENT,
    CallEnd.SEND_FAILED: OutcomeKind.SEND_BROKEN,
    CallEnd.NO_ANSWER: OutcomeKind.LOST,
    CallEnd.TIMED_OUT: OutcomeKind.TIMED_OUT,
}
_BROKEN_SUCCESS = {
    CallEnd.CUT: OutcomeKind.CUT,
    CallEnd.TIMED_OUT: OutcomeKind.CUT,
    CallEnd.NO_ANSWER: OutcomeKind.CUT,
    CallEnd.SEND_FAILED: OutcomeKind.CUT,
    CallEnd.TOO_LARGE: OutcomeKind.OVERSIZED,
}
# The origin may still be working behind these: a proxy's own deadline, or a CDN that lost it.
_STILL_WORKING = frozenset({408, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530})
_WHITE = re.compile(r"(?:\s|\\x0[9ad]|\\ufeff|\ufeff)+")  # before a page; an excerpt has line ends written out
_PAGE_HEAD = 1000  # characters in which a page says that it is one
# Nobody answered, or not for the call itself: the image may have been made all the same.
LOST_KINDS = frozenset(
    {OutcomeKind.SEND_BROKEN, OutcomeKind.LOST, OutcomeKind.TIMED_OUT, OutcomeKind.EDGE_ERROR, OutcomeKind.CUT}
)


def classify(answer: Answer, contract: Contract) -> Outcome:
    """Say what one answer means under one contract."""
    page = _is_page(answer)
    kind = OutcomeKind.EDGE_ERROR if page else _kind(answer, contract)
    return Outcome(
        kind=kind,
        charge=contract.charges[kind],
        detail=_page_detail(answer, contract) if page else _detail(answer, kind),
        retry_after=answer.retry_after,
        answered=kind not in LOST_KINDS,
        page=page,
    )


def lost(contract: Contract, detail: str) -> Outcome:
    """Make the outcome of a call whose answer nobody saw: the process ended, or the user left."""
    return Outcome(kind=OutcomeKind.LOST, charge=contract.charges[OutcomeKind.LOST], detail=detail, answered=False)


def not_worked_on(detail: str) -> Outcome:
    """Make the outcome of a call that the gateway took and never worked on: free, and one of the task's attempts."""
    return Outcome(kind=OutcomeKind.SERVER_ERROR, charge=Charge.VOID, detail=detail)


def damaged(detail: str) -> Outcome:
    """Make the outcome of an answer whose bytes turned out to be no image. Its money is booked already."""
    return Outcome(kind=OutcomeKind.DAMAGED, charge=Charge.BILLED, detail=detail)


def unchecked(detail: str) -> Outcome:
    """Make the outcome of an answer of which nobody can tell whether it is an image. Its money is booked already."""
    return Outcome(kind=OutcomeKind.DELIVERED, charge=Charge.BILLED, detail=detail)


def expired(detail: str) -> Outcome:
    """Make the outcome of a paid address that died before it was fetched. Its money is booked already."""
    return Outcome(kind=OutcomeKind.EXPIRED, charge=Charge.BILLED, detail=detail)


def _kind(answer: Answer, contract: Contract) -> OutcomeKind:
    if answer.status < 200:  # none, or an interim one that nothing followed: the image may be on its way all the same
        return _NO_HEAD.get(answer.ending, OutcomeKind.LOST)
    if 200 <= answer.status < 300:
        return _success(answer, contract)
    return _failure(answer, contract)


def _success(answer: Answer, contract: Contract) -> OutcomeKind:
    if answer.urls or answer.picture is not None:
        return OutcomeKind.DELIVERED
    if answer.ending is not CallEnd.COMPLETE:
        return _BROKEN_SUCCESS.get(answer.ending, OutcomeKind.CUT)
    if answer.pictures or answer.excerpt:
        return OutcomeKind.DAMAGED
    if answer.error is not None:
        if _is_quota(answer.error, contract):
            return OutcomeKind.QUOTA
        return OutcomeKind.REFUSED_TEXT if _is_refusal(answer.error, contract) else OutcomeKind.EMPTY
    return OutcomeKind.REFUSED_TEXT if answer.text else OutcomeKind.EMPTY


def _failure(answer: Answer, contract: Contract) -> OutcomeKind:
    status, error = answer.status, answer.error or ApiError(message=answer.excerpt)
    if status in _STILL_WORKING:
        return OutcomeKind.EDGE_ERROR
    if answer.error is not None or status in {401, 402, 403, 429}:
        if _is_quota(error, contract) or status == 402:
            return OutcomeKind.QUOTA
        if _is_refusal(error, contract):
            return OutcomeKind.REFUSED
    if status in {401, 403}:
        return OutcomeKind.UNAUTHORIZED
    if status == 429:
        return OutcomeKind.THROTTLED
    if status >= 500:
        return OutcomeKind.SERVER_ERROR if answer.error is not None else OutcomeKind.EDGE_ERROR
    return OutcomeKind.REJECTED


def _is_page(answer: Answer) -> bool:
    """Say whether a web page came with a 200, and no picture in it: what wrote it is not what makes and bills images.

    Gateways answer addresses they do not know with their own site; so does a proxy that says it is being repaired.
    """
    if not 200 <= answer.status < 300 or answer.ending is CallEnd.TOO_LARGE:
        return False
    if answer.is_json or answer.pictures or answer.urls:
        return False
    blank = _WHITE.match(answer.excerpt)
    head = answer.excerpt[blank.end() if blank else 0 :][:_PAGE_HEAD].lower()
    named = answer.content_type.lower().startswith("text/html")
    return head.startswith("<") and (named or "<!doctype html" in head or "<html" in head)


def _page_detail(answer: Answer, contract: Contract) -> str:
    said = "the address answers with a web page"
    if not contract.versioned:
        said += "; base_url should end in /v1"
    return f"HTTP {answer.status} · {said} · {answer.excerpt[:120]}"


def _is_quota(error: ApiError, contract: Contract) -> bool:
    codes = {error.code.lower(), error.type.lower()}
    if codes & set(contract.quota_codes):
        return True
    message = error.message.lower()
    return any(mark in message for mark in contract.quota_marks)


def _is_refusal(error: ApiError, contract: Contract) -> bool:
    text = f"{error.code} {error.type} {error.message}".lower()
    return any(mark in text for mark in contract.refusals)


def _detail(answer: Answer, kind: OutcomeKind) -> str:
    if kind is OutcomeKind.DELIVERED:
        return answer.detail
    said = ""
    if answer.error is not None:
        name = answer.error.code or answer.error.type
        said = ": ".join(part for part in (name, answer.error.message) if part)
    elif answer.text:
        said = answer.text
    elif answer.status and answer.excerpt and kind is not OutcomeKind.EDGE_ERROR:
        said = answer.excerpt[:200]
    damage = next((picture.damage for picture in answer.pictures if picture.damage), "")
    if kind is OutcomeKind.EMPTY and not (said or damage or answer.detail):
        said = "the answer held no image"
    head = f"HTTP {answer.status}" if answer.status else ""
    return " · ".join(part for part in (head, said or damage, answer.detail) if part)[:1000]
