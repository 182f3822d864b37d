"""What response headers and error messages say beside the answer: how long to wait, and under which id to ask."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from batchgen.domain.text import one_line

# OpenAI's header, the spelling of APIYI's reverse routes, one-api's, ShellAPI's, and Cloudflare's.
REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-oneapi-request-id", "x-shellapi-request-id", "cf-ray")

_AMOUNT = r"\d{1,12}(?:\.\d{1,9})?"
_DURATION = re.compile(
    rf"({_AMOUNT})\s{{0,2}}(ms|milliseconds?|h|hours?|m|min|minutes?|s|sec|seconds?)(?![a-z])", re.IGNORECASE
)
_HINT = re.compile(
    rf"(?:try again|retry)[^\d]{{0,24}}((?:{_AMOUNT}\s{{0,2}}[a-z]{{1,12}}[\s,]{{0,2}}(?:and\s)?){{1,4}})",
    re.IGNORECASE,
)
_CHINESE_HINT = re.compile(rf"({_AMOUNT})\s{{0,2}}(毫秒|秒|分钟)\s{{0,2}}(?:之?后|再)")
_CHINESE_UNITS = {"毫秒": 0.001, "秒": 1.0, "分钟": 60.0}


def request_ids(headers: Mapping[str, str], names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return every header of these names that carries an id, in the order of the names."""
    return tuple((name, one_line(headers[name], 200)) for name in names if headers.get(name))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read the seconds that the headers ask to wait, None when they do not say or say nonsense.

    Args:
        headers: of the response.
        now: seconds since the epoch, for a Retry-After that is a date.
    """
    asked = [
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after"), 1.0) or _until(headers.get("retry-after"), now),
    ]
    return longest(asked)


def leads_to(status: int, headers: Mapping[str, str]) -> str:
    """Say where an answer sends its caller; "" for one that does not.

    >>> leads_to(308, {"location": "https://api.example/v1/images"}), leads_to(200, {})
    ('leads to https://api.example/v1/images', '')
    """
    return f"leads to {headers.get('location') or 'no address'}" if 300 <= status < 400 else ""


def hinted(message: str) -> float | None:
    """Read the seconds that an error message asks to wait, None when it does not say.

    >>> hinted("Rate limit reached. Please try again in 1m2.5s."), hinted("Please try again in 240ms")
    (62.5, 0.24)
    """
    if found := _HINT.search(message):
        return duration(found[1])
    if found := _CHINESE_HINT.search(message):
        return float(found[1]) * _CHINESE_UNITS[found[2]] or None
    return None


def duration(text: str) -> float | None:
    """Read seconds from words such as `1m2.5s`; None where there are none."""
    return sum(float(amount) * _unit(unit) for amount, unit in _DURATION.findall(text)) or None


def longest(asked: Iterable[float | None]) -> float | None:
    """Return the longest of several waits, so that none is disobeyed."""
    return max((seconds for seconds in asked if seconds is not None), default=None)


def _unit(name: str) -> float:
    name = name.lower()
    if name.startswith(("ms", "milli")):
        return 0.001
    return {"h": 3600.0, "m": 60.0, "s": 1.0}[name[0]]


def _number(text: str | None, unit: float) -> float | None:
    try:
        seconds = float(text or "") * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _until(text: str | None, now: float) -> float | None:
    try:
        date = parsedate_to_datetime(text or "")
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    seconds = date.timestamp() - now
    return seconds if seconds > 0 else None
