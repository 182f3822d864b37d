"""What the calls over one route tell of its gateway: whether it brings images, and whether it is there at all."""

from __future__ import annotations

from typing import NamedTuple

from batchgen.domain.clock import Clock
from batchgen.domain.model import Claim, Outcome
from batchgen.policy.alike import Alike


class Flight(NamedTuple):
    """A call that was sent.

    Attributes:
        tier: of the size it asks for.
        sent: on the monotonic clock.
    """

    task: int
    tier: str
    sent: float


class RouteHealth:
    """The calls of a route in flight, and what those that came back tell of those that are still to be made."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._flights: dict[int, Flight] = {}
        self._alike = Alike()

    def sent(self, claim: Claim, attempt: int) -> None:
        """Know a call that leaves now."""
        self._flights[attempt] = Flight(claim.task, claim.send_size.tier, self._clock.monotonic())

    def landed(self, attempt: int) -> Flight | None:
        """Forget a call that came back, or will not; None where it is not known, as one of an earlier run."""
        return self._flights.pop(attempt, None)

    def is_hopeless(self, flight: Flight, outcome: Outcome, *, proven: bool) -> bool:
        """Learn of an answer; tell whether so many were alike that no other one is to be expected."""
        now = self._clock.monotonic()
        self._alike = self._alike.after(outcome, flight.task, flight.sent, now)
        return self._alike.hopeless((each.sent for each in self._flights.values()), now, proven=proven)
