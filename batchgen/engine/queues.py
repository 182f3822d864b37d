"""Whose turn it is: the tasks that wait for each route of a run, and who inherits those of a route that is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from batchgen.domain.clock import Clock
from batchgen.domain.model import Claim
from batchgen.engine.leg import Leg, Legs, can_take
from batchgen.ledger.ledger import Ledger
from batchgen.policy.decide import LONGEST_DELAY

_MOST_AT_ONCE = 5_000  # tasks, where those that nothing serves must be passed over again and again


class Queues:
    """The waiting tasks of one job, route by route. The books have them all; only a few at a time are held here."""

    def __init__(self, job: int, only: frozenset[str] | None, ledger: Ledger, legs: Legs, clock: Clock) -> None:
        self.unserved: set[int] = set()  # tasks that no route which is left can serve
        self._job = job
        self._only = only
        self._ledger = ledger
        self._legs = legs
        self._clock = clock

    async def adopt(self) -> None:
        """Give the job's own route what was sent on to routes that the manifest names no more."""
        known = {leg.contract.route for leg in self._legs.all}
        self._legs.all[0].routes |= await self._ledger.diverted(self._job) - known

    async def refill(self, leg: Leg, now: float, flying: Iterable[Claim]) -> bool:
        """Take a few tasks: as many as are begun soon, so that retries do not wait behind a long buffer."""
        held = {claim.task for claim in flying} | self.unserved
        held |= {claim.task for each in self._legs.all for claim in each.buffer}
        held |= {each.admitting.task for each in self._legs.all if each.admitting is not None}
        few, mine = max(2 * leg.lane.limit, min(len(self.unserved) // 4, _MOST_AT_ONCE)), self._mine(leg)
        claims = await self._ledger.claim(self._job, few, now, held, self._only, mine)
        if not claims:
            due = await self.due(leg, now)
            if due is not None and due - now > 2 * LONGEST_DELAY:  # nobody waits so long: the wall clock went back
                claims = await self._ledger.claim(self._job, few, due, held, self._only, mine)
        leg.buffer.extend(claims)
        return bool(leg.buffer)

    async def due(self, leg: Leg, now: float) -> float | None:
        """When the next retry of a route's tasks is due, seconds since the epoch."""
        return await self._ledger.next_due(self._job, now, self._only, self._mine(leg))

    async def rest(self, leg: Leg, now: float) -> float | None:
        """Seconds until a route has something to do again by itself; None when only what lands can bring it."""
        due = await self.due(leg, now)
        leg.dry = due is None
        return None if due is None else due - now

    @property
    def admitting(self) -> int:
        """How many tasks wait for their lane to admit them."""
        return sum(leg.admitting is not None for leg in self._legs.all)

    @property
    def empty(self) -> bool:
        """Whether nothing waits for any route."""
        return all(leg.dry or leg.ended for leg in self._legs.all)

    def take(self, leg: Leg) -> Claim | None:
        """The next of the tasks held for a route; one that it cannot serve is passed on, and None comes instead."""
        claim = leg.buffer.popleft()
        own = leg is self._legs.all[0] or leg.contract.route == claim.send_route
        if own or can_take(leg.contract, claim):
            return claim
        leg.changed.set()  # there may be others
        route = self._legs.onward(leg, claim).fallback
        later = next((each for each in self._legs.all if each.contract.route == route and each.live), None)
        if later is None:
            self.unserved.add(claim.task)
        else:
            later.buffer.append(claim)
            later.changed.set()
        return None

    def put_back(self, claim: Claim) -> None:
        """A task that was not begun waits where its route's tasks wait."""
        home = next((leg for leg in self._legs.all if leg.live and claim.send_route in leg.routes), self._legs.all[0])
        home.buffer.appendleft(claim)

    def inherit(self, leg: Leg) -> Leg | None:
        """Give everything of a stopped route to the next one; None when there is none."""
        heir = self._legs.successor(leg)
        if heir is not None:
            heir.routes |= leg.routes
            heir.buffer.extend(leg.buffer)
            leg.buffer.clear()
            self.wake()
        return heir

    def wake(self) -> None:
        """Have every route look again for what it may begin."""
        for leg in self._legs.all:
            leg.changed.set()

    async def change(self, leg: Leg, seconds: float | None) -> None:
        """Wait until something has happened since a route began to look, or so long."""
        if seconds is None:
            await leg.changed.wait()
            return
        changing = asyncio.ensure_future(leg.changed.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep(max(0.0, seconds)))
        try:
            await asyncio.wait({changing, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changing.cancel()
            sleeping.cancel()

    def _mine(self, leg: Leg) -> frozenset[str] | None:
        """The routes whose tasks are a leg's; None for all, where there is only one."""
        return None if len(self._legs.all) == 1 else frozenset(leg.routes)
