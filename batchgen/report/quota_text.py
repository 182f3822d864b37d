"""What was learned of the quota of a gateway, as a person reads it."""

from __future__ import annotations

from pathlib import Path

from batchgen.domain.clock import local_text
from batchgen.domain.learned import STALE_AFTER, Learned, LimitKind
from batchgen.ledger.reader import Reader


def learned_lines(ledger: Path, model: str | None, now: float) -> list[str]:
    """Say what a ledger has learned of gateways, a line for each quota; nothing where there is no ledger.

    Args:
        ledger: its path.
        model: the one that is asked about; None for all.
        now: seconds since the epoch.
    """
    if not ledger.exists():
        return []
    with Reader(ledger) as reader:
        known = [each for each in reader.quotas() if model in {None, each.model}]
    return [quota_text(each, now) for each in known]


def quota_text(known: Learned, now: float) -> str:
    """Say in one line what a gateway was found to take, for which key, and when."""
    key = f", key {known.key_fingerprint}" if known.key_fingerprint else ""
    when = f"learned {local_text(known.learned_at, now)}"
    old = ", too long ago to begin with" if now - known.learned_at >= STALE_AFTER else ""
    return f"{known.model} at {known.host}{key}: {_takes(known)} ({when}{old})"


def _takes(known: Learned) -> str:
    match known.kind:
        case LimitKind.IN_FLIGHT:
            return f"takes {known.calls} call{'s' if known.calls != 1 else ''} in flight"
        case LimitKind.PACE:
            burst = f", and {known.burst} at once after a rest" if known.burst > 1 else ""
            return f"takes {_pace(known.pace)}{burst}"
        case LimitKind.NOTHING:
            return f"refused nothing with up to {known.proven} in flight"


def _pace(rate: float) -> str:
    """Calls per second, or per minute where that reads better.

    >>> _pace(49.98), _pace(0.3333)
    ('50 calls a second', '20 calls a minute')
    """
    return f"{rate:.3g} calls a second" if rate >= 1 else f"{60 * rate:.3g} calls a minute"
