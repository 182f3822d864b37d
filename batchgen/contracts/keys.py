"""Strict reading of a mapping from a file: what a key holds is right, or the error names the place and the key."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import cast

from batchgen.domain.errors import ContractError
from batchgen.domain.money import MICROS_PER_USD, parse_usd
from batchgen.domain.size import Size, parse_size

_MOST_USD = 10_000  # no price is higher, and the books count micro-dollars in 64 bits


@dataclass(frozen=True, slots=True)
class Keys:
    """Part of a file, with where it stands for messages. Every reader raises `ContractError`."""

    data: Mapping[str, object]
    place: str

    def fail(self, key: str, message: str) -> ContractError:
        """The error that names this place and a key."""
        return ContractError(f"{self.place}: {key}: {message}" if key else f"{self.place}: {message}")

    def known(self, names: Collection[str]) -> None:
        """Refuse keys that nobody reads, and those without a value: what was meant by them nobody knows."""
        for key, value in self.data.items():
            if key not in names:
                near = get_close_matches(key, list(names), 1)
                hint = f"did you mean {near[0]}?" if near else f"it can be {', '.join(sorted(names))}"
                raise self.fail(key, f"unknown key; {hint}")
            if value is None:
                raise self.fail(key, "has no value; write one, or remove the key")

    def part(self, key: str) -> Keys:
        """The mapping below a key; an empty one when the key is absent."""
        value = self.data.get(key, {})
        if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
            raise self.fail(key, "must be a mapping of names to values")
        return Keys(value, f"{self.place}: {key}")

    def text(self, key: str, pattern: str = r"(?s:.*)", wanted: str = "text") -> str:
        """A string; "" when absent."""
        value = self.data.get(key, "")
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.fail(key, f"must be {wanted}, not {value!r}")
        return value

    def choice(self, key: str, among: Sequence[str]) -> str:
        """One of some words."""
        value = self.data.get(key)
        if value not in among:
            raise self.fail(key, f"must be one of {', '.join(among)}, not {value!r}")
        return cast(str, value)

    def texts(self, key: str, among: Sequence[str] = ()) -> tuple[str, ...]:
        """A list of strings; empty when absent."""
        value = self.data.get(key, ())
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
            raise self.fail(key, "must be a list of words")
        strange = [each for each in value if among and each not in among]
        if strange:
            raise self.fail(key, f"knows {', '.join(among)}, not {strange[0]}")
        return tuple(value)

    def whole(self, key: str, least: int = 0) -> int:
        """A whole number; 0 when absent."""
        value = self.data.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.fail(key, f"must be a whole number of at least {least}, not {value!r}")
        return value

    def decimal(self, key: str, most: int | None = None) -> Decimal:
        """A number above zero and up to `most`, digit by digit as it is written."""
        value = self.data.get(key)
        try:
            number = Decimal(repr(value) if isinstance(value, float) else str(value))
        except InvalidOperation:
            number = Decimal(0)
        if isinstance(value, bool) or not number.is_finite() or number <= 0:
            raise self.fail(key, f"must be a number above 0, not {value!r}")
        if most is not None and number > most:
            raise self.fail(key, f"must be {most:,} at most, not {value}")
        return number

    def seconds(self, key: str) -> float:
        """A length of time above zero, in seconds."""
        return float(self.decimal(key))

    def usd(self, key: str) -> int:
        """An amount in dollars, as micro-dollars."""
        value = self.data.get(key)
        try:
            if isinstance(value, bool) or value is None:
                raise ValueError("must be an amount in dollars, such as 0.03")
            micros = parse_usd(repr(value) if isinstance(value, float) else str(value))
            if micros > _MOST_USD * MICROS_PER_USD:
                raise ValueError(f"must be {_MOST_USD:,} dollars at most, not {value}")
        except ValueError as error:
            raise self.fail(key, str(error)) from None
        return micros

    def flag(self, key: str) -> bool:
        """Whether it is true; false when absent."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(key, f"must be true or false, not {value!r}")
        return value

    def size(self, key: str) -> Size:
        """One size, in pixels or by name, not `auto`."""
        return self.as_size(key, self.data.get(key))

    def as_size(self, key: str, value: object) -> Size:
        """A value found below a key as a size."""
        try:
            size = parse_size(value) if isinstance(value, str) else None
        except ValueError as error:
            raise self.fail(key, str(error)) from None
        if size is None or size.is_auto:
            raise self.fail(key, f"must be a size such as 2048x1152, not {value!r}")
        return size
