"""What response headers say of how many calls a gateway takes: when it is used up, and how many per time.

The names are OpenAI's (`x-ratelimit-remaining-requests`, with resets such as `58.891s`; a recorded response has
`-input-images` as well), those without an ending that many others send, and `ratelimit-policy` of the IETF's draft.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from batchgen.gateway.headers import duration, longest

_PREFIXES = ("x-ratelimit-", "ratelimit-")
_ENDINGS = ("", "-requests", "-images", "-input-images")
_EPOCH = 1e9  # a larger number of seconds is a moment and no wait
_LONGEST = 3600.0  # seconds; what is used up for longer, the next refusal says
_POLICY = re.compile(r"(\d{1,9})\s{0,2};\s{0,2}w\s{0,2}=\s{0,2}(\d{1,7})(?![\d.])")


def spent_for(headers: Mapping[str, str], now: float) -> float | None:
    """Read the seconds for which no call is left; None when one is, or nothing is said.

    Args:
        headers: of the response.
        now: seconds since the epoch, for a reset that is a moment.

    >>> spent_for({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2s"}, 0.0)
    62.0
    """
    names = [(f"{prefix}remaining{ending}", f"{prefix}reset{ending}") for prefix in _PREFIXES for ending in _ENDINGS]
    resets = (headers.get(reset) for remaining, reset in names if headers.get(remaining, "").strip() == "0")
    waits = [wait - now if wait > _EPOCH else wait for wait in map(_seconds, resets) if wait is not None]
    return longest(wait for wait in waits if 0 < wait <= _LONGEST)


def told_rate(headers: Mapping[str, str]) -> float | None:
    """Read how many calls a second are taken, where a limit stands with its window; None else.

    >>> told_rate({"ratelimit-policy": "100;w=60, 1000;w=3600"})
    0.2777777777777778
    """
    said = ", ".join(headers.get(name, "") for name in ("ratelimit-policy", "ratelimit-limit", "x-ratelimit-limit"))
    rates = [int(calls) / int(window) for calls, window in _POLICY.findall(said) if int(calls) and int(window)]
    return min(rates, default=None)


def _seconds(text: str | None) -> float | None:
    """Read a reset: `120ms`, `1m2s`, or a plain number of seconds."""
    plain = re.fullmatch(r"\s*(\d{1,12}(?:\.\d{1,9})?)\s*", text or "")
    return float(plain[1]) if plain else duration(text or "")
