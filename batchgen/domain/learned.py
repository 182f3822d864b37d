"""What a run learned of the limits of a gateway, for the next one to begin with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

STALE_AFTER = 7 * 86_400.0  # seconds; what is older is not begun with


class LimitKind(StrEnum):
    """What a gateway was found to limit."""

    NOTHING = "nothing"
    IN_FLIGHT = "in_flight"
    PACE = "pace"


class Whose(NamedTuple):
    """Who shares one quota.

    Attributes:
        host: of the gateway, with its port where that is not the usual one.
        key_fingerprint: first 8 hex digits of the key's hash; "" for no key.
    """

    host: str
    key_fingerprint: str
    model: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a quota.

    Attributes:
        host, key_fingerprint, model: whose it is, as in `Whose`.
        kind: what it limits.
        calls: in flight that are taken; 0 where that is not what is limited.
        pace: calls per second that are taken; 0.0 where that is not what is limited.
        burst: calls that were taken at once before the pace held them.
        proven: the most calls in flight that were ever taken.
        learned_at: seconds since the epoch.
    """

    host: str
    key_fingerprint: str
    model: str
    kind: LimitKind
    calls: int
    pace: float
    burst: int
    proven: int
    learned_at: float

    @property
    def whose(self) -> Whose:
        """Who shares the quota."""
        return Whose(self.host, self.key_fingerprint, self.model)
