"""Whether the gateway of a route is there for one class of sizes, and what an outage leaves to its tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from batchgen.domain.clock import Clock
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Claim, Cost, GivenBack, Outcome, OutcomeKind
from batchgen.policy.backoff import Uniform
from batchgen.policy.breaker import Breaker, Outage
from batchgen.policy.classify import LOST_KINDS

_CLOSED = Breaker()
_LARGEST = "4K"


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


@dataclass(slots=True, eq=False)
class TierHealth:
    """What is known of one class of sizes, or of all where they are watched as one.

    Attributes:
        downgrades: whether 4K that fails is asked for at a smaller size.
        failing: the tiers of the sizes that failed since the last success.
        answered: attempts since then that were answered with errors and counted, by their tasks.
        lost: answers lost since then.
        probe: the task whose call is out to see whether the gateway is back; None for none.
        counted: whether that counts as an attempt all the same.
        why: what the last failure said.
    """

    clock: Clock
    uniform: Uniform
    downgrades: bool = False
    breaker: Breaker = _CLOSED
    failing: set[str] = field(default_factory=set)
    answered: dict[int, GivenBack] = field(default_factory=dict)
    lost: int = 0
    probe: int | None = None
    counted: bool = False
    why: str = ""

    @property
    def outage(self) -> Outage | None:
        """What is known of the gateway while it is down; None while calls are made."""
        return self.breaker.outage

    @property
    def lasted(self) -> float:
        """For how many seconds the gateway has been down; 0 where it is not."""
        return 0.0 if self.outage is None else self.clock.monotonic() - self.outage.began

    @property
    def due(self) -> bool:
        """Whether it is time to see whether the gateway is back."""
        outage = self.outage
        return outage is not None and not outage.probing and outage.probe_at <= self.clock.monotonic()

    # --- calls come back ---

    def failed(
        self, flight: Flight, claim: Claim, outcome: Outcome, cost: Cost, beside: Iterable[float], alone: set[str]
    ) -> Lesson:
        """Learn of a failure.

        Args:
            flight: that of the call.
            claim: its task.
            outcome: what it came to.
            cost: what it may have cost.
            beside: when each call of these sizes that is still in flight was sent.
            alone: tiers that fail although the gateway is there.
        """
        self.why, before = outcome.detail, self.outage
        if before is not None:
            return self._failed_during(before, flight, claim, outcome, cost)
        if flight.tier not in alone:
            self.failing.add(flight.tier)
            first, now = _is_first(claim, outcome, alone), self.clock.monotonic()
            self.breaker = self.breaker.after_failure(flight.task, flight.sent, now, beside, first=first)
        if self.outage is None:
            self._note(flight, claim, outcome)
            return NO_LESSON
        lost, back = self.lost + (outcome.kind in LOST_KINDS), tuple(self.answered.values())
        self.answered.clear()
        opened = OpenedOutage(len(self.breaker.streak.tasks), lost, outcome.detail)
        return Lesson(spared=_is_spared(outcome), back=back, opened=opened)

    def succeeded(self, flight: Flight) -> float | None:
        """Learn of an answer as it should be; give the seconds of the outage that is over with it."""
        lasted, was_down = self.lasted, self.outage is not None
        if self.failing and flight.tier not in self.failing and flight.sent >= self.breaker.streak.began:
            self.breaker = _CLOSED
        else:
            self.breaker = self.breaker.after_success(flight.sent)
        if self.breaker == _CLOSED:
            self.failing.clear()
            self.answered.clear()
            self.lost = 0
        return lasted if was_down and self.outage is None else None

    def let_4k_fail(self) -> None:
        """Take the failures of 4K for their tasks' own again."""
        self.breaker = _CLOSED

    def _failed_during(self, outage: Outage, flight: Flight, claim: Claim, outcome: Outcome, cost: Cost) -> Lesson:
        self.failing.add(flight.tier)
        before = self.answered.pop(claim.task, None)
        if flight.probe:
            maybe = cost.upper or cost.micros or 0 if outcome.charge is Charge.UNKNOWN else 0
            after = outage.after_probe(self.clock.monotonic(), self.uniform, dead=True)
            self._go_on(after._replace(maybe=after.maybe + maybe))
        downgraded = flight.probe and self.downgrades and self.failing == {_LARGEST} and outage.probes == 1
        if downgraded:
            self._note(flight, claim, outcome)
        if not _is_spared(outcome) or downgraded or (flight.probe and self.counted):
            return Lesson(during=True)
        return Lesson(spared=True, during=True, back=() if before is None else (before,))

    def _note(self, flight: Flight, claim: Claim, outcome: Outcome) -> None:
        """Note a failure that counts, until it is known that it should not."""
        self.lost += outcome.kind in LOST_KINDS
        if outcome.kind is OutcomeKind.SERVER_ERROR and not outcome.inside:
            first = GivenBack(claim.task, (), claim.send_size, claim.send_route)
            before = self.answered.get(claim.task, first)
            self.answered[claim.task] = replace(before, attempts=(*before.attempts, flight.attempt))

    # --- probes ---

    def doubt(self, claim: Claim) -> tuple[bool, bool, int, int]:
        """Say how little a failure of a task would tell of its gateway."""
        return claim.send_size.tier in self.failing, claim.calls > 0, claim.attempts, claim.calls

    def choose(self, claim: Claim) -> None:
        """Have a task called to see whether the gateway is back."""
        self.probe = claim.task
        self.counted = claim.calls > 0 and claim.send_size.tier in self.failing
        if self.outage is not None:
            self._go_on(self.outage._replace(probing=True))

    def sent(self, claim: Claim) -> bool:
        """Tell whether a call that leaves now is a probe, and count it."""
        probe = self.probe == claim.task
        if probe and self.outage is not None:
            self._go_on(self.outage._replace(probes=self.outage.probes + 1))
        return probe

    def heard(self, *, alive: bool) -> bool:
        """Learn what a free question brought; tell whether the call itself may be made now."""
        outage = self.outage
        if outage is None:
            return True
        may = alive and (not outage.exhausted or outage.silent)
        after = outage if may else outage.after_probe(self.clock.monotonic(), self.uniform, dead=True)
        self._go_on(after._replace(silent=not alive))
        return may

    def end_probe(self, claim: Claim) -> None:
        """Let another probe go, whatever came of this one."""
        if self.probe == claim.task:
            self.probe = None
            if self.outage is not None and self.outage.probing:
                self._go_on(self.outage.after_probe(self.clock.monotonic(), self.uniform, dead=False))

    def _go_on(self, outage: Outage) -> None:
        self.breaker = self.breaker._replace(outage=outage)


def _is_spared(outcome: Outcome) -> bool:
    """Tell whether a failure is none of its task's attempts while the gateway is down.

    A lost answer is one, and so is an error inside a success: either may have been charged.
    """
    return outcome.kind in {OutcomeKind.SERVER_ERROR, OutcomeKind.NOT_SENT} and not outcome.inside


def _is_first(claim: Claim, outcome: Outcome, alone: set[str]) -> bool:
    """Tell whether a task had not failed before; what never left is no attempt, nor is what fails on its own."""
    made = claim.attempts - (claim.size.tier in alone and claim.send_size != claim.size)
    return made <= 0 or outcome.kind is OutcomeKind.NOT_SENT
