"""Whose turn it is: the tasks that wait for each route of a run, and who inherits those of a route that is stopped."""

from __future__ import annotations

from collections.abc import Iterable

from batchgen.domain.clock import sleep_or
from batchgen.domain.model import Claim
from batchgen.engine.job_run import JobRun
from batchgen.engine.routes import RouteRun, can_take
from batchgen.policy.decide import LONGEST_DELAY

_MOST_ASIDE = 2_000  # tasks of a gateway that is down, of which one is chosen to see whether it is back
_MOST_AT_ONCE = 5_000  # tasks, where those that nothing serves must be passed over again and again


class Queues:
    """The waiting tasks of one job, route by route. The books have them all; only a few at a time are held here."""

    def __init__(self, run: JobRun) -> None:
        self.unserved: set[int] = set()  # tasks that no route which is left can serve
        self._job = run.job
        self._only = run.selection.only
        self._ledger = run.ledger
        self._routes = run.routes
        self._clock = run.clock

    async def adopt(self) -> None:
        """Give the job's own route what was sent on to routes that the manifest names no more."""
        known = {route.name for route in self._routes}
        self._routes.first.serves |= await self._ledger.diverted(self._job) - known

    async def refill(self, route: RouteRun, now: float, flying: Iterable[Claim]) -> bool:
        """Take the few tasks that are begun soon, so that retries wait behind no long buffer; tell if there are any."""
        held = {claim.task for claim in flying} | self.unserved
        held |= {claim.task for each in self._routes for claim in each.buffer}
        held |= {task for each in self._routes for task in each.aside}
        held |= {each.admitting.task for each in self._routes if each.admitting is not None}
        if len(route.aside) >= _MOST_ASIDE:
            return bool(route.buffer)
        few, mine = max(2 * route.keys.limit, min(len(self.unserved) // 4, _MOST_AT_ONCE)), self._mine(route)
        claims = await self._ledger.claim(self._job, few, now, held, self._only, mine)
        if not claims:
            due = await self.due(route, now)
            if due is not None and due - now > 2 * LONGEST_DELAY:  # nobody waits so long: the wall clock went back
                claims = await self._ledger.claim(self._job, few, due, held, self._only, mine)
        route.buffer.extend(claims)
        return bool(route.buffer)

    async def due(self, route: RouteRun, now: float) -> float | None:
        """Return when a route's next retry is due, in seconds since the epoch; None where there is none."""
        return await self._ledger.next_due(self._job, now, self._only, self._mine(route))

    async def rest(self, route: RouteRun, now: float) -> float | None:
        """Return the seconds until a route has work again by itself; None when only what lands can bring it."""
        due = await self.due(route, now)
        route.dry = due is None and not route.aside
        return None if due is None else due - now

    @property
    def admitting(self) -> int:
        """How many tasks wait for their lane to admit them."""
        return sum(route.admitting is not None for route in self._routes)

    @property
    def empty(self) -> bool:
        """Whether nothing waits for any route."""
        return all(route.dry or route.ended for route in self._routes)

    def awaits_probe(self, route: RouteRun) -> bool:
        """Tell whether it is time to see whether a gateway is back, and there is a task to see it by."""
        return any(route.health.awaits(claim) for claim in route.aside.values())

    def take(self, route: RouteRun) -> Claim | None:
        """Take the next task held for a route; one that it cannot serve is passed on, and None comes instead.

        None comes too for one whose gateway is down: it is put aside. Where it is time to see whether that is back, one
        of those is taken first.
        """
        if (probe := route.health.choose(route.aside.values())) is not None:
            return route.aside.pop(probe.task)
        if not route.buffer:
            return None
        claim = route.buffer.popleft()
        if route.health.holds(claim):
            route.aside[claim.task] = claim
            route.changed.set()  # there may be others
            return None
        own = route is self._routes.first or route.name == claim.send_route
        if own or can_take(route.contract, claim):
            return claim
        route.changed.set()  # there may be others
        name = self._routes.next_routes(route, claim).fallback
        later = next((each for each in self._routes if each.name == name and each.live), None)
        if later is None:
            self.unserved.add(claim.task)
        else:
            later.buffer.append(claim)
            later.changed.set()
        return None

    def put_back(self, claim: Claim) -> None:
        """Let a task that was not begun wait where its route's tasks wait."""
        homes = (route for route in self._routes if route.live and claim.send_route in route.serves)
        next(homes, self._routes.first).buffer.appendleft(claim)

    def inherit(self, route: RouteRun) -> RouteRun | None:
        """Give everything of a stopped route to the next one; None when there is none."""
        heir = self._routes.successor(route)
        if heir is not None:
            heir.serves |= route.serves
            heir.buffer.extend(route.buffer)
            route.buffer.clear()
            self._routes.wake()
        return heir

    async def change(self, route: RouteRun, seconds: float | None) -> None:
        """Wait until something has happened since a route began to look, or so long."""
        if seconds is None:
            await route.changed.wait()
        else:
            await sleep_or(self._clock, seconds, route.changed)

    def _mine(self, route: RouteRun) -> frozenset[str] | None:
        """Return the routes whose tasks are a route's; None for all, where there is only one."""
        return None if len(self._routes) == 1 else frozenset(route.serves)
