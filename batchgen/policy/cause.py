"""The stable name of what an error says that is in no row of the table of words."""

from __future__ import annotations

import re

from batchgen.domain.model import OutcomeKind
from batchgen.domain.wire import ApiError

_WORDS = 6  # of a slug: enough to tell reasons apart, few enough that what differs at a sentence's end is left out
_LONGEST = 20  # letters of a word in Latin script; what is longer is an id or a key
_LETTERS = 60  # of a slug
_READ = 1000  # characters of a text; its first words are all that is wanted

_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|「[^」]*」|`[^`]*`|(?<!\w)'[^']*'(?!\w)|(?<!\w)‘[^’]*’(?!\w)")
_ID = re.compile(r"\b(?:[a-z]+[ _-])?id\b[\"']?\s*[:=]\s*[^\s,;)\]]+", re.IGNORECASE)
_LABELLED = re.compile(r"\b(?:[a-z]+_[a-z]+|code|status(?: code)?)\s*[:=]?\s*\d\w*", re.IGNORECASE)  # status_code: 500
_TOKEN = re.compile(r"[^\s,;:!?()\[\]{}<>|=，。；：！？（）【】]+")
_WORD = re.compile(r"[^\W\d_]+")
_TURN = re.compile(r"[a-z][A-Z]")  # two of them are an id, such as aBcDe; one is a name, such as OpenAI


def unlisted_cause(kind: OutcomeKind, error: ApiError, sent: str = "") -> str:
    """Name what an error says: its kind, and a slug of its code or, where that says no more, of its message.

    Args:
        kind: what the error was taken for.
        error: as the gateway sent it.
        sent: the prompt; where the message repeats it, that is left out.

    >>> unlisted_cause(OutcomeKind.SERVER_ERROR, ApiError("OpenAI upstream compute fluctuation (request id: 20261x7)"))
    'server_error:openai-upstream-compute-fluctuation'
    """
    message = error.message.replace(sent, " ") if sent.strip() else error.message
    for said in (error.code, message, error.type):
        slug = slug_of(said)
        if slug and slug != slug_of(kind):
            return f"{kind}:{slug}"
    return str(kind)


def slug_of(said: str) -> str:
    """Join the first words of a text that are the same each time it is said; "" where there are none.

    Quoted parts, ids, addresses and everything with a digit are left out.

    >>> slug_of("Request req_01XJ to 'gpt-image-2' timed out after 30s")
    'request-to-timed-out-after'
    """
    said = said[:_READ]
    for particular in (_ID, _QUOTED, _LABELLED):
        said = particular.sub(" ", said)
    tokens = _TOKEN.findall(said.replace("://", "0"))  # an address goes with the words that have digits
    words = [word for token in tokens for word in _words(token)][:_WORDS]
    return "-".join(words)[:_LETTERS].rstrip("-")


def _words(token: str) -> list[str]:
    if any(letter.isdigit() for letter in token) or len(_TURN.findall(token)) > 1 or "@" in token:
        return []
    found = _WORD.findall(token.replace("'", "").replace("’", "").lower())
    return [word for word in found if not (word.isascii() and len(word) > _LONGEST)]
