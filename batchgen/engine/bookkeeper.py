"""Every write of an attempt into the books, and the word to whoever watches."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock, month_of
from batchgen.domain.events import (
    CallEnded,
    CallStarted,
    GatewayBack,
    GatewayDown,
    GatewayGivenUp,
    ImageDelivered,
    Listener,
)
from batchgen.domain.lifecycle import TRANSITIONS, Charge, TaskEvent, TaskState
from batchgen.domain.model import Booking, Claim, Cost, GivenBack, Outcome, Reservation, Settlement
from batchgen.domain.output_image import Image
from batchgen.domain.walls import Wall
from batchgen.domain.wire import Answer, Call
from batchgen.engine.bookings import Account, booking, image_flags, reservation, settlement, words
from batchgen.engine.origins import origin_of
from batchgen.engine.route_keys import RouteKey
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.runs import NewOutage, OutageEnd
from batchgen.policy.decide import Decision, Deliver


@dataclass(slots=True)
class Tally:
    """What this run has done so far; money in micro-dollars.

    Attributes:
        freed: what was reserved and then not charged, and may be spent again.
        slow: paid addresses that could not be fetched a few times, and are tried on.
        unfetched: paid addresses that are given up, for this run or for good.
        working: calls that a gateway works on under a number, and that are left to the next run.
        withheld: paid addresses that a rule of ours forbids, and that wait until it allows them.
        wall: what the last reservation would have gone over that was refused; `month` is the one it was for.
    """

    calls: int = 0
    lost: int = 0
    delivered: int = 0
    billed: int = 0
    maybe: int = 0
    freed: int = 0
    slow: int = 0
    unfetched: int = 0
    withheld: int = 0
    working: int = 0
    wall: Wall = Wall.JOB
    month: str = ""


class DeliveredDigests:
    """The images of a job by the first half of their digests, shared by all routes of a run.

    The same bytes for another task are worth a word.
    """

    def __init__(self, images: Iterable[tuple[str, int]] = ()) -> None:
        """Take what is in the books: SHA-256 in hexadecimal, and the task."""
        self._tasks: dict[int, int] = {}
        for sha256, task in images:
            self.is_repeated(sha256, task)

    def is_repeated(self, sha256: str, task: int) -> bool:
        """Tell whether another task has an image of these bytes; it is known from now on."""
        return self._tasks.setdefault(int(sha256[:16], 16), task) != task


class Bookkeeper:
    """Writes what the executor says, in its order, and counts it.

    Attributes:
        proven: whether a call over its route has brought an image, or the address of one.
    """

    def __init__(
        self,
        *,
        contract: Contract,
        account: Account,
        ledger: Ledger,
        clock: Clock,
        listener: Listener,
        tally: Tally | None = None,
        home: str = "",
        delivered: DeliveredDigests | None = None,
    ) -> None:
        """Keep the books of the calls over one route.

        Args:
            tally: shared by all routes of a run.
            home: the job's own route, where that is another.
            delivered: what the job has; shared like the tally.
        """
        self.tally = tally or Tally()
        self.proven = False
        self._digests = delivered or DeliveredDigests()
        self._rerouted = home not in {"", contract.route}
        self._contract = contract
        self.account = account
        self._ledger = ledger
        self._clock = clock
        self._emit = listener

    async def reserve(self, claim: Claim, call: Call, cost: Cost, key: RouteKey) -> Call | None:
        """Write an attempt down before it is made; return the call with its number and its key.

        Return None when it may not be spent; the tally says why.
        """
        now = self._clock.now()
        entry = reservation(claim, call, cost, self._contract, self.account, key_fingerprint=key.fingerprint, now=now)
        attempt = await self._ledger.reserve(entry)
        if isinstance(attempt, Wall):
            self.refused(attempt, entry)
            return None
        return replace(call, attempt=attempt, origin=origin_of(claim, entry), key_env=key.env)

    def started(self, claim: Claim, attempt: int) -> None:
        """Say that an attempt is written down and its call about to be made."""
        self._emit(CallStarted(claim, attempt))

    def called(self) -> None:
        """Count a call that is made now."""
        self.tally.calls += 1

    def refused(self, wall: Wall, entry: Reservation) -> None:
        """Note that a reservation was not made, and what it would have gone over."""
        self.tally.wall, self.tally.month = wall, month_of(entry.reserved_at)

    def lost(self) -> None:
        """Count a call whose answer nobody saw whole."""
        self.tally.lost += 1

    def lost_at_once(self, answers: int) -> None:
        """Count answers, each of which is counted already, as one: they were lost for the same reason."""
        self.tally.lost -= max(0, answers - 1)

    async def down(self, sizes: str, tasks: int, reason: str) -> None:
        """Say that the gateway is down for a tier of sizes, "" for all."""
        route = self._contract.route
        self._emit(GatewayDown(route, sizes, tasks, reason))
        if self.account.run is not None:
            await self._ledger.begin_outage(NewOutage(self.account.run, route, sizes, tasks, reason))

    async def no_longer_down(self, sizes: str, seconds: float, *, back: bool) -> None:
        """Say that the gateway answers again, or is waited for no longer."""
        route = self._contract.route
        self._emit((GatewayBack if back else GatewayGivenUp)(route, sizes, seconds))
        if self.account.run is not None:
            await self._ledger.end_outage(OutageEnd(self.account.run, route, sizes, back))

    async def give_back(self, attempts: Collection[GivenBack]) -> None:
        """Give tasks the attempts back that their gateway answered with errors while it was down."""
        await self._ledger.give_back(attempts)

    def unfetched(self) -> None:
        """Count a paid address that is given up, for this run or for good."""
        self.tally.unfetched += 1

    def withheld(self) -> None:
        """Count a paid address that waits until it is allowed."""
        self.tally.withheld += 1

    def slow(self, more: int) -> None:
        """Count paid addresses that are tried on, or that are no longer."""
        self.tally.slow += more

    async def book(self, claim: Claim, answer: Answer, outcome: Outcome, cost: Cost) -> Booking:
        """Book a call that brought an image, or the address of one."""
        entry = booking(claim, answer, outcome, cost, self._contract, self._clock.now())
        if answer.picture is None:
            came = answer.sent_at + answer.total if answer.sent_at else entry.finished_at  # not now, after a kill
            expires = min(came, entry.finished_at) + self._contract.url_lifetime
            entry = replace(entry, url=answer.urls[0], url_expires=expires)
        await self._ledger.book(entry)
        self._brought(claim, entry, outcome, cost)
        return entry

    async def book_and_complete(
        self, claim: Claim, answer: Answer, outcome: Outcome, cost: Cost, image: Image
    ) -> tuple[Booking, tuple[str, ...]]:
        """Book a call whose image is in the output folder, and settle its task, in one transaction.

        Return the booking, and what is to be said of the image.
        """
        entry = booking(claim, answer, outcome, cost, self._contract, self._clock.now())
        flags = self._flags(claim, image)
        await self._ledger.book_and_settle(entry, _completion(claim, answer.attempt, image, flags))
        self._brought(claim, entry, outcome, cost)
        self._delivered(claim, answer.attempt, image, flags)
        return entry, flags

    async def conclude(self, claim: Claim, answer: Answer, outcome: Outcome, decision: Decision, cost: Cost) -> Booking:
        """Book a call that brought no image, and send its task where it goes, in one transaction."""
        entry = booking(claim, answer, outcome, cost, self._contract, self._clock.now())
        settled = settlement(claim, answer.attempt, outcome, decision, entry.finished_at)
        await self._ledger.book_and_settle(entry, settled)
        self._count(entry, cost)
        self._tell(claim, entry, outcome, decision, TRANSITIONS[settled.event][1], _maybe(entry, cost))
        return entry

    async def settle(self, claim: Claim, attempt: int, outcome: Outcome, decision: Decision) -> None:
        """Send a task where it goes when its call is in the books already, as something it turned out not to be."""
        settled = replace(settlement(claim, attempt, outcome, decision, self._clock.now()), outcome=outcome.kind)
        await self._ledger.settle(settled)
        booked = Booking(attempt, Charge.VOID, 0, outcome.kind, outcome.detail)
        self._tell(claim, booked, outcome, decision, TRANSITIONS[settled.event][1], 0)

    async def complete(self, claim: Claim, attempt: int, image: Image) -> tuple[str, ...]:
        """Settle a task whose image is in the output folder; return what is to be said of the image."""
        flags = self._flags(claim, image)
        await self._ledger.settle(_completion(claim, attempt, image, flags))
        self._delivered(claim, attempt, image, flags)
        return flags

    def _flags(self, claim: Claim, image: Image) -> tuple[str, ...]:
        repeated = self._digests.is_repeated(image.sha256, claim.task)
        return image_flags(claim, image, self._contract, rerouted=self._rerouted, repeated=repeated)

    def _brought(self, claim: Claim, entry: Booking, outcome: Outcome, cost: Cost) -> None:
        self.proven = True
        self._count(entry, cost)
        self._tell(claim, entry, outcome, Deliver(), None, _maybe(entry, cost))

    def _delivered(self, claim: Claim, attempt: int, image: Image, flags: tuple[str, ...]) -> None:
        self.tally.delivered += 1
        self._emit(ImageDelivered(claim, attempt, image, flags))

    def _count(self, entry: Booking, cost: Cost) -> None:
        self.tally.billed += entry.billed if entry.charge is Charge.BILLED else 0
        self.tally.maybe += _maybe(entry, cost)
        self.tally.freed += max(0, (cost.upper or 0) - max(entry.billed, _maybe(entry, cost)))

    def _tell(
        self, claim: Claim, entry: Booking, outcome: Outcome, decision: Decision, becomes: TaskState | None, maybe: int
    ) -> None:
        self._emit(
            CallEnded(
                claim=claim,
                attempt=entry.attempt,
                outcome=outcome,
                billed=entry.billed if entry.charge is Charge.BILLED else 0,
                maybe=maybe,
                seconds=entry.total,
                becomes=becomes,
                then=words(decision),
            )
        )


def _maybe(entry: Booking, cost: Cost) -> int:
    """Return what an unknown charge may come to, as ledger and budget count it: never less than was reserved."""
    return max(entry.billed, cost.upper or 0) if entry.charge is Charge.UNKNOWN else 0


def _completion(claim: Claim, attempt: int, image: Image, flags: tuple[str, ...]) -> Settlement:
    return Settlement(claim.task, attempt, TaskEvent.COMPLETE, image=image, flags=flags)
