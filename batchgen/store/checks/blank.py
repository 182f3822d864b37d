"""Whether a PNG is of one colour, told by its rows as they are packed: the first that is not ends the looking."""

from __future__ import annotations


class OneColour:
    """Takes the rows of all passes, with their filter bytes; costs one comparison for an image that is not blank.

    In an image of one colour each filter leaves bytes that are known beforehand: the pixel, differences, or zeros.

    Attributes:
        holds: whether every pixel was the same so far.
    """

    def __init__(self, bits: int) -> None:
        """Begin with no pixel seen; `bits` is how many a pixel has."""
        self.holds = True
        self._bits = bits
        self._colour: bytes | None = None
        self._rows: dict[tuple[int, bool], bytes] = {}
        self._stride = 1
        self._first = True
        self._begun = b""

    def begin_pass(self, stride: int) -> None:
        """Begin the next pass: from here on rows have `stride` bytes, filter byte included."""
        self._stride, self._first, self._begun = stride, True, b""
        self._rows.clear()

    def feed(self, raw: bytes) -> None:
        """Take the next bytes of the current pass."""
        if not self.holds:
            return
        raw, at = self._begun + raw, 0
        while self.holds and at + self._stride <= len(raw):
            self._take(raw[at : at + self._stride])
            at += self._stride
        self._begun = raw[at:] if self.holds else b""

    def _take(self, row: bytes) -> None:
        if self._colour is None:
            colour = row[1 : 1 + max(1, self._bits // 8)]
            self._colour = colour if self._bits >= 8 else _repeated(colour[0] >> (8 - self._bits), self._bits)
        key = row[0], self._first
        due = self._rows.get(key)
        if due is None:
            due = _due(self._colour, self._stride - 1, *key)
            # The last byte of small pixels may be padded in any way, so it is left out, unless it is the only one.
            due = self._rows[key] = due[:-1] or due if self._bits < 8 else due
        self.holds = row.startswith(due, 1)
        self._first = False


def _repeated(pixel: int, bits: int) -> bytes:
    """Return a byte full of a small pixel."""
    return bytes([sum(pixel << at for at in range(0, 8, bits))])


def _due(colour: bytes, length: int, kind: int, first: bool) -> bytes:
    """Return a row of one colour as a filter leaves it; in the first row of a pass nothing lies above."""
    zeros = bytes(len(colour))
    halves = bytes((each - each // 2) % 256 for each in colour)
    start, rest = {
        0: (colour, colour),
        1: (colour, zeros),
        2: (colour, colour) if first else (zeros, zeros),
        3: (colour, halves) if first else (halves, zeros),
        4: (colour, zeros) if first else (zeros, zeros),
    }.get(kind, (colour, colour))
    return start + rest * (length // len(colour) - 1)
