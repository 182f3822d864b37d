"""Words from outside, made safe to keep: short, on one line, without control characters and reordering marks."""

from __future__ import annotations

import dataclasses
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

LONG = 4096
_Value = TypeVar("_Value")

_SPACE = re.compile(r"[\s\x85\u2028\u2029]+")
_BREAK = re.compile(r"[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]+")
# Controls, soft hyphen, direction marks and overrides, invisible operators, tags, and halves of surrogate pairs,
# which no database takes. Joiners stay: Persian, Hindi and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_UNSAFE_IN_JSON = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "", 1))  # these are written out, or between the lines
_SHORTEST_SECRET = 8
_WORDLESS = {int, float, bool}
_MASK = "[key]"


def one_line(text: str, most: int = LONG) -> str:
    """Put foreign words into one clean line of at most so many characters.

    >>> one_line("a\\tb\\x1b[31m\\u202ec")
    'a b[31mc'
    """
    text = text[: most * 2]
    if not text.isprintable():
        text = _UNSAFE.sub("", _SPACE.sub(" ", text))
    return text.strip()[:most]


def plain(text: str) -> str:
    """Make a line safe for a terminal: what could move its cursor, reorder or hide is left out, all else stays.

    >>> plain("  a\\nforged: b\\x1b[31m\\u202ec  d")
    '  a forged: b[31mc  d'
    """
    return text if text.isprintable() else _UNSAFE.sub("", _BREAK.sub(" ", text))


def escaped(text: str, most: int = LONG) -> str:
    r"""Return the beginning of foreign words, with what is unsafe in them written out.

    >>> escaped("<html>\n\x1b[0m")
    '<html>\\x0a\\x1b[0m'
    """
    text = text[:most]
    return text if text.isprintable() else _UNSAFE.sub(_written_out, text)[:most]


def json_text(document: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    r"""Write a document as JSON that is harmless on a terminal; whoever reads it as JSON gets every character.

    >>> json_text({"ü": "\x1b\x9b\u202e"})
    '{"ü": "\\u001b\\u009b\\u202e"}'
    """
    text = json.dumps(document, ensure_ascii=ascii_only, indent=indent, default=str)
    return text if text.isprintable() else _UNSAFE_IN_JSON.sub(lambda found: json.dumps(found[0])[1:-1], text)


def without(secret: str, text: str) -> str:
    """Take out of foreign words a secret that they echo, as some errors do: plain, escaped, hex or base64.

    A beginning of it at the very end goes too, where the words were cut.

    >>> without("sk-0123456789", "Bearer sk-0123456789 is unknown, sk-01234")
    'Bearer [key] is unknown, [key]'
    """
    if len(secret) < _SHORTEST_SECRET:
        return text
    spelled, coded = _forms(secret)
    text = text.replace(secret, _MASK)
    if "\\" in text or "%" in text:
        text = spelled.sub(_MASK, text)
    for form in coded:
        text = text.replace(form, _MASK)
    if text.find(secret[:_SHORTEST_SECRET], -len(secret)) < 0:
        return text
    for length in range(len(secret) - 1, _SHORTEST_SECRET - 1, -1):
        if text.endswith(secret[:length]):
            return text[:-length] + _MASK
    return text


@lru_cache(maxsize=64)
def written_forms(secret: str) -> tuple[bytes, ...]:
    """List how a secret may stand in a file: plain, hex, base64, escaped for an address or for JSON, in UTF-16.

    >>> b"s\\0k\\0-\\0" in written_forms("sk-0123456789")[-1]
    True
    """
    if len(secret) < _SHORTEST_SECRET:
        return ()
    escaped = [
        secret,
        secret.replace("/", "\\/"),
        *(form for case in (str.lower, str.upper) for form in _escapes(secret, case)),
    ]
    plain = dict.fromkeys(each.encode() for each in (*escaped, *_forms(secret)[1]))
    return *plain, secret.encode("utf-16-le")[:-1]  # without the last zero it is the same in either order


def _escapes(secret: str, case: Callable[[str], str]) -> tuple[str, ...]:
    """Escape the characters of a secret, in hexadecimal digits of one case."""
    some = "".join(char if char.isalnum() or char in "-._~" else case(f"%{ord(char):02x}") for char in secret)
    return (
        some,
        "".join(case(f"%{ord(char):02x}") for char in secret),
        "".join("\\u" + case(f"{ord(char):04x}") for char in secret),
    )


def cleaned(secret: str, value: _Value) -> _Value:
    """Take a secret out of all texts of a value: a text itself, or records, lists and mappings of texts."""
    return _cleaned(secret, value)  # type: ignore[no-any-return]


def _cleaned(secret: str, value: Any) -> Any:
    if not value or type(value) in _WORDLESS:
        return value
    if isinstance(value, str):
        return without(secret, value)
    if isinstance(value, list | tuple):
        return type(value)([_cleaned(secret, each) for each in value])
    if isinstance(value, dict):
        return {_cleaned(secret, key): _cleaned(secret, each) for key, each in value.items()}
    changed = {}
    for name in _field_names(type(value)):  # type: ignore[arg-type]
        old = getattr(value, name)
        if (new := _cleaned(secret, old)) != old:
            changed[name] = new
    return dataclasses.replace(value, **changed) if changed else value


@lru_cache(maxsize=64)
def _field_names(kind: type) -> tuple[str, ...]:
    """List the fields of a record, of anything else none."""
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else ()


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Say how a secret looks with any character escaped as in JSON or an address, and how it looks encoded."""
    spelled = (rf"(?:\\?{re.escape(char)}|(?i:%{ord(char):02x}|\\u{ord(char):04x}))" for char in secret)
    data = secret.encode()
    coded = {data.hex(), data.hex().upper()}
    for before in range(3):  # bytes in front of it in its group of three
        start, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6  # of the characters that depend on it alone
        coded |= {encode(bytes(before) + data).decode()[start:end] for encode in (b64encode, urlsafe_b64encode)}
    return re.compile("".join(spelled)), tuple(sorted(coded, key=len, reverse=True))


def _written_out(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def counted(number: int, noun: str) -> str:
    """Write a number of things.

    >>> counted(1, "call"), counted(2, "image")
    ('1 call', '2 images')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Write a duration as people say it.

    >>> duration(42), duration(600), duration(40_000)
    ('42 s', '10 min', '11 h 07 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def byte_size(count: float) -> str:
    """Write a number of bytes as people say it.

    >>> byte_size(512), byte_size(5_300_000)
    ('512 B', '5.3 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
