"""What the calls over one route tell of its gateway: whether it brings images, and whether it is there at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from batchgen.domain.clock import Clock
from batchgen.domain.job import FourK
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Claim, Cost, GivenBack, Outcome, OutcomeKind
from batchgen.policy.alike import Alike
from batchgen.policy.backoff import Uniform
from batchgen.policy.breaker import Breaker, Outage
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.decide import FOR_LATER, STOPS

# What speaks against a gateway: its own errors, answers that were lost, and calls that could not even leave.
_FAILURES = LOST_KINDS | {OutcomeKind.SERVER_ERROR, OutcomeKind.NOT_SENT}
# What says nothing of whether it draws: it was said before anything was drawn.
_NEUTRAL = (FOR_LATER | STOPS | {OutcomeKind.REJECTED}) - _FAILURES


_CLOSED = Breaker()


class Flight(NamedTuple):
    """A call that was sent.

    Attributes:
        attempt: its number in the books.
        tier: of the size it asks for.
        sent: on the monotonic clock.
        probe: whether it was sent to see whether the gateway is back.
    """

    task: int
    attempt: int
    tier: str
    sent: float
    probe: bool = False


class Lesson(NamedTuple):
    """What a call that came back tells of others.

    Attributes:
        alike: whether so many answers said the same that no other one is to be expected.
        spared: whether its failure is none of its task's attempts, because the gateway is down.
        during: whether the gateway was down already.
        back: attempts that tasks are given back, because their gateway was down.
        opened: the outage that it shows to have begun; None for none.
        closed: seconds that the outage lasted which it shows to be over; None for none.
        sizes: the tier that an outage is about, "" for all sizes.
    """

    alike: bool = False
    spared: bool = False
    during: bool = False
    back: tuple[GivenBack, ...] = ()
    opened: OpenedOutage | None = None
    closed: float | None = None
    sizes: str = ""


NO_LESSON = Lesson()


class OpenedOutage(NamedTuple):
    """An outage that has just been found out.

    Attributes:
        tasks: how many failed one after the other.
        lost: how many answers were lost with it.
        why: what the last failure said.
    """

    tasks: int
    lost: int
    why: str


@dataclass(slots=True)
class _Tier:
    """What is known of one class of sizes.

    Attributes:
        failing: the tiers of the sizes that failed since the last success.
        answered: attempts since then that were answered with errors and counted, by their tasks.
        lost: answers lost since then.
        probe: the task whose call is out to see whether the gateway is back; None for none.
        counted: whether that counts as an attempt all the same.
        why: what the last failure said.
    """

    breaker: Breaker = _CLOSED
    failing: set[str] = field(default_factory=set)
    answered: dict[int, GivenBack] = field(default_factory=dict)
    lost: int = 0
    probe: int | None = None
    counted: bool = False
    why: str = ""

    def failed(self, claim: Claim, attempt: int, outcome: Outcome) -> None:
        """Note a failure of a call that was made while all seemed well."""
        self.lost += outcome.kind in LOST_KINDS
        if outcome.kind is OutcomeKind.SERVER_ERROR and not outcome.inside:
            first = GivenBack(claim.task, (), claim.send_size, claim.send_route)
            before = self.answered.get(claim.task, first)
            self.answered[claim.task] = replace(before, attempts=(*before.attempts, attempt))

    def cleared(self) -> None:
        """Forget what failed before a success."""
        self.failing.clear()
        self.answered.clear()
        self.lost = 0


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
        self._by_tier = four_k is FourK.RETRY
        self._flights: dict[int, Flight] = {}
        self._alike = Alike()
        self._tiers: dict[str, _Tier] = {}
        self._fail_alone: set[str] = set()  # tiers that fail although the gateway is there
        self._succeeding: dict[str, float] = {}  # when the last call of a tier was sent that was answered as it should

    # --- calls leave and come back ---

    def sent(self, claim: Claim, attempt: int) -> None:
        """Know a call that leaves now."""
        tier = self._tier(claim)
        probe = tier.probe == claim.task
        if probe and tier.breaker.outage is not None:
            outage = tier.breaker.outage
            tier.breaker = tier.breaker._replace(outage=outage._replace(probes=outage.probes + 1))
        self._flights[attempt] = Flight(claim.task, attempt, claim.send_size.tier, self._clock.monotonic(), probe)

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
        now = self._clock.monotonic()
        self._alike = self._alike.after(outcome, flight.task, flight.sent, now)
        alike = self._alike.hopeless((each.sent for each in self._flights.values()), now, proven=proven)
        if outcome.kind in _NEUTRAL:
            return Lesson(alike)
        sizes = self._key(claim)
        if outcome.kind in _FAILURES:
            return self._failed(flight, claim, outcome, cost)._replace(alike=alike, sizes=sizes)
        return Lesson(alike, closed=self._succeeded(flight, claim), sizes=sizes)

    def _failed(self, flight: Flight, claim: Claim, outcome: Outcome, cost: Cost) -> Lesson:
        tier = self._tier(claim)
        tier.why = outcome.detail
        if tier.breaker.outage is not None:
            return self._failed_during(tier, tier.breaker.outage, flight, claim, outcome, cost)
        if flight.tier not in self._fail_alone:
            tier.failing.add(flight.tier)
            first = _is_first(claim, outcome, alone=self._fail_alone)
            tier.breaker = tier.breaker.after_failure(
                flight.task, flight.sent, self._clock.monotonic(), self._beside(claim), first=first
            )
        if tier.breaker.outage is None:
            tier.failed(claim, flight.attempt, outcome)
            return Lesson()
        lost, back = tier.lost + (outcome.kind in LOST_KINDS), tuple(tier.answered.values())
        tier.answered.clear()
        opened = OpenedOutage(len(tier.breaker.streak.tasks), lost, outcome.detail)
        return Lesson(spared=_is_spared(outcome), back=back, opened=opened)

    def _failed_during(
        self, tier: _Tier, outage: Outage, flight: Flight, claim: Claim, outcome: Outcome, cost: Cost
    ) -> Lesson:
        tier.failing.add(flight.tier)
        before = tier.answered.pop(claim.task, None)
        if flight.probe:
            maybe = cost.upper or cost.micros or 0 if outcome.charge is Charge.UNKNOWN else 0
            outage = outage.after_probe(self._clock.monotonic(), self._uniform, dead=True)
            tier.breaker = tier.breaker._replace(outage=outage._replace(maybe=outage.maybe + maybe))
        witness = self._four_k is FourK.DOWNGRADE and tier.failing == {"4K"} and outage.probes == 1
        if not _is_spared(outcome) or (flight.probe and (tier.counted or witness)):
            if witness:
                tier.failed(claim, flight.attempt, outcome)
            return Lesson(during=True)
        return Lesson(spared=True, during=True, back=() if before is None else (before,))

    def _succeeded(self, flight: Flight, claim: Claim) -> float | None:
        """Learn of an answer as it should be; give the seconds of the outage that is over with it."""
        tier = self._tier(claim)
        before = tier.breaker
        self._fail_alone.discard(flight.tier)
        self._succeeding[flight.tier] = max(flight.sent, self._succeeding.get(flight.tier, 0.0))
        after = before.after_success(flight.sent)
        if flight.tier not in tier.failing and tier.failing and flight.sent >= before.streak.began:
            self._fail_alone |= tier.failing
            after = _CLOSED
        tier.breaker = after
        if after == _CLOSED:
            tier.cleared()
        if before.outage is None or after.outage is not None:
            return None
        return self._clock.monotonic() - before.outage.began

    # --- what may be sent ---

    @property
    def is_doubtful(self) -> bool:
        """Whether the gateway will be taken to be down, unless a success comes soon."""
        now = self._clock.monotonic()
        return any(tier.breaker.is_doubtful(self._sent_for(key), now) for key, tier in self._tiers.items())

    def holds(self, claim: Claim) -> bool:
        """Tell whether a task waits because its gateway is down, and its call is no probe."""
        tier = self._tier(claim)
        return tier.breaker.outage is not None and tier.probe != claim.task

    def is_probe(self, claim: Claim) -> bool:
        """Tell whether a task was chosen to see whether the gateway is back."""
        return self._tier(claim).probe == claim.task

    def choose(self, waiting: Iterable[Claim]) -> Claim | None:
        """Choose who is called to see whether the gateway is back, where it is time; None for nobody.

        One of a size that has not failed bears witness best, then one that was never called. Where there is neither,
        its call counts as an attempt all the same: what always fails would wait for ever.
        """
        due = [tier for tier in self._tiers.values() if self._is_due(tier)]
        if not due:
            return None
        able = (claim for claim in waiting if self._tier(claim) in due)
        chosen = min(able, key=self._doubt, default=None)
        if chosen is not None:
            tier = self._tier(chosen)
            tier.probe, tier.counted = chosen.task, chosen.calls > 0 and chosen.send_size.tier in tier.failing
            _mark_probing(tier)
        return chosen

    def _doubt(self, claim: Claim) -> tuple[bool, bool, int, int]:
        """Say how little a failure of a task would tell of its gateway."""
        return claim.send_size.tier in self._tier(claim).failing, claim.calls > 0, claim.attempts, claim.calls

    def heard(self, claim: Claim, *, alive: bool) -> bool:
        """Learn what a free question brought; tell whether the call itself may be made now."""
        tier = self._tier(claim)
        outage = tier.breaker.outage
        if outage is None:
            return True
        may = alive and (not outage.exhausted or outage.silent)
        after = outage if may else outage.after_probe(self._clock.monotonic(), self._uniform, dead=True)
        tier.breaker = tier.breaker._replace(outage=after._replace(silent=not alive))
        return may

    def end_probe(self, claim: Claim) -> None:
        """Let another probe go, whatever came of this one."""
        tier = self._tier(claim)
        if tier.probe != claim.task:
            return
        tier.probe = None
        outage = tier.breaker.outage
        if outage is not None and outage.probing:
            after = outage.after_probe(self._clock.monotonic(), self._uniform, dead=False)
            tier.breaker = tier.breaker._replace(outage=after)

    def awaits(self, claim: Claim) -> bool:
        """Tell whether it is time for a task to show whether its gateway is back."""
        return self._is_due(self._tier(claim))

    @property
    def outages(self) -> Iterator[tuple[Outage, str, str]]:
        """What is down now, what its last failure said, and for which sizes, "" for all."""
        each = self._tiers.items()
        return ((tier.breaker.outage, tier.why, key) for key, tier in each if tier.breaker.outage is not None)

    def down_for(self, claim: Claim) -> tuple[str, float]:
        """Say for which sizes the gateway of a task is down, "" for all, and since how many seconds."""
        outage = self._tier(claim).breaker.outage
        return self._key(claim), 0.0 if outage is None else self._clock.monotonic() - outage.began

    def let_4k_fail(self, after: float, *, shown: bool) -> float | None:
        """Take 4K for what fails on its own, where nothing else has failed; give the seconds that it was waited for.

        Its failures are its tasks' own again, and go where the job says.

        Args:
            after: seconds.
            shown: whether another size must have shown meanwhile that the gateway is there.
        """
        now = self._clock.monotonic()
        for each in self._tiers.values():
            outage, began = each.breaker.outage, each.breaker.streak.began
            if outage is None or each.failing != {"4K"} or now - outage.began < after:
                continue
            if not shown or any(sent >= began for tier, sent in self._succeeding.items() if tier != "4K"):
                each.breaker = _CLOSED
                self._fail_alone.add("4K")
                return now - outage.began
        return None

    def _is_due(self, tier: _Tier) -> bool:
        outage = tier.breaker.outage
        return outage is not None and not outage.probing and outage.probe_at <= self._clock.monotonic()

    def _key(self, claim: Claim) -> str:
        return claim.send_size.tier if self._by_tier else ""

    def _tier(self, claim: Claim) -> _Tier:
        return self._tiers.setdefault(self._key(claim), _Tier())

    def _beside(self, claim: Claim) -> Iterator[float]:
        return self._sent_for(self._key(claim))

    def _sent_for(self, key: str) -> Iterator[float]:
        return (each.sent for each in self._flights.values() if not self._by_tier or each.tier == key)


def _is_spared(outcome: Outcome) -> bool:
    """Tell whether a failure is none of its task's attempts while the gateway is down.

    A lost answer is one, and so is an error inside a success: either may have been charged.
    """
    return outcome.kind in {OutcomeKind.SERVER_ERROR, OutcomeKind.NOT_SENT} and not outcome.inside


def _is_first(claim: Claim, outcome: Outcome, alone: set[str]) -> bool:
    """Tell whether a task had not failed before; what never left is no attempt, nor is what fails on its own."""
    made = claim.attempts - (claim.size.tier in alone and claim.send_size != claim.size)
    return made <= 0 or outcome.kind is OutcomeKind.NOT_SENT


def _mark_probing(tier: _Tier) -> None:
    if tier.breaker.outage is not None:
        tier.breaker = tier.breaker._replace(outage=tier.breaker.outage._replace(probing=True))
