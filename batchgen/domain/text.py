"""Words from outside, made safe to keep: short, on one line, without control characters and reordering marks."""

from __future__ import annotations

import re

LONG = 4096

_SPACE = re.compile(r"[\s\x85\u2028\u2029]+")
# Controls, soft hyphen, direction marks and overrides, invisible operators, tags, and halves of surrogate pairs,
# which no database takes. Joiners stay: Persian, Hindi and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_SHORTEST_SECRET = 8


def one_line(text: str, most: int = LONG) -> str:
    """Foreign words in one clean line of at most so many characters.

    >>> one_line("a\\tb\\x1b[31m\\u202ec")
    'a b[31mc'
    """
    text = text[: most * 2]
    if not text.isprintable():
        text = _UNSAFE.sub("", _SPACE.sub(" ", text))
    return text.strip()[:most]


def escaped(text: str, most: int = LONG) -> str:
    r"""The beginning of foreign words, what is unsafe in them written out.

    >>> escaped("<html>\n\x1b[0m")
    '<html>\\x0a\\x1b[0m'
    """
    text = text[:most]
    return text if text.isprintable() else _UNSAFE.sub(_written_out, text)[:most]


def without(secret: str, text: str) -> str:
    """Foreign words without a secret that they echo, as some error messages do."""
    return text.replace(secret, "[key]") if len(secret) >= _SHORTEST_SECRET else text


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
