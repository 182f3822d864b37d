"""The routes of one run: what each is made of, which tasks go over it, and where those go on that it cannot deliver."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchgen.contracts.contract import Contract
from batchgen.contracts.serving import can_serve
from batchgen.domain.model import Claim
from batchgen.engine.bookkeeper import Bookkeeper
from batchgen.engine.health import RouteHealth
from batchgen.engine.route_keys import RouteKeys
from batchgen.policy.decide import NOWHERE, NextRoutes, Rules


@dataclass(slots=True, eq=False)
class RouteRun:
    """One route of a run: who works on it, and the tasks that wait for it.

    Attributes:
        health: what its calls tell of its gateway.
        rescue: whether it only takes 4K sizes that another route could not deliver, and nothing else.
        serves: values of `Claim.send_route` whose tasks are its own at present.
        buffer: tasks taken from the books and not begun.
        aside: tasks that wait until their gateway is back; one of them now and then asks whether it is.
        admitting: the one that waits for a lane to admit it; in no buffer and not in flight.
        changed: set whenever something has happened that may give it work, or a place.
        dry: whether nothing waited for it when it last looked.
        ended: whether it takes no more tasks in this run.
        turns: how often its tasks in hand were put back into the books, because these have changed.
    """

    contract: Contract
    rules: Rules
    books: Bookkeeper
    keys: RouteKeys
    health: RouteHealth
    rescue: bool = False
    serves: set[str] = field(default_factory=set)
    buffer: deque[Claim] = field(default_factory=deque)
    aside: dict[int, Claim] = field(default_factory=dict)
    admitting: Claim | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    dry: bool = False
    ended: bool = False
    turns: int = 0

    @property
    def name(self) -> str:
        """The route as the contract, the books and the manifest call it."""
        return self.contract.route

    def put_back(self) -> None:
        """Let go of all tasks that were not begun: they are taken from the books again, as these have them now."""
        self.turns += 1
        self.buffer.clear()
        self.aside.clear()
        self.changed.set()

    @property
    def live(self) -> bool:
        """Whether calls can be made over it."""
        return self.stopped is None and not self.ended

    @property
    def stopped(self) -> str | None:
        """Why no call can be made over it; None while one may."""
        return self.keys.stopped

    def stop(self, why: str) -> None:
        """Make no more calls over it, with any key; `why` is a sentence without its full stop."""
        self.keys.stop(why)


class Routes:
    """The routes in the order in which they are tried; the first is the job's own."""

    def __init__(self) -> None:
        self._all: list[RouteRun] = []

    def add(self, route: RouteRun) -> None:
        """Take one more route, to be tried after those that are here."""
        route.serves |= {route.name} | ({""} if not self._all else set())
        self._all.append(route)

    def __iter__(self) -> Iterator[RouteRun]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    @property
    def first(self) -> RouteRun:
        """The job's own route."""
        return self._all[0]

    def find(self, name: str) -> RouteRun | None:
        """Find a route by its name; None when it is none of these."""
        return next((route for route in self._all if route.name == name), None)

    def next_routes(self, route: RouteRun, claim: Claim) -> NextRoutes:
        """Return where a task may go that a route cannot deliver: the next that take it, live ones first.

        One that is stopped is better than none: the task waits for it, and a later run goes on there.
        """
        later = [each for each in self._after(route) if can_take(each.contract, claim)]
        if not later:
            return NOWHERE
        able = sorted(later, key=lambda each: not each.live)
        return NextRoutes(
            fallback=next((each.name for each in able if not each.rescue), ""),
            rescue=next((each.name for each in able if each.rescue), ""),
        )

    def successor(self, route: RouteRun) -> RouteRun | None:
        """Find who takes over everything of a route that is stopped; None when there is nobody."""
        return next((each for each in self._after(route) if each.live and not each.rescue), None)

    def wake(self) -> None:
        """Have every route look again for what it may begin."""
        for route in self._all:
            route.changed.set()

    def drain(self) -> None:
        """Let no call go over any route that has not gone yet; those in flight are awaited."""
        for route in self._all:
            route.keys.drain()
        self.wake()

    def _after(self, route: RouteRun) -> list[RouteRun]:
        return self._all[self._all.index(route) + 1 :]


def can_take(contract: Contract, claim: Claim) -> bool:
    """Tell whether a route takes what a task asks for now."""
    return can_serve(contract, claim.send_size, claim.parameters, claim.inputs)
