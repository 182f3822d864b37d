"""What the keys of a reply say about the pictures and addresses under them: one table of words, for every endpoint.

The words are those of keys that gateways were seen to use (field reports and manuals, 2026-11).
"""

from __future__ import annotations

import re
from functools import lru_cache

from batchgen.gateway.scan import MARK, WITHIN_MARK

_WORD = re.compile(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z]+[0-9]*|[0-9]+")
_KEY_OF_MARK = re.compile(
    rf'"([^"\\]{{1,100}})"\s{{0,32}}:\s{{0,32}}(?:\[\s{{0,32}})?"(?:{WITHIN_MARK}|{MARK})(\d{{1,3}})"'
)


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# A key that says "image" means one even beside words; the others mean one only where a reply says nothing else.
IMAGE = _words("artwork b64 base64 image img photo picture")
MAYBE = _words("artifact asset attachment content data download file href link media output result sample src uri url")
# What stands under these only looks like the result: it is smaller or unfinished, was sent, or is about something else.
NEVER = _words(
    "account author avatar before blurhash blurred callback cancel control doc echo error help icon init input "
    "logo lowres mask metadata model name next option original owner page param parameter partial placeholder "
    "policy poll polling prev preview progress prompt provider ref reference request self share small source "
    "status support term thumb thumbnail title tool usage user vendor warning web webhook"
)


@lru_cache(maxsize=1024)
def words_of_key(key: str) -> frozenset[str]:
    """Split a key into its words, in lower case; a plural and what has a number behind it also without these.

    >>> sorted(words_of_key("resultImageURLs")), sorted(words_of_key("image2"))
    (['image', 'result', 'url', 'urls'], ['image', 'image2'])
    """
    found = [word.lower() for word in _WORD.findall(key[:100])]
    return frozenset(each for word in found for each in (word, word.removesuffix("s"), word.rstrip("0123456789")))


def says_image(key: str) -> bool:
    """Tell whether a key says that an image stands under it."""
    return bool(words_of_key(key) & IMAGE)


def may_hold_image(key: str) -> bool:
    """Tell whether an address under a key may be that of an image."""
    return bool(words_of_key(key) & (IMAGE | MAYBE))


def holds_no_result(key: str) -> bool:
    """Tell whether what stands under a key is not the result, whatever it looks like."""
    return bool(words_of_key(key) & NEVER)


def marks_of_no_result(text: str) -> frozenset[int]:
    """Find the marks of pictures that stand under such a key in a text that cannot be read as a document."""
    return frozenset(int(mark) for key, mark in _KEY_OF_MARK.findall(text) if holds_no_result(key))
