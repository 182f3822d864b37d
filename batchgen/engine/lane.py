"""Everything in flight that shares one quota: who gets a place, who may send now, and who waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from batchgen.domain.clock import Clock, sleep_or
from batchgen.domain.learned import Whose
from batchgen.domain.wire import Answer
from batchgen.policy.backoff import Uniform
from batchgen.policy.lanes.known_pace import KnownPace
from batchgen.policy.lanes.rule import LaneRule
from batchgen.policy.lanes.standstill import Standstill
from batchgen.policy.lanes.taken import SentCall

# Seconds before a call may be sent at which it is made ready: reserved in the books, its body built.
_READY = 0.05
_MOST_READY = 64  # calls that are ready and not sent: a crash books each as maybe charged


@dataclass(slots=True, eq=False)
class Ticket:
    """One place in the lane, from before the reservation to the end of the call.

    Attributes:
        lane: whose place it is.
        sent: the call, as the rule of the lane knows it, once it has left; None before, and where another run sent it.
        flying: whether it counts as in flight at the gateway.
    """

    lane: Lane
    sent: SentCall | None = None
    flying: bool = False

    def __enter__(self) -> None:
        """Hold the place until the block ends."""

    def __exit__(self, *_: object) -> None:
        self.lane.release(self)


class ConcurrencyCap:
    """All calls in flight of a run, over every lane.

    Args:
        most: at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.lanes: list[Lane] = []

    @property
    def in_flight(self) -> int:
        """Calls over every lane."""
        return sum(lane.in_flight for lane in self.lanes)

    @property
    def full(self) -> bool:
        """Whether there is no place for one more."""
        return self.in_flight >= self.most

    def freed(self) -> None:
        """Have whoever waits in any lane look again, because a place is free."""
        for lane in self.lanes:
            lane.wake()


@dataclass(slots=True)
class JobRate:
    """The known rate of a route, which its lanes keep to together.

    Attributes:
        known: None for none.
        lanes: how many they are.
    """

    known: KnownPace | None
    lanes: int = 0


class Lane:
    """The places of one (provider, key, model family): who gets one, and who waits for it.

    When a call may be sent is a matter of `rule`, which learns from what becomes of each; here it is waited. A call is
    admitted a moment before, is reserved, and then waits for its turn at the wire, in order.

    Attributes:
        rule: what the calls so far have taught of the gateway.
        standstill: how long nothing has got through.
        in_flight: places that are taken.
        stopped: why no call can succeed now; None while one may.
    """

    def __init__(
        self,
        name: str,
        rule: LaneRule,
        *,
        clock: Clock,
        uniform: Uniform,
        cap: ConcurrencyCap | None = None,
        rate: JobRate | None = None,
        left: Callable[[], int] = lambda: 0,
        whose: Whose | None = None,
    ) -> None:
        """Open a lane.

        Args:
            name: as it is said to people.
            rule: what is known of the gateway to begin with.
            clock: for all waiting.
            uniform: draws what is left to chance.
            cap: over all lanes of the run; None for this one alone.
            rate: the known rate that it shares with other lanes; None where it has that of `rule` for itself.
            left: says how many calls are still to be made.
            whose: quota its calls share, under which the next run finds what was learned; None to forget it.
        """
        self.name = name
        self.whose = whose
        self.rule = rule
        self.standstill = Standstill()
        self.in_flight = 0
        self.stopped: str | None = None
        self.cap = cap or ConcurrencyCap(rule.ceiling)
        self.cap.lanes.append(self)
        self._rate = rate or JobRate(rule.known)
        self._rate.lanes += 1
        self._clock = clock
        self._uniform = uniform
        self._left = left
        self._flying = 0
        self._turn = asyncio.Lock()
        self._waiting: dict[asyncio.Event, None] = {}  # in the order in which they came
        self._draining = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether any call may still go."""
        return self.stopped is None and not self._draining.is_set()

    @property
    def limit(self) -> int:
        """How many calls may be in flight, as far as is known."""
        return self.rule.calls(self._left())

    @property
    def ready(self) -> bool:
        """Whether a call would be let in at once."""
        return self._wait_for_place(self._clock.monotonic()) <= 0

    async def admit(self) -> Ticket | None:
        """Wait for a place from which a call may soon be sent; None once the lane is told to stop."""
        await self.until_ready()
        if not self.open:
            return None
        self.in_flight += 1
        return Ticket(self)

    async def until_ready(self) -> None:
        """Wait until a call would be let in, or the lane is told to stop."""
        while self.open:
            wait = self._wait_for_place(self._clock.monotonic())
            if wait <= 0:
                return
            await self._change(wait)

    def occupy(self) -> Ticket:
        """Take a place at once, for a call that the gateway works on already."""
        self.in_flight += 1
        self._flying += 1
        self.rule = self.rule._replace(careful=False)  # it works on one, so it is there
        return Ticket(self, flying=True)

    async def wait_turn(self, ticket: Ticket) -> bool:
        """Wait until this call may be sent, the last thing before it is; False when it is not to be sent."""
        async with self._turn:
            while self.open:
                now = self._clock.monotonic()
                wait = self._opening(now, 0) - now
                if wait <= 0:
                    rule, ticket.sent = self._known_rule().after_sent(now, self._flying)
                    self._learn(rule)
                    ticket.flying = True
                    self._flying += 1
                    return True
                await self._change(wait)
        return False

    def release(self, ticket: Ticket) -> None:
        """Give a place back."""
        self.in_flight -= 1
        if ticket.flying:
            self._flying -= 1
        self.cap.freed()

    def drain(self) -> None:
        """Let no call go that has not gone yet; those in flight are awaited."""
        self._draining.set()
        self.wake()

    def answered(self, ticket: Ticket, *, success: bool = True) -> None:
        """Learn that the gateway answered a call that it had taken in: as it should, or with an error of its own."""
        if success:
            self.standstill = self.standstill.over()
        if ticket.sent is not None:
            self._learn(self._known_rule().after_answer(ticket.sent, self._clock.monotonic()))
        self.wake()

    def told(self, answer: Answer) -> None:
        """Learn what the headers of an answer say of how many calls are taken."""
        if answer.spent_for is not None or answer.told_rate is not None:
            rate = None if answer.told_rate is None else answer.told_rate * self._rate.lanes
            self._learn(self._known_rule().after_headers(self._clock.monotonic(), answer.spent_for, rate))

    def refused(self, ticket: Ticket, wait: float | None) -> float:
        """Learn that there were too many calls for the gateway; give the seconds until another may go, or this one.

        Args:
            ticket: that of the call.
            wait: seconds that the gateway asks for; None when it does not say.
        """
        now, sent = self._clock.monotonic(), ticket.sent
        self.standstill = self.standstill.after_refusal(sent.at if sent else now, now, wait or 0.0)
        if sent is not None:
            self._learn(self._known_rule().after_refusal(sent, now, wait))
        self._give_up_if_hopeless()
        self.wake()
        opening = self._opening(now, 0)
        return max(wait or 0.0, opening - now if opening < float("inf") else 0.0)

    def failed(self, ticket: Ticket, wait: float | None, *, left: bool) -> float:
        """Have all calls wait, because one failed for a reason that will pass; give the seconds.

        Args:
            ticket: that of the call.
            wait: seconds that the gateway asks for; None when it does not say.
            left: whether the call has left. One that has not teaches nothing of the gateway.
        """
        now, sent = self._clock.monotonic(), ticket.sent
        self.standstill = self.standstill.after_failure(sent.at if sent else now, now, wait, self._uniform)
        if sent is not None:
            rule = self._known_rule()
            self._learn(rule.after_answer(sent, now) if left else rule.after_unsent(sent))
        self._give_up_if_hopeless()
        self.wake()
        return self.standstill.pause

    def unsent(self, ticket: Ticket) -> None:
        """Learn that a call never left, for a reason that is waited for elsewhere: it teaches nothing."""
        if ticket.sent is not None:
            self._learn(self._known_rule().after_unsent(ticket.sent))
        self.wake()

    def begin_anew(self) -> None:
        """Go on carefully with a gateway that was down."""
        self.standstill = Standstill()
        self._learn(self._known_rule().settled(self._clock.monotonic()).after_outage())

    def stop(self, why: str) -> None:
        """Let no more calls through this lane."""
        if self.stopped is None:
            self.stopped = why
            self.drain()

    def wake(self) -> None:
        """Have whoever waits here look again."""
        for each in self._waiting:
            each.set()

    def _wait_for_place(self, now: float) -> float:
        """Return the seconds until a call may be made ready; infinity before something has changed."""
        ready = self.in_flight - self._flying
        if ready >= _MOST_READY or self.cap.full:
            return float("inf")
        return self._opening(now, ready) - _READY - now

    def _opening(self, now: float, ahead: int) -> float:
        """Return when a call may be sent that so many others go before."""
        self._learn(self._known_rule().settled(now))
        return max(self.standstill.until, self.rule.opening(now, self._flying, self._left(), ahead))

    def _known_rule(self) -> LaneRule:
        """Return the rule with what other lanes have made of the rate that is known."""
        return self.rule if self._rate.known is None else self.rule._replace(known=self._rate.known)

    def _learn(self, rule: LaneRule) -> None:
        self.rule, self._rate.known = rule, rule.known

    def _give_up_if_hopeless(self) -> None:
        if self.standstill.hopeless is not None:
            self.stop(f"{self.name} {self.standstill.hopeless}")

    async def _change(self, seconds: float) -> None:
        """Wait until something has changed, or so long."""
        changed = asyncio.Event()
        self._waiting[changed] = None
        try:
            if seconds == float("inf"):
                await changed.wait()
                return
            due = self._clock.monotonic() + seconds
            await sleep_or(self._clock, seconds, changed)
            if not changed.is_set():
                self.rule = self.rule.after_lag(self._clock.monotonic() - due)
        finally:
            self._waiting.pop(changed, None)
