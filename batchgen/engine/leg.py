"""The routes of one run: which tasks go over which, and where they go on when one of them fails."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from batchgen.contracts.contract import Contract
from batchgen.contracts.serving import can_serve
from batchgen.domain.model import Claim
from batchgen.engine.attempt import Executor
from batchgen.engine.lane import Lane
from batchgen.policy.decide import NOWHERE, NextRoutes


@dataclass(slots=True)
class Leg:
    """One route of a run.

    Attributes:
        rescue: whether it only takes 4K sizes that another route could not deliver, and nothing else.
        routes: values of `Claim.send_route` whose tasks are its own at present.
        buffer: tasks taken from the books and not begun.
        admitting: the one that waits for its lane to admit it; in no buffer and not in flight.
        changed: set whenever something has happened that may give it work, or a place.
        dry: whether nothing waited for it when it last looked.
        ended: whether it takes no more tasks in this run.
    """

    contract: Contract
    executor: Executor
    lane: Lane
    rescue: bool = False
    routes: set[str] = field(default_factory=set)
    buffer: deque[Claim] = field(default_factory=deque)
    admitting: Claim | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    dry: bool = False
    ended: bool = False

    @property
    def live(self) -> bool:
        """Whether calls can be made over it."""
        return self.lane.stopped is None and not self.ended


class Legs:
    """The routes in the order in which they are tried; the first is the job's own."""

    def __init__(self, legs: Sequence[Leg]) -> None:
        self.all = tuple(legs)
        for number, leg in enumerate(legs):
            leg.routes |= {leg.contract.route} | ({""} if number == 0 else set())

    def onward(self, leg: Leg, claim: Claim) -> NextRoutes:
        """Where a task may go that this route cannot deliver: the next that take it, live ones first.

        One that is stopped is better than none: the task waits for it, and a later run goes on there.
        """
        later = [each for each in self.all[self.all.index(leg) + 1 :] if can_take(each.contract, claim)]
        if not later:
            return NOWHERE
        able = sorted(later, key=lambda each: not each.live)
        return NextRoutes(
            fallback=next((each.contract.route for each in able if not each.rescue), ""),
            rescue=next((each.contract.route for each in able if each.rescue), ""),
        )

    def successor(self, leg: Leg) -> Leg | None:
        """Who takes over everything of a route that is stopped; None when there is nobody."""
        later = self.all[self.all.index(leg) + 1 :]
        return next((each for each in later if each.live and not each.rescue), None)

    def executor(self, route: str) -> Executor | None:
        """What can finish an attempt that went over a route; None when that is none of these."""
        return next((leg.executor for leg in self.all if leg.contract.route == route), None)


def can_take(contract: Contract, claim: Claim) -> bool:
    """Whether a route takes what a task asks for now."""
    return can_serve(contract, claim.send_size, claim.parameters, claim.inputs)
