"""File and folder names from what users call things: readable, safe on every system, never one name for two things."""

from __future__ import annotations

import re
import unicodedata
from hashlib import blake2b

SEGMENT_BYTES = 200  # of the 255 that file systems take; leaves room for revisions, endings and side-cars
_FILLED = 12  # more than a size, sample, ratio or tier takes

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,200}\Z")
_NONCHARACTERS = "\ufdd0-\ufdef" + "".join(chr((plane << 16) + low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff"  # bidi overrides among them; joiners stay, scripts need them
)
_UNSAFE = re.compile(f'[\x00-\x1f\x7f-\x9f"%*/:<>?\\\\|\ud800-\udfff{_INVISIBLE}{_NONCHARACTERS}]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z)", re.IGNORECASE)
_CUT_ESCAPE = re.compile(r"%[0-9A-F]?\Z")


def safe_segment(text: str, keep: str = "") -> str:
    """Make one path segment of a text: its NFC form with whatever a file system could misread percent-encoded.

    Different texts (after NFC) give different segments. Encoded are control, invisible and bidi characters, the
    characters Windows forbids, `%` itself, a dot or blank at either end, and the first letter of a Windows device name.
    A segment over 200 bytes is cut and ends in `%~` and a hash of the whole, which nothing uncut can contain.
    The characters in `keep` stand for something filled in later: they pass unchanged and survive a cut.

    >>> safe_segment("MUG/01"), safe_segment("Größe 3"), safe_segment(".."), safe_segment("con.txt")
    ('MUG%2F01', 'Größe 3', '%2E%2E', '%63on.txt')
    """
    if _PLAIN.match(text) and len(text) > 4:  # longer than any device name
        return text
    text = unicodedata.normalize("NFC", text)
    safe = _UNSAFE.sub(lambda found: found[0] if found[0] in keep else _percent(found[0]), text)
    if not safe:
        return "%"  # never produced otherwise
    if safe[0] in ". " or _DEVICE.match("".join("1" if char in keep else char for char in text)):
        safe = _percent(safe[0]) + safe[1:]
    if safe[-1] in ". ":
        safe = safe[:-1] + _percent(safe[-1])
    later = _FILLED * sum(safe.count(char) for char in keep)
    return safe if len(safe.encode()) + later <= SEGMENT_BYTES else _shortened(safe, text, keep)


def fold(text: str) -> str:
    """Reduce a name to what it shares with all that a file system which ignores case takes for the same."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _percent(char: str) -> str:
    return "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))


def _shortened(safe: str, text: str, keep: str) -> str:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    kept = "".join("-" + char for char in dict.fromkeys(safe) if char in keep)
    room = SEGMENT_BYTES - len("%~" + digest) - len(kept) * _FILLED
    head = "".join(char for char in safe if char not in keep).encode()[:room].decode("utf-8", "ignore")
    return f"{_CUT_ESCAPE.sub('', head)}%~{digest}{kept}"
