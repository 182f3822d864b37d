"""Base64 out of a JSON string that comes in pieces: strict about the alphabet, patient about the wrapping.

A lenient decoder skips what it does not know and returns another picture without a word. Here a data-URL prefix,
white space, JSON escapes and missing padding are taken; anything else is damage, and decoding stops there.
"""

from __future__ import annotations

import binascii
import re

from pybase64 import b64decode

_PREFIX = b"data:"
_LONGEST_PREFIX = 256
_SPACE = b" \t\r\n"
_UNICODE = re.compile(rb"\\u00([0-7][0-9a-fA-F])")
_LONGEST_ESCAPE = 6  # \u003d
_PLAIN = ((b"\\/", b"/"), (b"\\n", b""), (b"\\r", b""), (b"\\t", b""))


class Base64Text:
    """The content of one JSON string, piece by piece.

    Attributes:
        damage: why the text is not base64, "" as long as it is.
    """

    __slots__ = ("_begun", "_held", "_padded", "damage")

    def __init__(self) -> None:
        self.damage = ""
        self._held = b""  # came, but cannot be decoded before more is there
        self._begun = False  # whether the prefix, if there is one, is behind us
        self._padded = False  # whether `=` was seen, which ends the text

    def decode(self, text: bytes, *, closed: bool) -> bytes:
        """Decode what can be decoded now with the next piece; `closed` when the string ends with it."""
        if self._held:
            text, self._held = self._held + text, b""
        if not self._begun:
            text = self._skip_prefix(text, closed=closed)
        if b"\\" in text:
            text = self._unescape(text, closed=closed)
        return self._decode(text, closed=closed) if text else b""

    def _skip_prefix(self, text: bytes, *, closed: bool) -> bytes:
        head = text[: len(_PREFIX)]
        if head != _PREFIX:
            if len(text) < len(_PREFIX) and _PREFIX.startswith(head) and not closed:
                self._held = text
                return b""
            self._begun = True
            return text
        comma = text.find(b",", 0, _LONGEST_PREFIX)
        if comma < 0 and len(text) < _LONGEST_PREFIX and not closed:
            self._held = text
            return b""
        self._begun = True
        if b";base64" not in text[: max(comma, 0)].lower():
            self.damage = "a data URL that is not base64"
            return b""
        return text[comma + 1 :]

    def _unescape(self, text: bytes, *, closed: bool) -> bytes:
        if b"\\\\" in text:  # taking escapes out around it could make new ones
            self.damage = "text that is not base64"
            return b""
        if not closed:
            text = self._hold_open_escape(text)
        for escape, plain in _PLAIN:
            text = text.replace(escape, plain)
        if b"\\u" in text:
            text = _UNICODE.sub(lambda match: bytes((int(match[1], 16),)), text)
        return text  # a backslash that is still there is no base64, and the decoder says so

    def _hold_open_escape(self, text: bytes) -> bytes:
        """Hold back an escape that has begun at the end and may go on in the next piece."""
        at = text.rfind(b"\\", max(0, len(text) - _LONGEST_ESCAPE + 1))
        begun = text[at:] if at >= 0 else b""
        if len(begun) != 1 and not begun.startswith(b"\\u"):
            return text
        self._held = begun
        return text[:at]

    def _decode(self, text: bytes, *, closed: bool) -> bytes:
        try:
            return self._groups(text, closed=closed)
        except binascii.Error:
            pass
        spaceless = text.translate(None, _SPACE)
        if len(spaceless) < len(text):
            try:
                return self._groups(spaceless, closed=closed)
            except binascii.Error:
                pass
        self.damage = "text that is not base64"
        return b""

    def _groups(self, text: bytes, *, closed: bool) -> bytes:
        """Decode whole groups of four, and at the end the last one without its padding.

        Raises:
            binascii.Error: not base64.
        """
        if self._padded and text:
            raise binascii.Error("text after the padding")
        odd = len(text) % 4
        if closed:
            return b64decode(text + b"=" * (4 - odd) if odd else text, validate=True)
        whole, rest = (text[:-odd], text[-odd:]) if odd else (text, b"")
        decoded: bytes = b64decode(whole, validate=True)
        self._held = rest + self._held
        self._padded = whole.endswith(b"=")
        return decoded
