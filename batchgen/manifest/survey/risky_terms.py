"""Words that a shop knows to be risky, looked for in texts: fast however many there are."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from batchgen.domain.errors import ManifestError
from batchgen.files.text_lines import BrokenText, lines, open_file
from batchgen.manifest.document.document import Document

MOST = 20_000
_LONGEST = 200

# Chinese, Japanese and Korean are written without blanks between words.
_UNSPACED = "\u1100-\u11ff\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
_HAS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_ASCII_WORDS = re.compile(r"[a-z0-9_]+")
_WORDS = re.compile(rf"[^\W{_UNSPACED}]+")


class RiskyTerms:
    """RiskyTerms without regard to case: whole words, and parts of a text where words are not spaced."""

    def __init__(self, terms: Iterable[str]) -> None:
        self._by_first: dict[str, list[tuple[str, str]]] = defaultdict(list)
        parts: dict[str, str] = {}
        for term in terms:
            folded = _folded(term)
            first = _WORDS.search(folded)
            if _HAS_UNSPACED.search(folded) or first is None:
                parts.setdefault(folded, term)
            else:
                self._by_first[first[0]].append((term, folded))
        self._parts = parts
        self._part = re.compile("|".join(map(re.escape, sorted(parts, key=len, reverse=True)))) if parts else None

    def __len__(self) -> int:
        return len(self._parts) + sum(map(len, self._by_first.values()))

    def find(self, text: str) -> str | None:
        """Find a term that the text holds, as it was written in the list; None when it holds none."""
        folded = _folded(text)
        words = (_ASCII_WORDS if folded.isascii() else _WORDS).findall(folded)
        if not self._by_first.keys().isdisjoint(words):
            for word in dict.fromkeys(words):
                for term, whole in self._by_first.get(word, ()):
                    if _stands_alone(whole, folded):
                        return term
        if self._part is not None and (part := self._part.search(folded)):
            return self._parts[part[0]]
        return None


def read_risky_terms(document: Document) -> RiskyTerms | None:
    """Read the terms of `risky_terms`, written there or in a file with one a line; None when there are none."""
    written = document.keys.risky_terms
    if "risky_terms" in document.bad or not written:
        return None
    if not isinstance(written, str):
        return RiskyTerms(term.strip() for term in written if term.strip())
    place = document.folder / written
    try:
        with open_file(place, str(Path(document.file).parent / written)) as file:
            found = [line.strip() for line in lines(file)]
    except ManifestError as error:
        document.wrong(("risky_terms",), f"{written}: {error.problems[0].message}")
        return None
    except BrokenText as broken:
        document.wrong(("risky_terms",), f"{written}:{broken.line}: {broken}")
        return None
    terms = [term for term in found if term]
    long = next((number for number, term in enumerate(found, 1) if len(term) > _LONGEST), None)
    if not terms or len(terms) > MOST or long is not None:
        why = f"line {long} is longer than {_LONGEST} characters" if long else f"holds {len(terms):,} terms"
        document.wrong(("risky_terms",), f"{written}: {why}; write 1 to {MOST:,} terms, one a line")
        return None
    return RiskyTerms(terms)


def _stands_alone(term: str, text: str) -> bool:
    """Say whether a text holds a term that is no part of a longer word."""
    begin = text.find(term)
    while begin >= 0:
        end = begin + len(term)
        if not _WORDS.match(text[begin - 1 : begin]) and not _WORDS.match(text[end : end + 1]):
            return True
        begin = text.find(term, begin + 1)
    return False


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else unicodedata.normalize("NFC", text).casefold()
