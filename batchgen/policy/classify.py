"""What came back, and what it means in money.

Decided by what was seen on the wire; the contract's charge table says what each kind of outcome costs.
"""

from __future__ import annotations

import re

from batchgen.contracts.contract import Contract
from batchgen.contracts.words import Meaning, Word
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Outcome, OutcomeKind
from batchgen.domain.text import one_line
from batchgen.domain.wire import Answer, ApiError, CallEnd
from batchgen.policy.cause import unlisted_cause
from batchgen.policy.weigh import known_words, weigh

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
_MEANT = {
    Meaning.QUOTA: OutcomeKind.QUOTA,
    Meaning.CONTENT: OutcomeKind.REFUSED,
    Meaning.GROUP: OutcomeKind.UNSERVED,
    Meaning.KEY: OutcomeKind.UNAUTHORIZED,
    Meaning.NO_CHANNEL: OutcomeKind.NO_CHANNEL,
    Meaning.MODEL: OutcomeKind.UNSERVED,
    Meaning.THROTTLED: OutcomeKind.THROTTLED,
    Meaning.BUSY: OutcomeKind.BUSY,
    Meaning.PARAMETER: OutcomeKind.REJECTED,
    Meaning.SERVER: OutcomeKind.SERVER_ERROR,
}
# What a status says where the table of words knows nothing of the error.
_SAID_BY_STATUS = {
    401: OutcomeKind.UNAUTHORIZED,
    402: OutcomeKind.QUOTA,
    403: OutcomeKind.UNAUTHORIZED,
    425: OutcomeKind.BUSY,
    429: OutcomeKind.THROTTLED,
    529: OutcomeKind.BUSY,
}
# What makes a conflict one that passes; other conflicts are about what is asked.
_LATER = re.compile(r"\bretry\b|\btry (?:it |this )?again\b|稍后|重试", re.IGNORECASE)
# The origin may still be working behind these: a proxy's own deadline, or a CDN that lost it.
_STILL_WORKING = frozenset({408, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530})
_TAKEN_IN = 202
_SHOWN = 160  # characters of a text that nobody can read
_WHITE = re.compile(r"(?:\s|\\x0[9ad]|\\ufeff|\ufeff)+")  # before a page; an excerpt has line ends written out
_PAGE_HEAD = 1000  # characters in which a page says that it is one
_TELLING = frozenset({401, 402, 403, 429})  # statuses of which the plain text is read when there is no error object
# Nobody answered, or not for the call itself: the image may have been made all the same.
LOST_KINDS = frozenset(
    {OutcomeKind.SEND_BROKEN, OutcomeKind.LOST, OutcomeKind.TIMED_OUT, OutcomeKind.EDGE_ERROR, OutcomeKind.CUT}
)


_SMALLER = (
    "the request is too large for this gateway: send fewer references, or have them made smaller with "
    "`references: {advised_bytes: 500000}` under `route`"
)
_SAID = frozenset(_MEANT.values())  # kinds that an error is taken for by what it says
# Kinds that an error inside a 200 can be; a refusal of content there has its own place in the charge table.
_INSIDE = _SAID - {OutcomeKind.REFUSED}


def classify(answer: Answer, contract: Contract, sent: str = "") -> Outcome:
    """Say what one answer means under one contract.

    Args:
        answer: what came back.
        contract: of the route that was called.
        sent: the prompt; its words are none of the gateway's.
    """
    page, moved = _is_page(answer), 300 <= answer.status < 400
    word = None if page or moved else _word(answer, contract, sent)
    kind = OutcomeKind.EDGE_ERROR if page else _kind(answer, word)
    return Outcome(
        kind=kind,
        charge=_charge(answer, kind, contract),
        inside=_is_inside(answer, kind),
        detail=_page_detail(answer, contract) if page else _detail(answer, kind),
        retry_after=answer.retry_after,
        answered=kind not in LOST_KINDS,
        page=page,
        moved=moved,
        obstacle=answer.obstacle,
        cause=f"{kind}:redirect" if moved else _cause(answer, kind, word, sent),
    )


def _cause(answer: Answer, kind: OutcomeKind, word: Word | None, sent: str) -> str:
    if word is not None:
        return word.cause
    if kind in _SAID and answer.error is not None:
        return unlisted_cause(kind, answer.error, sent)
    return str(kind)


def _charge(answer: Answer, kind: OutcomeKind, contract: Contract) -> Charge:
    """What an outcome costs. An error inside a 200 is not known to be free, whatever it says, and not to be charged."""
    if _is_inside(answer, kind):
        return Charge.VOID if kind in contract.void_in_200 else Charge.UNKNOWN
    return contract.charges[kind]


def _is_inside(answer: Answer, kind: OutcomeKind) -> bool:
    """Tell whether it is an error inside a success, other than a refusal of content."""
    return _succeeded(answer) and kind in _INSIDE and answer.error is not None


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


def _succeeded(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _word(answer: Answer, contract: Contract, sent: str) -> Word | None:
    """The row of the table of words that the error of an answer, or its text, is believed to say."""
    error = answer.error
    if error is None:
        said = answer.text if _succeeded(answer) else answer.excerpt if answer.status in _TELLING else ""
        error = ApiError(message=said) if said else None
    return weigh(error, known_words(contract), sent) if error is not None else None


def _kind(answer: Answer, word: Word | None) -> OutcomeKind:
    if answer.status < 200:  # none, or an interim one that nothing followed: the image may be on its way all the same
        return _NO_HEAD.get(answer.ending, OutcomeKind.LOST)
    return _success(answer, word) if _succeeded(answer) else _failure(answer, word)


def _success(answer: Answer, word: Word | None) -> OutcomeKind:
    if answer.urls or answer.picture is not None:
        return OutcomeKind.DELIVERED
    if answer.ending is not CallEnd.COMPLETE:
        return _BROKEN_SUCCESS.get(answer.ending, OutcomeKind.CUT)
    if answer.task or (answer.status == _TAKEN_IN and not answer.text and answer.error is None):
        return OutcomeKind.ACCEPTED
    if answer.unread:
        return OutcomeKind.UNREAD
    if answer.pictures:
        return OutcomeKind.DAMAGED
    if answer.error is None:
        return OutcomeKind.REFUSED_TEXT if answer.text else OutcomeKind.EMPTY
    if word is not None and word.means is Meaning.CONTENT:
        return OutcomeKind.REFUSED_TEXT
    return _MEANT[word.means] if word is not None else OutcomeKind.SERVER_ERROR


def _failure(answer: Answer, word: Word | None) -> OutcomeKind:
    status = answer.status
    if status in _STILL_WORKING:
        return OutcomeKind.EDGE_ERROR
    if word is not None:
        return _MEANT[word.means]
    if status < 400:
        return OutcomeKind.UNSERVED
    if status == 409 and answer.error is not None and _LATER.search(answer.error.message):
        return OutcomeKind.BUSY
    if status in _SAID_BY_STATUS:
        return _SAID_BY_STATUS[status]
    if status >= 500:
        return OutcomeKind.SERVER_ERROR if answer.error is not None else OutcomeKind.EDGE_ERROR
    return OutcomeKind.REJECTED


def _is_page(answer: Answer) -> bool:
    """Say whether a web page came with a 200 or a 403, and no picture in it: what wrote it makes and bills no images.

    Gateways answer addresses they do not know with their own site; so does a proxy that says it is being repaired, and
    a CDN or a filter that wants to see a person first.
    """
    if not (_succeeded(answer) or answer.status in {401, 403}) or answer.ending is CallEnd.TOO_LARGE:
        return False
    if answer.is_json or answer.pictures or answer.urls:
        return False
    blank = _WHITE.match(answer.excerpt)
    head = answer.excerpt[blank.end() if blank else 0 :][:_PAGE_HEAD].lower()
    named = answer.content_type.lower().startswith("text/html")
    return head.startswith("<") and (named or "<!doctype html" in head or "<html" in head)


def _page_detail(answer: Answer, contract: Contract) -> str:
    said = "the address answers with a web page"
    if not _succeeded(answer):
        said = "a web page answers, of a filter or a CDN on the way"
    elif not contract.versioned:
        said += "; base_url should end in /v1"
    return f"HTTP {answer.status} · {said} · {answer.excerpt[:120]}"


def _detail(answer: Answer, kind: OutcomeKind) -> str:
    if kind is OutcomeKind.DELIVERED:
        return answer.detail
    said = ""
    if answer.error is not None:
        name = answer.error.code or answer.error.type
        said = ": ".join(part for part in (name, answer.error.message) if part)
    elif kind is OutcomeKind.ACCEPTED:
        said = f"task {answer.task}" if answer.task else "taken in, without the id of a task"
    elif kind is OutcomeKind.UNREAD:
        said = one_line(answer.unread, _SHOWN)
    elif answer.text:
        said = answer.text
    elif answer.status and answer.excerpt and kind is not OutcomeKind.EDGE_ERROR:
        said = answer.excerpt[:200]
    damage = next((picture.damage for picture in answer.pictures if picture.damage), "")
    if kind is OutcomeKind.EMPTY and not (said or damage or answer.detail):
        said = "the answer held no image"
    head = f"HTTP {answer.status}" if answer.status else ""
    way_out = _SMALLER if answer.status == 413 else ""
    return " · ".join(part for part in (head, way_out, said or damage, answer.detail) if part)[:1000]
