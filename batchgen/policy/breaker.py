"""Whether a gateway is down, by what calls over it come to: the rule alone, without a clock and without waiting.

One call that fails says little: some tasks always fail, and some calls of every night do. A gateway is taken to be down
when task after task fails at its first try and nobody lives on beside them. Then only probes are sent, until one brings
an answer. All times are seconds on the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from batchgen.policy.backoff import Uniform
from batchgen.policy.streak import Streak

ENOUGH = 6  # tasks that failed at their first try
PER_LIFE = 4  # more of them for each call that lives on: a gateway that answers every other call is not down
_LASTING = 3.0  # times what the quickest failure took, since the first of them was sent
FIRST_WAIT = 15.0  # seconds from the opening to the first probe
LONGEST_WAIT = 120.0  # seconds between two probes at most
_SPREAD = 0.2  # share of a wait that is left to chance
MOST_PROBES = 40  # calls of one outage that may be paid
MOST_MAYBE = 1_000_000  # micro-dollars that its probes may have been charged


class Outage(NamedTuple):
    """A gateway that is down.

    Attributes:
        began: when it was taken to be.
        wait: seconds between the last two probes.
        probe_at: when the next may go.
        probing: whether one is out.
        probes: calls that were made to see whether it is back; a free question is none of them.
        maybe: micro-dollars that these may have been charged.
        silent: whether the last free question brought no sign of life; False where none was asked.
    """

    began: float
    wait: float
    probe_at: float
    probing: bool = False
    probes: int = 0
    maybe: int = 0
    silent: bool = False

    @classmethod
    def beginning(cls, now: float) -> Outage:
        """Begin now."""
        return cls(now, FIRST_WAIT, now + FIRST_WAIT)

    @property
    def exhausted(self) -> bool:
        """Whether no further call may be made that is paid if it succeeds, or may be even if it does not."""
        return self.probes >= MOST_PROBES or self.maybe >= MOST_MAYBE

    def after_probe(self, now: float, uniform: Uniform, *, dead: bool) -> Outage:
        """Return what is known once a probe is over; the next goes later when it showed that the gateway is down."""
        wait = min(LONGEST_WAIT, 2 * self.wait) if dead else self.wait
        return self._replace(probing=False, wait=wait, probe_at=now + wait * uniform(1 - _SPREAD, 1 + _SPREAD))


class Breaker(NamedTuple):
    """What is known of a gateway; each thing that happens makes another one of it.

    Attributes:
        streak: first failures of tasks since the last success.
        outage: None while calls are made.
    """

    streak: Streak = Streak()
    outage: Outage | None = None

    def after_failure(
        self, task: int, sent: float, now: float, flights: Iterable[float], *, first: bool = True
    ) -> Breaker:
        """Return what is known once a call was answered with a server error, was lost, or never left.

        Args:
            task: whose call it was.
            sent: when it was sent.
            now: the present.
            flights: when each call that is still in flight was sent.
            first: whether its task had not failed before; only such failures speak against the gateway.
        """
        known = self._replace(streak=self.streak.after(task, sent, now)) if first else self
        lasts = now >= known.streak.began + _LASTING * known.streak.quickest
        return known._replace(outage=Outage.beginning(now)) if lasts and known.is_doubtful(flights, now) else known

    def after_success(self, sent: float) -> Breaker:
        """Return what is known once a call was answered as it should be, whoever's it was."""
        if self.outage is not None:
            return Breaker() if sent > self.outage.began else self
        return Breaker() if sent >= self.streak.began else self

    def is_doubtful(self, flights: Iterable[float], now: float) -> bool:
        """Tell whether the gateway will be taken to be down, unless a success comes soon."""
        failed = len(self.streak.tasks)
        if self.outage is not None or failed < ENOUGH:
            return False
        return failed >= ENOUGH + PER_LIFE * self.streak.signs_of_life(flights, now)
