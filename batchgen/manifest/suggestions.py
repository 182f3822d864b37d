"""Words that help after a slip of the finger."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_NEAR = 0.7  # share of letters in common
_NEAR_FROM_THE_START = 0.65  # where the first letter is right, which is seldom missed


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known words, for the end of a sentence; "" when none is near.

    >>> did_you_mean("sise", ["sizes", "file"]), did_you_mean("title", ["sizes", "file"])
    (' (did you mean sizes?)', '')
    """
    folded = {each.casefold(): each for each in known}
    word = written.casefold()[:80]
    alike = [each for each in folded if each[:1] == word[:1]]
    near = get_close_matches(word, folded, 1, _NEAR) or get_close_matches(word, alike, 1, _NEAR_FROM_THE_START)
    return f" (did you mean {folded[near[0]]}?)" if near else ""


def one_of(lead: str, known: Iterable[str], at_most: int = 20) -> str:
    """Write a short list for the end of a sentence.

    >>> one_of("use", ["a", "b"])
    'use a, b'
    """
    names = list(known)
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{lead} {', '.join(names[:at_most])}{more}"
