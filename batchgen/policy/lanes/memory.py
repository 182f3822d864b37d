"""What a lane has learned as a value that outlives the run, and the lane that begins with it."""

from __future__ import annotations

from batchgen.domain.learned import Learned, LimitKind, Whose
from batchgen.policy.lanes.found_pace import FoundPace
from batchgen.policy.lanes.in_flight import InFlightLimit
from batchgen.policy.lanes.rule import LaneRule, NoLimit


def learned(rule: LaneRule, whose: Whose, now: float) -> Learned | None:
    """Return what a lane knows; None where it has seen nothing.

    Args:
        rule: that of the lane.
        whose: quota it is.
        now: seconds since the epoch.
    """
    if not rule.taken.calls:
        return None
    limit, proven = rule.limit, rule.taken.proven
    if isinstance(limit, InFlightLimit):
        calls = max(limit.calls, limit.before)
        return Learned(*whose, LimitKind.IN_FLIGHT, calls, 0.0, 1, proven, now)
    if isinstance(limit, FoundPace):
        return Learned(*whose, LimitKind.PACE, 0, limit.rate, rule.marks.burst(limit.rate), proven, now)
    return Learned(*whose, LimitKind.NOTHING, 0, 0.0, 1, proven, now)


def recalled(rule: LaneRule, known: Learned) -> LaneRule:
    """Return a rule that begins where another run ended. What it knows is still tried out."""
    return rule._replace(
        taken=rule.taken._replace(proven=min(rule.ceiling, known.proven)),
        limit=_limit(rule, known),
        careful=False,
    )


def _limit(rule: LaneRule, known: Learned) -> NoLimit | InFlightLimit | FoundPace:
    if known.kind is LimitKind.IN_FLIGHT and known.calls < rule.ceiling:
        return InFlightLimit.at(known.calls)
    if known.kind is LimitKind.PACE and rule.known is None:
        return FoundPace.known(known.pace, known.burst)
    return NoLimit()
