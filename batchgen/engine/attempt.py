"""One claim, from reservation to image: the order of writes that makes a crash cost nothing twice."""

from __future__ import annotations

import asyncio

from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.errors import StoreError
from batchgen.domain.events import LanePaused
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Booking, Claim, Cost, Outcome, OutcomeKind
from batchgen.domain.money import format_usd
from batchgen.domain.wire import Answer, Call, Ending, Picture
from batchgen.engine.bookkeeper import Tally
from batchgen.engine.delivery import Delivery, Ended, Means, Paid
from batchgen.engine.hand import NotKept
from batchgen.engine.lane import Lane, Ticket
from batchgen.gateway.request import build_call
from batchgen.policy.classify import LOST_KINDS, classify, lost, untouched
from batchgen.policy.decide import Decision, Deliver, Failover, Park, Release, StopLane, decide


class Executor:
    """Buys one image at a time, many times at once.

    What it books is durable before what depends on it: the reservation before the request, the charge before the
    download, the file before the row that names it.
    """

    def __init__(self, means: Means, delivery: Delivery, lane: Lane) -> None:
        self.delivery = delivery
        self.means = means
        self._lane = lane
        self._explained: set[tuple[str, OutcomeKind]] = set()

    @property
    def stopped(self) -> str | None:
        """Why no call over this route can succeed now."""
        return self._lane.stopped

    @property
    def tally(self) -> Tally:
        """What this run has done so far."""
        return self.means.books.tally

    async def execute(self, claim: Claim, ticket: Ticket) -> Ended:
        """Buy one image: reserve, send, book, check, place, settle.

        Raises:
            NoRoom: there is no room for the answer; nothing was sent.
            LedgerError: the books cannot be written; what was received stays in the spool.
        """
        try:
            call, cost = await self._prepare(claim)
            self.means.hand.check_room(self._lane.crowd.in_flight)
            reserved = await self.means.books.reserve(claim, call, cost)
            if reserved is None:
                return Ended.NO_BUDGET
            answer = await self._send(claim, reserved, ticket)
        finally:
            self._lane.leave(ticket)
        if answer is None:
            return Ended.SETTLED
        outcome = classify(answer, self.means.contract)
        decision = self._decide(outcome, claim)
        self._tell_lane(outcome, decision, ticket)
        return await self._proceed(claim, answer, outcome, decision, cost)

    async def resume(self, claim: Claim, answer: Answer, fetched: Picture | None = None) -> Ended:
        """Go on with an answer that a dead process left whole in the spool. Makes no call.

        Args:
            claim: its task.
            answer: with its origin.
            fetched: what its address brought before, if it lies whole in the spool.
        """
        outcome = classify(answer, self.means.contract)
        decision = self._decide(outcome, claim)
        if isinstance(decision, StopLane):
            self._lane.stop(decision.why)
        return await self._proceed(claim, answer, outcome, decision, self._cost(claim), fetched)

    async def forget(self, claim: Claim, attempt: int, detail: str) -> None:
        """Book a call whose answer nobody saw; its task goes on within its allowance for lost answers."""
        outcome = lost(self.means.contract, detail)
        answer = Answer(attempt, Ending.NO_ANSWER)
        await self.means.books.conclude(claim, answer, outcome, self._decide(outcome, claim), self._cost(claim))

    async def untouched(self, claim: Claim, answer: Answer) -> None:
        """Book a call that the gateway says it never worked on; its task goes on within its attempts."""
        outcome = untouched(answer.detail)
        await self.means.books.conclude(claim, answer, outcome, self._decide(outcome, claim), self._cost(claim))

    def stop(self) -> None:
        """Make no new call, and wait no longer for addresses that cannot be fetched now; they are in the books."""
        self._lane.close()
        self.delivery.patience = 0.0

    def leave(self) -> None:
        """Give up every call and download in flight; answers that are there already are still booked and placed."""
        self._lane.close()
        self.delivery.wire.give_up()

    async def _send(self, claim: Claim, call: Call, ticket: Ticket) -> Answer | None:
        """The answer; None when there will be none and the call is in the books as lost."""
        attempt = call.attempt
        self.means.books.started(claim, attempt)
        if not await self._lane.turn(ticket):
            await self.withdraw(claim, attempt, "the run was stopped before it was sent")
            return None
        self.tally.calls += 1
        try:
            return await self.delivery.wire.wait(self.means.hand.send(call))
        except asyncio.CancelledError:
            await self.forget(claim, attempt, "given up: the run was left while the call was in flight")
        except NotKept as error:
            self.means.stop(f"{error}. One paid answer could not be kept")
            await self._give_up(claim, error)
        except StoreError as error:
            self.means.stop(f"{error}. One answer could not be kept")
            await self.forget(claim, attempt, f"the answer could not be written to the spool: {error}")
        return None

    async def withdraw(self, claim: Claim, attempt: int, detail: str) -> None:
        """Take back a reservation whose call was never made; its task is as it was."""
        answer = Answer(attempt, Ending.NOT_SENT, detail=detail)
        outcome = classify(answer, self.means.contract)
        await self.means.books.conclude(claim, answer, outcome, Release(None, outcome.detail), self._cost(claim))

    async def _give_up(self, claim: Claim, error: NotKept) -> None:
        """Book what an answer says whose bytes could not be kept; a person must decide whether to buy it again."""
        outcome = classify(error.answer, self.means.contract)
        why = f"paid, but its answer could not be kept ({error})"
        cost = self._cost(claim)
        self._watch_price(await self.means.books.conclude(claim, error.answer, outcome, Park(why), cost), cost)

    async def _proceed(
        self,
        claim: Claim,
        answer: Answer,
        outcome: Outcome,
        decision: Decision,
        cost: Cost,
        fetched: Picture | None = None,
    ) -> Ended:
        if not isinstance(decision, Deliver):
            self._watch_price(await self.means.books.conclude(claim, answer, outcome, decision, cost), cost)
            await self.delivery.keep_damaged(answer)
            self.means.hand.clear(answer.attempt)
            return Ended.SETTLED
        entry = await self.means.books.book(claim, answer, outcome, cost)
        self._watch_price(entry, cost)
        await self.delivery.keep_damaged(answer, but=answer.picture)
        paid = Paid(answer.attempt, entry.charge, entry.billed, answer.request_ids, answer.origin)
        picture = answer.picture or fetched
        if picture is None:
            return await self.delivery.fetch(claim, paid, entry.url, entry.url_expires)
        return await self.delivery.place(claim, paid, picture)

    def _tell_lane(self, outcome: Outcome, decision: Decision, ticket: Ticket) -> None:
        if outcome.kind in LOST_KINDS:
            self.tally.lost += 1
        if isinstance(decision, Release):
            pause = self._lane.throttled(ticket, decision.wait)
            self.means.emit(LanePaused(self._lane.name, pause, outcome.detail))
        elif isinstance(decision, StopLane):
            self._lane.stop(decision.why)
        elif outcome.answered:
            self._lane.succeeded()

    def _watch_price(self, entry: Booking, cost: Cost) -> None:
        """Stop the lane at the first bill that is not what the contract says."""
        if entry.doubt:
            self._lane.stop(
                f"attempt {entry.attempt}: {entry.doubt}, so it is booked as maybe charged; see what {self._lane.name} "
                "charged by its own log, and put the price right, then run again"
            )
        elif entry.charge is Charge.BILLED and cost.upper is not None and entry.billed > cost.upper:
            self._lane.stop(
                f"attempt {entry.attempt} was billed {format_usd(entry.billed)} where at most {format_usd(cost.upper)} "
                f"was reserved: the price of {self.means.contract.route} is not what its contract says"
            )

    def _decide(self, outcome: Outcome, claim: Claim) -> Decision:
        onward, proven = self.means.onward(claim), self.means.books.proven
        decision = decide(outcome, claim, self.means.rules, self.means.uniform, onward, proven=proven)
        if isinstance(decision, Failover):
            self._explain_once(decision.route, outcome)
        return decision

    def _explain_once(self, route: str, outcome: Outcome) -> None:
        if (route, outcome.kind) not in self._explained:
            self._explained.add((route, outcome.kind))
            here = self.means.contract.route
            self.means.explain(
                f"{here} does not deliver everything ({outcome.detail[:200]}). Such tasks go on over {route}"
            )

    def _cost(self, claim: Claim) -> Cost:
        return expected(self.means.contract, Demand.of_claim(claim))

    async def _prepare(self, claim: Claim) -> tuple[Call, Cost]:
        inputs = await self.means.hand.prepare(claim.inputs, self.means.contract.references)
        return build_call(0, claim, self.means.contract, inputs), self._cost(claim)
