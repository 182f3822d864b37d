"""Lanes against gateways that hide their limits, in virtual time: how much of what is allowed the rule takes.

    python benchmarks/lanes.py [--seeds 4] [--nights 2] [NAME ...]

The rule is the product's own (`batchgen.policy.lanes`); gateway, wire and clock are simulated here. `taken` is the time
that a caller needs who knows every limit, over the time that the rule needed, so that more than 1 is chance; `refused`
is the number of 429s per task. The second night starts with what the first has learned.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from batchgen.domain.learned import Whose
from batchgen.policy.lanes.known_pace import KnownPace
from batchgen.policy.lanes.memory import learned, recalled
from batchgen.policy.lanes.rule import LaneRule
from batchgen.policy.lanes.taken import SentCall

NEVER = float("inf")
_ENGINE = 0.0003  # seconds of work between two calls


@dataclass(frozen=True)
class Limits:
    """What a gateway allows and does not tell; None and 0 for what it does not limit.

    Attributes:
        in_flight: calls at once.
        rate: calls per second, of a bucket that holds `burst`.
        window: so many calls in each so many seconds of the clock.
        chance: share of calls that is refused for no reason of ours.
    """

    in_flight: int | None = None
    rate: float = 0.0
    burst: int = 1
    window: tuple[int, float] | None = None
    chance: float = 0.0


@dataclass(frozen=True)
class Wire:
    """How far away a gateway is, in seconds.

    Attributes:
        way: there and back.
        refusal: between which it takes to refuse, beside the way.
        moment: within which the lane expects a refusal.
        jitter: by which a call may arrive later than another.
    """

    way: float
    refusal: tuple[float, float]
    moment: float
    jitter: float = 0.0


LOCAL = Wire(0.001, (0.0005, 0.002), 0.003)
UNEVEN = replace(LOCAL, jitter=0.005)
BUSY = replace(LOCAL, way=0.03, jitter=0.02)
REAL = Wire(0.15, (0.1, 0.6), 1.0)


@dataclass(frozen=True)
class Scenario:
    """A job, and the gateway that it meets.

    Attributes:
        ceiling: calls in flight that the job allows.
        seconds: that an answer takes on average; `sigma` of a lognormal distribution.
        then: what the limits become after so many seconds.
        retry_after: seconds that a refusal names; None for none.
        known: calls per second that the job is told of, and how many at once.
    """

    name: str
    tasks: int
    ceiling: int
    wire: Wire
    seconds: float
    limits: Limits = Limits()
    sigma: float = 0.4
    then: tuple[float, Limits] | None = None
    retry_after: float | None = None
    known: tuple[float, int] | None = None


class Result(NamedTuple):
    """What came of one run: seconds it took, and refusals."""

    seconds: float
    refused: int


class Caller(Protocol):
    """Whoever decides when the next call goes."""

    def opening(self, now: float, flying: int, left: int) -> float: ...
    def sent(self, now: float, flying: int) -> Any: ...
    def answered(self, call: Any, now: float) -> None: ...
    def refused(self, call: Any, now: float, wait: float | None) -> None: ...


class Learner:
    """Calls by the product's rule."""

    def __init__(self, rule: LaneRule) -> None:
        self.rule = rule

    def opening(self, now: float, flying: int, left: int) -> float:
        self.rule = self.rule.settled(now)
        return self.rule.opening(now, flying, left)

    def sent(self, now: float, flying: int) -> SentCall:
        self.rule, call = self.rule.after_sent(now, flying)
        return call

    def answered(self, call: SentCall, now: float) -> None:
        self.rule = self.rule.after_answer(call, now)

    def refused(self, call: SentCall, now: float, wait: float | None) -> None:
        self.rule = self.rule.after_refusal(call, now, wait)


class Gate:
    """The limits at work."""

    def __init__(self, limits: Limits, seed: int) -> None:
        self.limits = limits
        self.inside = 0
        self._dice = random.Random(seed)
        self._tokens = float(limits.burst)
        self._filled = 0.0
        self._window = (-1, 0)

    def opening(self, now: float) -> float:
        """When a call would be let in, as far as this is known now."""
        limits = self.limits
        if limits.in_flight is not None and self.inside >= limits.in_flight:
            return NEVER
        found = now
        if limits.window is not None:
            index = int(now // limits.window[1])
            if self._window[0] == index and self._window[1] >= limits.window[0]:
                found = (index + 1) * limits.window[1] + 1e-6
        if limits.rate and (lacking := 1 - 1e-9 - self._tokens_at(now)) > 0:
            found = max(found, now + lacking / limits.rate)
        return found

    def enter(self, now: float) -> bool:
        if self.opening(now) > now or (self.limits.chance and self._dice.random() < self.limits.chance):
            return False
        if self.limits.rate:
            self._tokens, self._filled = self._tokens_at(now) - 1, now
        if self.limits.window is not None:
            index = int(now // self.limits.window[1])
            self._window = (index, self._window[1] + 1 if self._window[0] == index else 1)
        self.inside += 1
        return True

    def _tokens_at(self, now: float) -> float:
        return min(float(self.limits.burst), self._tokens + (now - self._filled) * self.limits.rate)


class Oracle:
    """Calls as soon as it is allowed, and never before."""

    def __init__(self, scenario: Scenario) -> None:
        self._gate = Gate(replace(scenario.limits, chance=0.0), 0)
        self._then = scenario.then

    def opening(self, now: float, flying: int, left: int) -> float:
        if self._then is not None and now >= self._then[0]:
            self._gate.limits = self._then[1]
        return self._gate.opening(now)

    def sent(self, now: float, flying: int) -> None:
        self._gate.enter(now)

    def answered(self, call: None, now: float) -> None:
        self._gate.inside -= 1

    def refused(self, call: None, now: float, wait: float | None) -> None:
        self._gate.inside -= 1


@dataclass
class World:
    """The events of one run, in order of time."""

    scenario: Scenario
    caller: Caller
    seed: int
    now: float = 0.0
    left: int = 0
    flying: int = 0
    refused: int = 0
    answered: int = 0
    _events: list[tuple[float, int, str, Any]] = field(default_factory=list)
    _number: int = 0
    _wake: float | None = None
    _last: float = -1.0

    def __post_init__(self) -> None:
        self.left = self.scenario.tasks
        self._gate = Gate(self.scenario.limits, self.seed + 1000)
        self._dice = random.Random(self.seed)
        self._latencies = random.Random(self.seed + 2000)  # the same ones in order of arrival, whoever calls

    def run(self, horizon: float = NEVER) -> Result:
        """Make all calls, and return what that took."""
        self._send_what_may_go()
        while self._events and self.answered < self.scenario.tasks and self.now <= horizon:
            self.now, _, what, about = heapq.heappop(self._events)
            getattr(self, f"_{what}")(about)
            self._send_what_may_go()
        return Result(self.now if self.answered == self.scenario.tasks else NEVER, self.refused)

    def _at(self, when: float, what: str, about: Any = None) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, what, about))

    def _arrives(self, call: Any) -> None:
        scenario, wire = self.scenario, self.scenario.wire
        if scenario.then is not None and self.now >= scenario.then[0]:
            self._gate.limits = scenario.then[1]
        if self._gate.enter(self.now):
            median = math.log(scenario.seconds) - scenario.sigma**2 / 2
            self._at(self.now + self._latencies.lognormvariate(median, scenario.sigma), "leaves", call)
        else:
            self._at(self.now + wire.way / 2 + self._dice.uniform(*wire.refusal), "refuses", call)

    def _leaves(self, call: Any) -> None:
        self._gate.inside -= 1
        self._at(self.now + self.scenario.wire.way / 2, "answers", call)

    def _answers(self, call: Any) -> None:
        self.flying -= 1
        self.answered += 1
        self.caller.answered(call, self.now)

    def _refuses(self, call: Any) -> None:
        self.flying -= 1
        self.refused += 1
        self.caller.refused(call, self.now, self.scenario.retry_after)
        if self.scenario.retry_after is not None:  # the task that was refused waits for itself
            self._at(self.now + self.scenario.retry_after, "returns")
        else:
            self.left += 1

    def _returns(self, _: None) -> None:
        self.left += 1

    def _looks(self, when: float) -> None:
        if self._wake == when:
            self._wake = None

    def _send_what_may_go(self) -> None:
        wire = self.scenario.wire
        while self.left and self.flying < self.scenario.ceiling:
            opening = max(self.caller.opening(self.now, self.flying, self.left), self._last + _ENGINE)
            if opening > self.now + 1e-12:
                if opening < NEVER and (self._wake is None or opening < self._wake):
                    self._wake = opening
                    self._at(opening, "looks", opening)
                return
            call = self.caller.sent(self.now, self.flying)
            self.left, self.flying, self._last = self.left - 1, self.flying + 1, self.now
            self._at(self.now + wire.way / 2 + self._dice.uniform(0, wire.jitter), "arrives", call)


class Night(NamedTuple):
    """One run, compared."""

    taken: float
    refused: float
    rule: LaneRule


def nights(scenario: Scenario, seed: int, how_many: int = 1) -> Iterator[Night]:
    """Run a job so often, each time with what was learned before."""
    known = KnownPace(*scenario.known) if scenario.known is not None else None
    rule = LaneRule.start(scenario.ceiling, scenario.wire.moment, known)
    for night in range(how_many):
        ideal = World(scenario, Oracle(scenario), seed + 100 * night).run()
        learner = Learner(rule)
        result = World(scenario, learner, seed + 100 * night).run(40 * ideal.seconds + 1000)
        yield Night(ideal.seconds / result.seconds, result.refused / scenario.tasks, learner.rule)
        kept = learned(learner.rule, Whose("", "", ""), 0.0)
        rule = LaneRule.start(scenario.ceiling, scenario.wire.moment, known)
        rule = recalled(rule, kept) if kept is not None else rule


def _in_flight(number: int) -> Limits:
    return Limits(in_flight=number)


SCENARIOS = [
    Scenario("no limit, 1 s, 500 at once", 2000, 500, LOCAL, 1.0),
    Scenario("no limit, 60 s, 500 at once", 1000, 500, REAL, 60.0),
    Scenario("no limit, 100 s, 60 tasks", 60, 30, REAL, 100.0),
    Scenario("no limit, 120 s, 5000 tasks", 5000, 500, REAL, 120.0),
    Scenario("30 in flight, 1 s", 1000, 500, LOCAL, 1.0, _in_flight(30)),
    Scenario("30 in flight, 60 s", 1000, 500, REAL, 60.0, _in_flight(30)),
    Scenario("30 in flight, 120 s, 60 tasks", 60, 500, REAL, 120.0, _in_flight(30)),
    Scenario("200 in flight, 60 s", 5000, 500, REAL, 60.0, _in_flight(200)),
    Scenario("30, then 60 in flight", 3000, 500, REAL, 60.0, _in_flight(30), then=(1000, _in_flight(60))),
    Scenario("60, then 20 in flight", 3000, 500, REAL, 60.0, _in_flight(60), then=(1000, _in_flight(20))),
    Scenario("50/s burst 50, 0.2 s", 1000, 64, LOCAL, 0.2, Limits(rate=50, burst=50), 0.01),
    Scenario("50/s burst 1, 0.2 s", 1000, 64, LOCAL, 0.2, Limits(rate=50), 0.01),
    Scenario("50/s burst 1, 500 at once", 2000, 500, LOCAL, 0.2, Limits(rate=50), 0.01),
    Scenario("50/s burst 1, 5 ms jitter", 2000, 500, UNEVEN, 0.2, Limits(rate=50), 0.01),
    Scenario("50/s burst 1, 20 ms jitter", 2000, 500, BUSY, 0.2, Limits(rate=50), 0.01),
    Scenario("50/s burst 50, Retry-After 1", 1000, 500, LOCAL, 0.2, Limits(rate=50, burst=50), 0.01, retry_after=1),
    Scenario("50/s burst 1, Retry-After 1", 1000, 500, LOCAL, 0.2, Limits(rate=50), 0.01, retry_after=1),
    Scenario("50/s burst 50, 1 s, far", 5000, 500, REAL, 1.0, Limits(rate=50, burst=50)),
    Scenario("250/min burst 25, 60 s", 5000, 500, REAL, 60.0, Limits(rate=250 / 60, burst=25)),
    Scenario("20/min burst 1, 60 s", 1000, 500, REAL, 60.0, Limits(rate=20 / 60)),
    Scenario("50 each minute, 60 s", 1000, 500, REAL, 60.0, Limits(window=(50, 60))),
    Scenario("5 each minute, 30 s", 60, 30, REAL, 30.0, Limits(window=(5, 60))),
    Scenario("30 in flight and 20/min", 1000, 500, REAL, 120.0, Limits(30, 20 / 60, 20)),
    Scenario("50/s, then 25/s", 3000, 500, REAL, 1.0, Limits(rate=50, burst=50), then=(20, Limits(rate=25, burst=50))),
    Scenario("25/s, then 50/s", 3000, 500, REAL, 1.0, Limits(rate=25, burst=50), then=(20, Limits(rate=50, burst=50))),
    Scenario("2 % refused by chance", 1000, 64, REAL, 60.0, Limits(chance=0.02)),
    Scenario("10 % refused by chance", 1000, 64, REAL, 60.0, Limits(chance=0.1)),
    Scenario("10 % by chance, 1 s", 1000, 64, LOCAL, 1.0, Limits(chance=0.1)),
    Scenario("50/s known, burst 2", 1000, 500, LOCAL, 0.2, Limits(rate=50, burst=2), 0.01, known=(50, 1)),
    Scenario("50/s known, burst 1", 1000, 500, LOCAL, 0.2, Limits(rate=50), 0.01, known=(50, 1)),
    Scenario("50/s known, burst 50 known", 1000, 500, LOCAL, 0.2, Limits(rate=50, burst=50), 0.01, known=(50, 50)),
    Scenario("50/s known, 30 in flight", 1000, 500, REAL, 1.0, Limits(30, 50, 50), known=(50, 1)),
]


def main() -> None:
    """Print a line for each scenario."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of names of scenarios; none for all")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--nights", type=int, default=1)
    given = parser.parse_args()
    for scenario in SCENARIOS:
        if given.names and not any(name in scenario.name for name in given.names):
            continue
        runs = [list(nights(scenario, seed, given.nights)) for seed in range(1, given.seeds + 1)]
        columns = []
        for night in zip(*runs, strict=True):
            taken, refused = [each.taken for each in night], [each.refused for each in night]
            columns.append(f"{min(taken):6.3f} {statistics.mean(taken):6.3f} {statistics.mean(refused):7.3f}")
        print(f"{scenario.name:32s}", "   ".join(columns), flush=True)


if __name__ == "__main__":
    main()
