"""What an error says, by the table of words: one rule that weighs codes, types and texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchgen.contracts.contract import Contract
from batchgen.contracts.words import Meaning, Word, common_words, plain
from batchgen.domain.wire import ApiError

_RANK = {meaning: rank for rank, meaning in enumerate(Meaning)}
_PREFIX = "_"  # a vendor's own name stands before a code: packy_image_generation_user_error


def known_words(contract: Contract) -> tuple[Word, ...]:
    """All that a route's gateway may say: the contract's own rows, then those that hold for every route."""
    return (*contract.words, *common_words())


def weigh(error: ApiError, words: Sequence[Word], sent: str = "") -> Word | None:
    """The row that an error is believed to say; None when the table knows none of it.

    All rows that fit its code, its type and its message are found, and the meaning that comes first in `Meaning` wins;
    among rows of one meaning a code wins over a text, and an earlier row over a later one. A text that stands in what
    was sent is no word of the gateway: an error that quotes a prompt says nothing by it.
    """
    found = sorted(_fitting(error, words, plain(sent)), key=lambda word: (_RANK[word.means], not word.code))
    return found[0] if found else None


def means(error: ApiError, words: Sequence[Word], sent: str = "") -> Meaning | None:
    """The meaning alone of what `weigh` finds."""
    word = weigh(error, words, sent)
    return word.means if word else None


def _fitting(error: ApiError, words: Sequence[Word], sent: str) -> Iterator[Word]:
    codes = {code for code in (error.code.lower(), error.type.lower()) if code}
    message = plain(error.message)
    for word in words:
        if word.code:
            if any(code == word.code or code.endswith(_PREFIX + word.code) for code in codes):
                yield word
        elif word.text in message and word.text not in sent:
            yield word
