"""The keys of one route in a run: which of them makes the next call, and which of them make none any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

from batchgen.engine.lane import Lane, Ticket


@dataclass(slots=True, eq=False)
class RouteKey:
    """One key of a route.

    Attributes:
        env: the variable that holds it; "" where the route sends none.
        fingerprint: first 8 hex digits of its hash, "" where nothing is bought; the key itself never comes here.
        lane: what its calls go through: its own, or that of all keys of the account.
        refused: why the gateway takes no call with it; None while it does.
        in_flight: places in the lane that its calls have.
        proven: whether a call with it has brought an image in this run, so that the key itself is right.
        strikes: calls in a row that were refused for it.
    """

    env: str
    fingerprint: str
    lane: Lane
    refused: str | None = None
    in_flight: int = 0
    proven: bool = False
    strikes: int = 0

    @property
    def stopped(self) -> str | None:
        """Why no call can be made with it now; None while one may."""
        return self.refused or self.lane.stopped


@dataclass(frozen=True, slots=True)
class Admission:
    """What one call goes with: a key, and a place in its lane from before the reservation to the end of the call."""

    key: RouteKey
    ticket: Ticket

    def __enter__(self) -> None:
        """Hold the place until the block ends."""

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the place back."""
        self.key.in_flight -= 1
        self.key.lane.release(self.ticket)


class RouteKeys:
    """The keys of one route, in the order of the manifest.

    A call goes with the key that has the fewest calls in flight among those whose lanes let one in. What stops one key
    stops it alone; the route is stopped when all of them are.

    Attributes:
        lanes: those of all keys, each once.
    """

    def __init__(self, keys: Iterable[RouteKey], told: Callable[[str], None] = lambda _: None) -> None:
        """Take one key or more; `told` is given a clause when one of several is stopped while another goes on."""
        self._keys = tuple(keys)
        self.lanes = list(dict.fromkeys(key.lane for key in self._keys))
        self._told = told
        self._stopped: str | None = None
        self._draining = False

    def __iter__(self) -> Iterator[RouteKey]:
        return iter(self._keys)

    @property
    def limit(self) -> int:
        """How many calls may be in flight as far as is known, whether any may go now or not."""
        return sum(lane.limit for lane in self.lanes)

    @property
    def stopped(self) -> str | None:
        """Why no call can be made with any key; None while one may."""
        if self._stopped is not None or any(key.stopped is None for key in self._keys):
            return self._stopped
        whys = {key.env: key.stopped for key in self._keys}
        if len(set(whys.values())) == 1:
            return next(iter(whys.values()))
        return "no key is left: " + "; ".join(f"{env}: {why}" for env, why in whys.items())

    def find(self, fingerprint: str) -> RouteKey | None:
        """Find a key by its fingerprint; None when it is none of these."""
        return next((key for key in self._keys if key.fingerprint == fingerprint), None)

    def asking(self, fingerprint: str) -> RouteKey:
        """Return the key to ask with what became of a call that was handed in with the key of a fingerprint.

        Where that one is not here, another may do: a new key of the same account is often shown what its others are.
        """
        usable = (key for key in self._keys if key.stopped is None)
        return self.find(fingerprint) or next(usable, self._keys[0])

    async def admit(self) -> Admission | None:
        """Wait for a place with any key; None once none is left, or nothing new is to begin."""
        while keys := self._usable():
            alone = len(keys) == 1 or len(self.lanes) == 1
            chosen = keys[0] if alone else next((key for key in keys if key.lane.ready), None)
            if chosen is None:
                await _until_one_is_ready(dict.fromkeys(key.lane for key in keys))
                continue
            if (ticket := await chosen.lane.admit()) is None:
                continue
            for key in self._usable():  # of several in one lane another may be loaded least by now
                if key.lane is ticket.lane:
                    return self._admission(key, ticket)
            ticket.lane.release(ticket)
        return None

    def occupy(self, key: RouteKey) -> Admission:
        """Take a place at once, for a call that the gateway works on already."""
        return self._admission(key, key.lane.occupy())

    def throttled(self, admission: Admission, wait: float | None) -> float:
        """Learn that there were too many calls with one key; return the seconds until another may go, or this one."""
        return self._paused(admission.key, admission.key.lane.refused(admission.ticket, wait))

    def failed(self, admission: Admission, wait: float | None, *, left: bool) -> float:
        """Have all calls with one key wait, because one failed for a reason that will pass; return the seconds."""
        return self._paused(admission.key, admission.key.lane.failed(admission.ticket, wait, left=left))

    def refuse(self, key: RouteKey, why: str) -> None:
        """Make no more calls with one key; `why` is a sentence without its full stop."""
        if key.stopped is None:
            key.refused = why
            if all(each.refused for each in self._keys if each.lane is key.lane):
                key.lane.stop(why)
            self._tell(key)

    def stop(self, why: str) -> None:
        """Make no more calls with any key. The first reason stands."""
        self._stopped = self.stopped or why
        for lane in self.lanes:
            lane.stop(why)

    def drain(self) -> None:
        """Let no call go that has not gone yet; those in flight are awaited."""
        self._draining = True
        for lane in self.lanes:
            lane.drain()

    def _usable(self) -> list[RouteKey]:
        """Return the keys that a call may be made with, those with the fewest calls in flight first."""
        usable = [key for key in self._keys if key.stopped is None and not self._draining]
        return sorted(usable, key=attrgetter("in_flight")) if len(usable) > 1 else usable

    def _admission(self, key: RouteKey, ticket: Ticket) -> Admission:
        key.in_flight += 1
        return Admission(key, ticket)

    def _paused(self, key: RouteKey, pause: float) -> float:
        if key.lane.stopped is not None:
            self._tell(key)
        return pause

    def _tell(self, key: RouteKey) -> None:
        if self.stopped is None:
            self._told(f"the key in {key.env} makes no more calls: {key.stopped}")


def key_missing(fingerprint: str) -> str:
    """Say, behind what was handed in, that nobody can ask for it without the key that it was handed in with."""
    return (
        f"with a key that is not here, whose fingerprint is {fingerprint}: name its variable under `keys:` again, and "
        "run once more; until then nobody asks what became of it"
    )


async def _until_one_is_ready(lanes: Iterable[Lane]) -> None:
    """Wait until one of these would let a call in, or is stopped."""
    waits = [asyncio.ensure_future(lane.until_ready()) for lane in lanes]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
