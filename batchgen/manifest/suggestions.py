"""Words that help after a slip of the finger."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def similar(written: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for a near miss, else ""."""
    folded = {each.casefold(): each for each in known}
    near = get_close_matches(written.casefold()[:80], folded, n=1, cutoff=0.7)
    return f" (did you mean {folded[near[0]]}?)" if near else ""


def one_of(lead: str, known: Iterable[str], at_most: int = 20) -> str:
    """A short list for the end of a sentence.

    >>> one_of("use", ["a", "b"])
    'use a, b'
    """
    names = list(known)
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return f"{lead} {', '.join(names[:at_most])}{more}"
