"""Puts in order what a dead process left behind, before any new call. Running it twice changes nothing more."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from batchgen.domain.clock import Clock
from batchgen.domain.errors import LedgerError
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import OutcomeKind, Settlement
from batchgen.domain.wire import Answer
from batchgen.engine.attempt import Executor
from batchgen.engine.delivery import ClaimResult, Delivery, Paid
from batchgen.engine.hand import Hand
from batchgen.engine.origins import is_of, origin_of
from batchgen.engine.routes import RouteRun
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.records import Interrupted

_AT_ONCE = 16
# Seconds for all paid addresses, before new calls are made; the next start tries again. They are slept one by one, so
# that a night which this process sleeps through is one of them and not all.
_PATIENCE = 60.0
_STEP = 1.0


@dataclass(slots=True)
class Recovered:
    """What recovery found.

    Attributes:
        placed: answers that were whole in the spool and needed no call.
        fetched: paid addresses that were downloaded again.
        lost: attempts without an answer; booked as unknown.
        gone: paid answers that are no longer in the spool; parked.
        left: answers that could not be placed now and are left to the next start.
        unfetched: paid addresses that could not be fetched now; the next start tries again while they live.
        withheld: paid addresses that a rule of ours forbids; `not_allowed` says why by route, which buys nothing more.
        working: calls that a gateway works on under a number; the run goes on with them.
    """

    placed: int = 0
    fetched: int = 0
    lost: int = 0
    gone: int = 0
    left: int = 0
    unfetched: int = 0
    withheld: int = 0
    working: int = 0
    not_allowed: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many tasks were found interrupted."""
        return (
            self.placed
            + self.fetched
            + self.lost
            + self.gone
            + self.left
            + self.unfetched
            + self.withheld
            + self.working
        )


async def recover(executor: Executor) -> Recovered:
    """Finish or book every interrupted task of a job, then tidy the spool.

    Args:
        executor: of a run of this job; each of its routes goes on with what went over it when the dead process ended.

    Raises:
        LedgerError: the books cannot be written.
        StoreError: the spool cannot be read.
    """
    run, found, places = executor.run, Recovered(), asyncio.Semaphore(_AT_ONCE)

    async def one(interrupted: Interrupted) -> None:
        async with places:
            route = run.routes.find(interrupted.attempt.route)
            if route is None:
                raise LedgerError(
                    f"attempt {interrupted.attempt.id} went over {interrupted.attempt.route}, not a route here"
                )
            await _recover_one(interrupted, executor, route, found)

    left = await run.ledger.interrupted(run.job)
    if left:
        patience = asyncio.create_task(_patience(executor.delivery, run.clock))
        try:
            await asyncio.gather(*(one(interrupted) for interrupted in left))
        finally:
            patience.cancel()
            executor.delivery.out_of_time = False
    await tidy(run.ledger, executor.hand)
    found.not_allowed = executor.delivery.not_allowed
    return found


async def tidy(ledger: Ledger, hand: Hand) -> None:
    """Remove from the spool what belongs to attempts that the ledger is done with, and nothing else.

    A kept answer goes once its image is in the books. What the ledger does not know may be paid: another ledger was
    here, or an older copy of this one is back.

    Raises:
        StoreError: the spool cannot be tidied.
    """
    await hand.sweep(await ledger.settled(await hand.attempts()))
    await forget_delivered(ledger, hand)


async def forget_delivered(ledger: Ledger, hand: Hand) -> None:
    """Remove kept answers whose images are in the books: whoever filed them died before that.

    Raises:
        StoreError: one cannot be removed.
    """
    if kept := await hand.kept():
        for attempt in ledger.delivered(kept):
            await hand.forget_kept(attempt)


async def _patience(delivery: Delivery, clock: Clock) -> None:
    """Let no address be waited for any longer, after a while."""
    left = _PATIENCE
    while left > 0:
        await clock.sleep(min(left, _STEP))
        left -= _STEP
    delivery.out_of_time = True


async def _recover_one(interrupted: Interrupted, executor: Executor, route: RouteRun, found: Recovered) -> None:
    claim, held, hand = interrupted.claim, interrupted.attempt, executor.hand
    attempt, answer, origin = held.id, await hand.read_receipt(held.id), origin_of(claim, held)
    if answer is not None and not is_of(answer.origin, origin):
        answer = None  # of another ledger's attempt with the same number: its bytes stay aside
    if held.charge is Charge.RESERVED and answer is None and held.batch is not None:
        return  # the gateway works on it, whether we are here or not
    if await _goes_on(interrupted, answer, executor, route):
        found.working += 1
        return
    if held.charge is Charge.RESERVED and answer is None:
        await executor.book_lost(route, claim, attempt, "the program ended before an answer was on disk")
        found.lost += 1
        return
    if held.charge is Charge.RESERVED and answer is not None:
        fetched = await hand.find_download(attempt) if answer.urls else None
        ended = await executor.resume(route, claim, replace(answer, origin=origin), fetched)
        found.placed += ended is ClaimResult.SETTLED
        found.left += ended is ClaimResult.LEFT_FOR_RECOVERY
        found.withheld += ended is ClaimResult.NOT_ALLOWED
        return
    paid = Paid(attempt, held.charge, held.billed, held.request_ids, origin)
    picture = await hand.find_download(attempt) if held.url else (answer.picture if answer else None)
    if picture is not None:
        ended = await executor.delivery.place(route, claim, paid, picture)
        found.placed += ended is ClaimResult.SETTLED
    elif held.url:
        ended = await executor.delivery.fetch(route, claim, paid, held.url, held.url_expires)
        found.fetched += ended is ClaimResult.SETTLED
        found.unfetched += ended is ClaimResult.LEFT_FOR_RECOVERY
        found.withheld += ended is ClaimResult.NOT_ALLOWED
        return
    else:
        reason = "paid, but its answer is no longer in the spool"
        await executor.run.ledger.settle(
            Settlement(claim.task, attempt, TaskEvent.PARK, reason=reason, outcome=OutcomeKind.EXPIRED)
        )
        found.gone += 1
        return
    found.left += ended is ClaimResult.LEFT_FOR_RECOVERY


async def _goes_on(interrupted: Interrupted, answer: Answer | None, executor: Executor, route: RouteRun) -> bool:
    """Tell whether a gateway works on a call under a number, which is in the books from then on."""
    held, number = interrupted.attempt, interrupted.attempt.remote_task
    if held.charge is not Charge.RESERVED or (answer is not None and not answer.task):
        return False
    if not number and answer is not None and route.contract.task is not None:
        number = answer.task
        await executor.run.ledger.follow(held.id, number)
    return bool(number)
