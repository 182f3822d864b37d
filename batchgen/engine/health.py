"""What the calls over one route tell of its gateway: whether it brings images, and whether it is there at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from batchgen.domain.clock import Clock
from batchgen.domain.job import FourK
from batchgen.domain.model import Claim, Cost, Outcome, OutcomeKind
from batchgen.engine.tier_health import NO_LESSON, Flight, Lesson, TierHealth
from batchgen.policy.alike import Alike
from batchgen.policy.backoff import Uniform
from batchgen.policy.breaker import Outage
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.decide import FOR_LATER, STOPS

# What speaks against a gateway: its own errors, answers that were lost, and calls that could not even leave.
_FAILURES = LOST_KINDS | {OutcomeKind.SERVER_ERROR, OutcomeKind.NOT_SENT}
# What says nothing of whether it draws: it was said before anything was drawn.
_NEUTRAL = (FOR_LATER | STOPS | {OutcomeKind.REJECTED}) - _FAILURES


class RouteHealth:
    """The calls of a route in flight, and what those that came back tell of those that are still to be made.

    Each class of sizes is watched by itself, because 4K fails on its own; but where the job says what to do about that
    all are watched as one, and 4K speaks against the gateway only until a smaller size shows that it is there. Where
    nobody asks for one, the first probe that fails at 4K is followed by one that is downgraded, as the job says.
    """

    def __init__(self, clock: Clock, uniform: Uniform, four_k: FourK = FourK.RETRY) -> None:
        self._clock = clock
        self._uniform = uniform
        self._four_k = four_k
        self._flights: dict[int, Flight] = {}
        self._alike = Alike()
        self._tiers: dict[str, TierHealth] = {}
        self._alone: set[str] = set()  # tiers that fail although the gateway is there
        self._succeeding: dict[str, float] = {}  # when the last call of a tier was sent that was answered as it should

    # --- calls leave and come back ---

    def sent(self, claim: Claim, attempt: int) -> None:
        """Know a call that leaves now."""
        probe, now = self._tier(claim).sent(claim), self._clock.monotonic()
        self._flights[attempt] = Flight(claim.task, attempt, claim.send_size.tier, now, probe)

    def landed(self, attempt: int) -> Flight | None:
        """Forget a call that came back, or will not; None where it is not known, as one of an earlier run."""
        return self._flights.pop(attempt, None)

    def learn(self, flight: Flight | None, claim: Claim, outcome: Outcome, cost: Cost, *, proven: bool) -> Lesson:
        """Learn what a call came to, and say what that tells.

        Args:
            flight: that of the call; None where this run did not make it, which tells nothing.
            claim: its task.
            outcome: what it came to.
            cost: what it may have cost.
            proven: whether the route has brought an image in this run.
        """
        if flight is None:
            return NO_LESSON
        now, sizes, tier = self._clock.monotonic(), self._sizes(claim), self._tier(claim)
        self._alike = self._alike.after(outcome, flight.task, flight.sent, now)
        alike = self._alike.hopeless((each.sent for each in self._flights.values()), now, proven=proven)
        if outcome.kind in _NEUTRAL:
            return Lesson(alike)
        if outcome.kind in _FAILURES:
            lesson = tier.failed(flight, claim, outcome, cost, self._in_flight(sizes), self._alone)
            return lesson._replace(alike=alike, sizes=sizes)
        return Lesson(alike, closed=self._succeeded(tier, flight), sizes=sizes)

    def _succeeded(self, tier: TierHealth, flight: Flight) -> float | None:
        """Learn of an answer as it should be; give the seconds of the outage that is over with it."""
        self._alone.discard(flight.tier)
        self._succeeding[flight.tier] = max(flight.sent, self._succeeding.get(flight.tier, 0.0))
        if flight.tier not in tier.failing and flight.sent >= tier.breaker.streak.began:
            self._alone |= tier.failing
        return tier.succeeded(flight)

    # --- what may be sent ---

    @property
    def is_doubtful(self) -> bool:
        """Whether the gateway will be taken to be down, unless a success comes soon."""
        now = self._clock.monotonic()
        return any(tier.breaker.is_doubtful(self._in_flight(sizes), now) for sizes, tier in self._tiers.items())

    def holds(self, claim: Claim) -> bool:
        """Tell whether a task waits because its gateway is down, and its call is no probe."""
        tier = self._tier(claim)
        return tier.outage is not None and tier.probe != claim.task

    def is_probe(self, claim: Claim) -> bool:
        """Tell whether a task was chosen to see whether the gateway is back."""
        return self._tier(claim).probe == claim.task

    def awaits(self, claim: Claim) -> bool:
        """Tell whether it is time for a task to show whether its gateway is back."""
        return self._tier(claim).due

    def choose(self, waiting: Iterable[Claim]) -> Claim | None:
        """Choose who is called to see whether the gateway is back, where it is time; None for nobody.

        One of a size that has not failed bears witness best, then one that was never called. Where there is neither,
        its call counts as an attempt all the same: what always fails would wait for ever.
        """
        if not any(tier.due for tier in self._tiers.values()):
            return None
        able = (claim for claim in waiting if self.awaits(claim))
        chosen = min(able, key=lambda claim: self._tier(claim).doubt(claim), default=None)
        if chosen is not None:
            self._tier(chosen).choose(chosen)
        return chosen

    def heard(self, claim: Claim, *, alive: bool) -> bool:
        """Learn what a free question brought; tell whether the call itself may be made now."""
        return self._tier(claim).heard(alive=alive)

    def end_probe(self, claim: Claim) -> None:
        """Let another probe go, whatever came of this one."""
        self._tier(claim).end_probe(claim)

    # --- how long it is waited for ---

    @property
    def outages(self) -> Iterator[tuple[Outage, str, str]]:
        """What is down now, what its last failure said, and for which sizes, "" for all."""
        each = self._tiers.items()
        return ((tier.outage, tier.why, sizes) for sizes, tier in each if tier.outage is not None)

    def down_for(self, claim: Claim) -> tuple[str, float]:
        """Say for which sizes the gateway of a task is down, "" for all, and since how many seconds."""
        return self._sizes(claim), self._tier(claim).lasted

    def let_4k_fail(self, after: float, *, shown: bool) -> tuple[str, float] | None:
        """Take 4K for what fails on its own, where nothing else has failed; its failures are its tasks' own again.

        Args:
            after: seconds that it is waited for first.
            shown: whether another size must have shown meanwhile that the gateway is there.

        Returns:
            the sizes that were down, "" for all, and for how many seconds; None where none were.
        """
        for sizes, tier in self._tiers.items():
            if tier.outage is None or tier.failing != {"4K"} or tier.lasted < after:
                continue
            others = (sent for of, sent in self._succeeding.items() if of != "4K")
            if not shown or any(sent >= tier.breaker.streak.began for sent in others):
                lasted = tier.lasted
                tier.let_4k_fail()
                self._alone.add("4K")
                return sizes, lasted
        return None

    def _sizes(self, claim: Claim) -> str:
        """Return the class of sizes by which a task is watched, "" for all."""
        return claim.send_size.tier if self._four_k is FourK.RETRY else ""

    def _tier(self, claim: Claim) -> TierHealth:
        sizes = self._sizes(claim)
        if sizes not in self._tiers:
            self._tiers[sizes] = TierHealth(self._clock, self._uniform, self._four_k is FourK.DOWNGRADE)
        return self._tiers[sizes]

    def _in_flight(self, sizes: str) -> Iterator[float]:
        return (each.sent for each in self._flights.values() if sizes in {"", each.tier})
