"""What begins a picture in a reply, and where one that stands within a longer text ends."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 256  # more than any pattern looks at, so that what begins at the end of a piece is held back
WITHIN = "within"  # the group that a picture within a longer text matches
OWN = "own"  # the group of a key that only answers have, never a request that is echoed

_COLON = r'"[ \t\r\n]{0,32}:[ \t\r\n]{0,32}"'
_SLASH = r"(?:/|\\/|\\u002[fF])"  # as JSON encoders write it
_DATA_URL = (
    rf"data:(?:[a-z]{{1,16}}{_SLASH}[A-Za-z0-9.+-]{{1,32}})?(?:;[A-Za-z0-9=._-]{{1,24}})?;(?i:base64),"  # RFC 2397
)
# How PNG, JPEG and WebP begin as base64. A JPEG says little of itself, so some more of it must follow.
_SIGN = rf"(?:[A-Za-z0-9+]|{_SLASH})"
_SIGNATURE = rf"iVBORw0KGg[o-r]|{_SLASH}9j{_SLASH}{_SIGN}{{12}}|UklGR{_SIGN}{{6}}XRUJQ"
# Under a key of base64 an address stays text: it has a scheme; or, being a path, a dot or a dash before long.
_NO_SCHEME = r"(?i:(?=[^h]|h[^t]|ht[^t]|htt[^p]|http[^s:]|https[^:]))"
_NO_PATH = r'(?=[A-Za-z0-9+/=\\]{64}|[A-Za-z0-9+/=\\]{0,63}"|data:)'
# Base64 and its JSON escapes: `\/`, and `+`, `/` and `=` by number. Anything else ends it.
RUN = re.compile(rb"(?:[A-Za-z0-9+/=]++|\\/|\\u00(?:2[bBfF]|3[dD]))*+")
OPEN_ESCAPE = re.compile(rb"\\(?:u(?:0(?:0[23]?)?)?)?\Z")


@lru_cache(maxsize=64)
def key_pattern(own: tuple[str, ...], told: str = "") -> re.Pattern[bytes]:
    """Compile what begins a picture: a key of an answer with base64, a string that begins like one, a data URL.

    A key or a string cannot be faked inside another string, because its quotes would be escaped there.

    Args:
        own: the keys under which answers have base64.
        told: the key under which a contract says that the picture is, whatever its first bytes; "" for none.
    """
    keys = "|".join(map(re.escape, own))
    started = [rf"(?P<{OWN}>(?:{keys}){_COLON}{_NO_SCHEME})", rf"url{_COLON}(?=data:)", rf"(?={_SIGNATURE})"]
    if told:
        started.insert(1, re.escape(told) + _COLON + _NO_PATH)
    return re.compile(rf'(?<!\\)"(?:{"|".join(started)})|(?P<{WITHIN}>{_DATA_URL})'.encode())
