"""A job that is bought call by call: takes tasks, lets lanes admit them, and knows when to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass

from batchgen.domain.clock import month_of
from batchgen.domain.errors import BatchgenError, StoreError
from batchgen.domain.events import Notice
from batchgen.domain.job import FourK
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Claim
from batchgen.engine.attempt import Executor
from batchgen.engine.delivery import ClaimResult
from batchgen.engine.follower import TakenIn
from batchgen.engine.lane_memory import LaneMemory
from batchgen.engine.origins import origin_of
from batchgen.engine.queues import Queues
from batchgen.engine.route_keys import key_missing
from batchgen.engine.routes import RouteRun

# Seconds for the books to take in what is given up; what they cannot take, the next start recovers.
_ABORT_WITHIN = 1.5
_TAKEOVER = 300.0  # seconds for which a gateway is down before the next route takes over, which may be dearer


@dataclass(frozen=True, slots=True)
class _NothingNow:
    """A route has nothing to begin now.

    Attributes:
        seconds: until it looks again by itself; None when only what lands or is handed on can bring it something.
    """

    seconds: float | None = None


class Runner:
    """Works a run off with calls of its own, over one route or several.

    Draining means no new calls: those in flight are awaited. Aborting means now: calls in flight are given up and
    booked as unknown.
    """

    def __init__(self, executor: Executor) -> None:
        self.job_run = executor.run
        self._executor = executor
        self._routes = executor.run.routes
        self._memory = LaneMemory(executor.run)
        self._queues = Queues(executor.run)
        self._dispatchers: set[asyncio.Task[None]] = set()
        self._flights: dict[asyncio.Task[ClaimResult], tuple[Claim, int]] = {}  # and what had been freed at their start
        self._gone = asyncio.Event()
        self._error: BaseException | None = None
        self._walled_at: int | None = None  # what had been freed when a reservation was refused
        self._said_held = False

    @property
    def in_flight(self) -> int:
        """Tasks whose calls are lost if the run is aborted now."""
        return len(self._flights) - self._executor.follower.followed

    async def run(self, until: float | None = None) -> None:
        """Buy what is available, and wait for all that is in flight.

        Args:
            until: seconds since the epoch after which nothing new is begun; None for no limit.

        Raises:
            BatchgenError: the books or the disk failed in a way that nothing may go on.
        """
        await self._queues.adopt()
        await self._follow_what_goes_on()
        for route in self._routes:
            dispatcher = asyncio.create_task(self._dispatch(route))
            self._dispatchers.add(dispatcher)
            dispatcher.add_done_callback(self._dispatched)
        alarm = asyncio.create_task(self.job_run.drain_at(until)) if until is not None else None
        gone, memory = asyncio.create_task(self._gone.wait()), asyncio.create_task(self._memory.keep_on())
        try:
            while (busy := self._dispatchers or self._flights.keys()) and not self._gone.is_set():
                await asyncio.wait({*busy, gone}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(0)  # let the callbacks take them out
        finally:
            for task in (*self._dispatchers, gone, memory, *filter(None, [alarm])):
                task.cancel()
        self._explain_what_waits()
        if self._error is not None:
            raise self._error
        await self._memory.keep()

    async def abort(self) -> None:
        """Break off now. What is in flight is in the books before this returns, or taken up by the next run."""
        self.job_run.abort()
        if self._flights:
            await asyncio.wait(self._flights, timeout=_ABORT_WITHIN)
        self._gone.set()

    async def _dispatch(self, route: RouteRun) -> None:
        """Begin one route's tasks as its lanes admit them, until there are none or nothing new is to begin."""
        try:
            while (claim := await self._next(route)) is not None:
                route.admitting, turns = claim, route.turns
                try:
                    admission = await route.keys.admit()
                finally:
                    route.admitting = None
                if admission is None:
                    route.health.end_probe(claim)
                    route.buffer.appendleft(claim)
                    self._routes.wake()
                    continue
                if route.turns != turns or route.health.holds(claim):  # meanwhile; the books have it as it is now
                    admission.release()
                    route.health.end_probe(claim)
                    continue
                if (lost := self.job_run.too_many_lost()) is not None:
                    admission.release()
                    self.job_run.drain(lost)
                    return
                self._begin(claim, self._executor.execute(route, claim, admission))
        finally:
            route.ended = True
            self._routes.wake()

    async def _follow_what_goes_on(self) -> None:
        """Take up the calls that gateways work on under a number, as an earlier run left them."""
        for left in await self.job_run.ledger.interrupted(self.job_run.job):
            held, route = left.attempt, self._routes.find(left.attempt.route)
            if not held.remote_task or held.charge is not Charge.RESERVED or route is None:
                continue
            origin = origin_of(left.claim, held)
            taken = TakenIn(held.id, held.remote_task, held.endpoint, held.reserved_at, origin)
            key = route.keys.asking(held.key_fingerprint)
            self._begin(left.claim, self._executor.follow(route, left.claim, taken, key))

    def _begin(self, claim: Claim, work: Coroutine[None, None, ClaimResult]) -> None:
        """Have a claim worked on while others are."""
        flight = asyncio.create_task(work)
        self._flights[flight] = claim, self.job_run.tally.freed
        flight.add_done_callback(self._landed)

    async def _next(self, route: RouteRun) -> Claim | None:
        """Wait for the next task of a route; None when nothing is left that could become one."""
        while self.job_run.stopped is None:
            # Cleared before the books are asked: what happens meanwhile wakes us, and they are asked again.
            route.changed.clear()
            found = await self._look(route)
            if not isinstance(found, _NothingNow):
                return found
            await self._queues.change(route, found.seconds)
        return None

    async def _look(self, route: RouteRun) -> Claim | _NothingNow | None:
        """Look once for the next task of a route; None when nothing is left that could become one."""
        now, idle = self.job_run.clock.now(), self._idle  # before the books are asked, which may take a while
        if route.stopped is not None:
            return None if await self._gives_way(route, now) else _NothingNow()
        await self._hand_4k_on(route)
        if route.buffer or self._queues.awaits_probe(route) or await self._refill(route, now):
            route.dry = False
            return self._take(route, idle=idle) or _NothingNow()
        wait = _sooner(await self._queues.rest(route, now), await self._outlast(route))
        return None if idle and self._nothing_left(route) else _NothingNow(wait)

    def _take(self, route: RouteRun, *, idle: bool) -> Claim | None:
        """Take the next of the tasks held for a route; None when it may not begin now, or is handed on."""
        if (full := self._full()) is not None:
            if idle:  # nothing in flight can change it any more
                self.job_run.drain(full)
            return None
        return None if self._held() else self._queues.take(route)

    @property
    def _idle(self) -> bool:
        """Whether nothing is in flight, nor about to be."""
        return not self._flights and not self._queues.admitting

    def _nothing_left(self, route: RouteRun) -> bool:
        """Tell whether no route has work, nor can get it: nothing began, landed or was handed on since one looked."""
        return self._queues.empty and not self._flights and not route.changed.is_set()

    async def _refill(self, route: RouteRun, now: float) -> bool:
        return await self._queues.refill(route, now, [claim for claim, _ in self._flights.values()])

    async def _gives_way(self, route: RouteRun, now: float) -> bool:
        """Tell whether a stopped route is done: another takes over, or its tasks stay as they are, or it has none."""
        if route.aside:
            route.put_back()
        heir = self._queues.inherit(route)
        if heir is not None:
            self.job_run.explain(f"{route.name}: {route.stopped}. Going on over {heir.name}")
            return True
        if route.buffer or await self._refill(route, now) or await self._queues.due(route, now) is not None:
            if self.job_run.stopped is not None:  # meanwhile, for a reason that is told
                return True
            if any(each.live for each in self._routes if each is not route):
                self.job_run.explain(f"{route.name}: {route.stopped}. What waits for it is left as it is")
            else:
                self.job_run.drain(route.stopped or "")
            return True
        return not self._flights

    async def _outlast(self, route: RouteRun) -> float | None:
        """Return the seconds until a gateway that is down is asked again, or waited for no more; None where none is.

        Where it was waited for long enough, the route stops: another takes over, or the run ends.
        """
        now, waits = self.job_run.clock.monotonic(), []
        patience = _TAKEOVER if self._routes.successor(route) is not None else self.job_run.patience
        for outage, why, sizes in route.health.outages:
            left = outage.began + patience - now
            if left <= 0:
                lasted = now - outage.began
                await route.books.no_longer_down(sizes, lasted, back=False)
                route.stop(f"its gateway has brought nothing for {lasted / 60:.0f} minutes ({why}); run again later")
                return 0.0
            waits.append(left if outage.probing else min(left, outage.probe_at - now))
        return min(waits, default=None)

    async def _hand_4k_on(self, route: RouteRun) -> None:
        """Let 4K that has failed for long enough go on over another route, while this one delivers what else it has."""
        rescued = route.rules.four_k is FourK.RESCUE and any(each.rescue and each.live for each in self._routes)
        elsewhere = rescued or self._routes.successor(route) is not None
        ended = route.health.let_4k_fail(_TAKEOVER, shown=not rescued) if elsewhere else None
        if ended is not None:
            route.put_back()
            await route.books.no_longer_down(*ended, back=False)
            self.job_run.explain(f"{route.name}: 4K fails on its own there, so each such task goes on as the job says")

    def _held(self) -> bool:
        """Tell whether nothing is begun before what is in flight has landed."""
        if not self.job_run.waits_for_addresses():
            self._said_held = False
            return False
        if (lost := self.job_run.too_many_lost()) is not None:
            self.job_run.drain(lost)
        elif not self._said_held:
            self._said_held = True
            self.job_run.emit(Notice("too many paid images cannot be fetched now; no new call is made until they can"))
        return True

    def _full(self) -> str | None:
        """Say why no further task may be begun for the moment; what is in flight may yet change that."""
        tally, wanted = self.job_run.tally, self.job_run.selection.images
        if wanted is not None and tally.delivered + len(self._flights) + self._queues.admitting >= wanted:
            return f"--limit {wanted} is reached"
        if self._walled_at is not None and tally.freed <= self._walled_at and self._is_same_month():
            return self.job_run.wall_reached()
        return None

    def _is_same_month(self) -> bool:
        """Tell whether it is still the month in which a reservation was refused; another has a ceiling of its own."""
        return self.job_run.tally.month == month_of(self.job_run.clock.now())

    def _dispatched(self, dispatcher: asyncio.Task[None]) -> None:
        self._dispatchers.discard(dispatcher)
        if not dispatcher.cancelled() and (error := dispatcher.exception()) is not None:
            self._fail(error)

    def _landed(self, flight: asyncio.Task[ClaimResult]) -> None:
        claim, freed = self._flights.pop(flight)
        self._routes.wake()
        if flight.cancelled():
            return
        error = flight.exception()
        if isinstance(error, StoreError):
            self.job_run.drain(str(error))
        elif error is not None:
            self._fail(error)
        elif flight.result() is ClaimResult.NO_BUDGET:
            self._queues.put_back(claim)
            self._walled_at = freed

    def _fail(self, error: BaseException) -> None:
        """Keep the first error, and begin nothing new after it."""
        if self._error is None:
            self._error = error
        self.job_run.drain(str(error) if isinstance(error, BatchgenError) else f"internal error: {error!r}")

    def _explain_what_waits(self) -> None:
        """Say what a later run goes on with."""
        if waiting := len(self._queues.unserved):
            these = "1 task waits" if waiting == 1 else f"{waiting} tasks wait"
            self.job_run.explain(f"{these}: no route that is left takes what is asked")
        for (name, fingerprint), calls in self._executor.follower.unseen.items():
            these = "1 call was" if calls == 1 else f"{calls} calls were"
            self.job_run.explain(f"{these} handed in over {name} {key_missing(fingerprint)}")
        if working := self.job_run.tally.working:
            these = "1 call goes" if working == 1 else f"{working} calls go"
            self.job_run.explain(f"{these} on at the gateway; the next run fetches what comes of it, without a call")
        if unfetched := self.job_run.tally.unfetched:
            these = "1 paid image" if unfetched == 1 else f"{unfetched} paid images"
            self.job_run.explain(f"{these} could not be fetched; the next run tries those whose addresses still live")
        if withheld := self.job_run.tally.withheld:
            these = "1 paid image waits" if withheld == 1 else f"{withheld} paid images wait"
            self.job_run.explain(
                f"{these} at addresses that are not allowed; a run that allows them fetches them first"
            )
        for name, why in self._executor.delivery.not_allowed.items():
            said = (*self.job_run.explained, self.job_run.stopped or "")
            if not any(why in each for each in said):
                self.job_run.explain(f"{name}: {why}")


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((each for each in (one, other) if each is not None), default=None)
