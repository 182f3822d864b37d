"""An origin as JSON, in the index and in receipts. What is read may come from anybody, so every field is looked at."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from string import Formatter
from typing import Any

from batchgen.domain.origin import Origin
from batchgen.domain.size import parse_size

MOST = 2**53  # programs that read JSON numbers as floats would change what is above
_LONGEST = 10_000
_LATEST = 253_402_300_799.0  # the last second of the year 9999
_HASHES = ("own", "shared")  # as text: 63 bits are more than a JSON number keeps
_OTHER_NAMES = {"reserved": "reserved_micros"}
_NAMES = tuple((field.name, _OTHER_NAMES.get(field.name, field.name)) for field in fields(Origin))
_HEX = re.compile(r"[0-7][0-9a-f]{15}\Z", re.ASCII)
_PLACEHOLDERS = frozenset({"size", "sample", "ratio", "tier"})
_NEEDED = ("job", "key", "path", "provider", "route", "model", "request_hash")
_MAY_BE_EMPTY = ("group", "endpoint", "base_url", "quality", "billing_unit", "key_fingerprint")


def plain_origin(origin: Origin) -> dict[str, Any]:
    """Return an origin as a JSON object."""
    record = {name: getattr(origin, field) for field, name in _NAMES}
    for name in _HASHES:
        record[name] = f"{record[name]:016x}"
    return record


def read_origin(record: Mapping[str, Any]) -> Origin:
    """Read what `plain_origin` made; what else the object has is passed over.

    Raises:
        ValueError: a field is missing, or is none that this program writes.
    """
    values: dict[str, Any] = {name: words(record, name) for name in _NEEDED}
    values |= {name: words(record, name, empty=True) for name in _MAY_BE_EMPTY}
    values |= {name: _hash(record, name) for name in _HASHES}
    values |= {name: _size(record, name) for name in ("size", "size_sent")}
    check_pattern(values["path"])
    return Origin(
        **values,
        sample=whole(record, "sample", least=1, most=1_000_000),
        revision=whole(record, "revision", least=1, most=1_000_000),
        images=whole(record, "images", most=10_000),
        reserved=whole(record, "reserved_micros"),
        reserved_at=seconds(record, "reserved_at"),
    )


def whole(record: Mapping[str, Any], name: str, *, least: int = 0, most: int = MOST) -> int:
    """Return a field that is a whole number between two others.

    Raises:
        ValueError: it is none.
    """
    value = record.get(name)
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"`{name}` is not a whole number from {least} to {most}")
    return value


def seconds(record: Mapping[str, Any], name: str) -> float:
    """Return a field that is a moment, in seconds since the epoch.

    Raises:
        ValueError: they are none.
    """
    value: Any = record.get(name)
    if type(value) not in {int, float} or not math.isfinite(value) or not 0 <= value <= _LATEST:
        raise ValueError(f"`{name}` is no moment")
    return float(value)


def words(record: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    """Return a field that is a text, and one that the ledger can hold.

    Raises:
        ValueError: it is none, or empty where that means nothing.
    """
    value = record.get(name)
    if not isinstance(value, str) or len(value) > _LONGEST or "\0" in value or not (value or empty):
        raise ValueError(f"`{name}` is no text of this program's")
    value.encode()  # a lone surrogate is a ValueError of its own
    return value


def one_of(record: Mapping[str, Any], name: str, values: Collection[str]) -> str:
    """Return a field that is one of some texts.

    Raises:
        ValueError: it is another.
    """
    value = record.get(name)
    if not isinstance(value, str) or value not in values:
        raise ValueError(f"`{name}` is none of {', '.join(sorted(values))}")
    return value


def check_pattern(path: str) -> None:
    """Make sure that a path has only the placeholders that an output path may have, and those bare.

    Raises:
        ValueError: it has others; `str.format` would do whatever they say.
    """
    for _, name, spec, conversion in Formatter().parse(path):
        if name is not None and (name not in _PLACEHOLDERS or spec or conversion):
            raise ValueError("`path` has placeholders that no output path has")


def _hash(record: Mapping[str, Any], name: str) -> int:
    value = record.get(name)
    if not isinstance(value, str) or not _HEX.match(value):
        raise ValueError(f"`{name}` is not the hash of what was asked")
    return int(value, 16)


def _size(record: Mapping[str, Any], name: str) -> str:
    value = words(record, name)
    if str(parse_size(value)) != value:
        raise ValueError(f"`{name}` is no size of this program's")
    return value
