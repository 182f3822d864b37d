"""Contract files, read strictly: decimals as they are written, no surprises of YAML 1.1, no key that nobody reads.

What a key holds is right, or the error names the place and the key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml

from batchgen.domain.errors import ContractError
from batchgen.domain.money import MICROS_PER_USD, parse_usd
from batchgen.domain.size import Size, parse_size

if TYPE_CHECKING:
    from yaml import SafeLoader as _Base
else:
    _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_LARGEST = 1_000_000  # bytes
_MEANT = dict.fromkeys(("refusals", "quota_codes", "quota_marks"), "words")  # lists of what gateways say
_MOST_USD = 10_000  # no price is higher, and the books count micro-dollars in 64 bits


class _Loader(_Base):
    """Safe, and stricter: a key stands once, `16:9` is text, `0.03` is exactly that, a date stays as written."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value]
        twice = next((key for key, _ in node.value if keys.count(key.value) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"the key {twice.value} stands twice", problem_mark=twice.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:null|~|)\Z"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(?:0|[1-9]\d*)\Z"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"-?\d+\.\d+\Z"), list("-0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: Decimal(node.value))


def read_yaml(path: Path) -> dict[str, object]:
    """Read the mapping a contract file holds.

    Raises:
        ContractError: the file cannot be read, is no YAML, or holds no mapping with plain keys.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ContractError(f"{path}: larger than {_LARGEST:,} bytes; that is no contract file")
        data: object = yaml.load(path.read_bytes(), Loader=_Loader)  # noqa: S506 - built on the safe loader
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise ContractError(f"{path}{line}: {error.problem or error.context}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ContractError(f"{path}: not readable as YAML: {reason}") from None
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ContractError(f"{path}: must hold keys such as provider, checked, source, base_url and contracts")
    return data


@dataclass(frozen=True, slots=True)
class Section:
    """Part of a file, with where it stands for messages. Every reader raises `ContractError`."""

    data: Mapping[str, object]
    place: str

    def fail(self, key: str, message: str) -> ContractError:
        """Make the error that names this place and a key."""
        return ContractError(f"{self.place}: {key}: {message}" if key else f"{self.place}: {message}")

    def known(self, names: Collection[str]) -> None:
        """Refuse keys that nobody reads, and those without a value: what was meant by them nobody knows."""
        for key, value in self.data.items():
            if key not in names:
                meant = [_MEANT[key]] if _MEANT.get(key) in names else []
                near = meant or get_close_matches(key, list(names), 1)
                hint = f"did you mean {near[0]}?" if near else f"it can be {', '.join(sorted(names))}"
                raise self.fail(key, f"unknown key; {hint}")
            if value is None:
                raise self.fail(key, "has no value; write one, or remove the key")

    def part(self, key: str) -> Section:
        """Read the mapping below a key; an empty one when the key is absent."""
        value = self.data.get(key, {})
        if not isinstance(value, Mapping) or not all(isinstance(each, str) for each in value):
            raise self.fail(key, "must be a mapping of names to values")
        return Section(value, f"{self.place}: {key}")

    def text(self, key: str, pattern: str = r"(?s:.*)", wanted: str = "text") -> str:
        """Read a string that matches a pattern; "" when absent. `wanted` says what it must be."""
        value = self.data.get(key, "")
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise self.fail(key, f"must be {wanted}, not {value!r}")
        return value

    def choice(self, key: str, among: Sequence[str]) -> str:
        """Read a word that must be one of these."""
        value = self.data.get(key)
        if value not in among:
            raise self.fail(key, f"must be one of {', '.join(among)}, not {value!r}")
        return cast(str, value)

    def texts(self, key: str, among: Sequence[str] = ()) -> tuple[str, ...]:
        """Read a list of strings; empty when absent."""
        value = self.data.get(key, ())
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) and each for each in value):
            raise self.fail(key, "must be a list of words")
        strange = [each for each in value if among and each not in among]
        if strange:
            raise self.fail(key, f"knows {', '.join(among)}, not {strange[0]}")
        return tuple(value)

    def rows(self, key: str) -> list[Section]:
        """A list of mappings; empty when absent."""
        value = self.data.get(key, ())
        if not isinstance(value, list) or not all(isinstance(each, Mapping) for each in value):
            if key in self.data:
                raise self.fail(key, "must be a list of mappings")
            return []
        return [Section(each, f"{self.place}: {key}: row {number}") for number, each in enumerate(value, 1)]

    def whole(self, key: str, least: int = 0) -> int:
        """Read a whole number of at least `least`; 0 when absent."""
        value = self.data.get(key, 0)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.fail(key, f"must be a whole number of at least {least}, not {value!r}")
        return value

    def decimal(self, key: str, most: int | None = None) -> Decimal:
        """Read a number above zero and up to `most`, digit by digit as it is written."""
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
        """Read a length of time above zero, in seconds."""
        return float(self.decimal(key))

    def usd(self, key: str) -> int:
        """Read an amount in dollars, and return it in micro-dollars."""
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
        """Read true or false; false when absent."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise self.fail(key, f"must be true or false, not {value!r}")
        return value

    def size(self, key: str) -> Size:
        """Read one size, in pixels or by name, not `auto`."""
        return self.as_size(key, self.data.get(key))

    def as_size(self, key: str, value: object) -> Size:
        """Take a value that was found below a key for a size."""
        try:
            size = parse_size(value) if isinstance(value, str) else None
        except ValueError as error:
            raise self.fail(key, str(error)) from None
        if size is None or size.is_auto:
            raise self.fail(key, f"must be a size such as 2048x1152, not {value!r}")
        return size
