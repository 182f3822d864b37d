"""What begins a picture in a reply, and where one that stands within a longer text ends."""

from __future__ import annotations

import re

LONGEST = 128  # more than any match of a pattern, so that what begins at the end of a piece is held back
WITHIN = "within"  # the group that a picture within a longer text matches
OWN = "own"  # the group of a key that only answers have, never a request that is echoed

_COLON = r'"[ \t\r\n]{0,32}:[ \t\r\n]{0,32}"'
_SLASH = r"(?:/|\\/|\\u002[fF])"  # as JSON encoders write it
_DATA_URL = (
    rf"data:(?:[a-z]{{1,16}}{_SLASH}[A-Za-z0-9.+-]{{1,32}})?(?:;[A-Za-z0-9=._-]{{1,24}})?;(?i:base64),"  # RFC 2397
)
# Base64 and its JSON escapes: `\/`, and `+`, `/` and `=` by number. Anything else ends it.
RUN = re.compile(rb"(?:[A-Za-z0-9+/=]++|\\/|\\u00(?:2[bBfF]|3[dD]))*+")
OPEN_ESCAPE = re.compile(rb"\\(?:u(?:0(?:0[23]?)?)?)?\Z")


def key_pattern(own: tuple[str, ...], *, within: bool = False) -> re.Pattern[bytes]:
    """Compile what begins a picture: a key of an answer with a string of base64, or the key `url` with a data URL.

    A key cannot be faked inside another string, because its quotes would be escaped there.

    Args:
        own: the keys of an answer.
        within: whether a data URL anywhere begins one as well.
    """
    keys = rf'(?<!\\)"(?:(?P<{OWN}>(?:{"|".join(map(re.escape, own))}){_COLON})|url{_COLON}(?=data:))'
    return re.compile((f"{keys}|(?P<{WITHIN}>{_DATA_URL})" if within else keys).encode())


UNDER_KEY = key_pattern(("b64_json",))
# An edit's reply may echo the input images, a chat's holds its image within a message.
ANYWHERE = key_pattern(("b64_json",), within=True)
