"""One claim, from reservation to image: the order of writes that makes a crash cost nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeVar

from batchgen.contracts.contract import Contract
from batchgen.contracts.pricing import expected
from batchgen.domain.clock import Clock
from batchgen.domain.errors import StoreError
from batchgen.domain.events import LanePaused, Listener, Notice
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Booking, Claim, Cost, Outcome
from batchgen.domain.money import format_usd
from batchgen.domain.wire import Answer, Call, Damaged, Ending, Fetch, Picture
from batchgen.engine.bookkeeper import Bookkeeper, Tally
from batchgen.engine.hand import Hand, NotKept
from batchgen.engine.lane import Lane, Ticket
from batchgen.gateway.request import build_call
from batchgen.policy.backoff import Backoff, Uniform
from batchgen.policy.classify import LOST_KINDS, classify, damaged, expired, lost
from batchgen.policy.decide import Decision, Deliver, Park, Release, Rules, StopLane, decide
from batchgen.store.layout import SPOOL
from batchgen.store.sidecar import Index, Line

T = TypeVar("T")


class Ended(Enum):
    """What became of one claim, as far as the runner cares."""

    SETTLED = "settled"
    NO_BUDGET = "no budget"
    LEFT_FOR_RECOVERY = "left for recovery"


@dataclass(frozen=True, slots=True)
class Paid:
    """An attempt that is in the books as paid, and brought an image or its address.

    Attributes:
        cost: micro-dollars; None when not known.
    """

    attempt: int
    cost: int | None
    request_ids: tuple[tuple[str, str], ...]


class Executor:
    """Buys one image at a time, many times at once.

    What it books is durable before what depends on it: the reservation before the request, the charge before the
    download, the file before the row that names it.
    """

    def __init__(
        self,
        *,
        contract: Contract,
        rules: Rules,
        books: Bookkeeper,
        hand: Hand,
        index: Index,
        lane: Lane,
        clock: Clock,
        uniform: Uniform,
        listener: Listener,
        stop: Callable[[str], None],
    ) -> None:
        self._contract = contract
        self._rules = rules
        self._books = books
        self._hand = hand
        self._index = index
        self._lane = lane
        self._clock = clock
        self._uniform = uniform
        self._emit = listener
        self._stop = stop
        self.download_patience = float("inf")  # seconds; shorter while a start waits for it
        self._waiting: set[asyncio.Task[object]] = set()
        self._download_backoff = Backoff(base=1.0, cap=120.0)

    @property
    def tally(self) -> Tally:
        """What this run has done so far."""
        return self._books.tally

    async def execute(self, claim: Claim, ticket: Ticket) -> Ended:
        """Buy one image: reserve, send, book, check, place, settle.

        Raises:
            NoRoom: there is no room for the answer; nothing was sent.
            LedgerError: the books cannot be written; what was received stays in the spool.
        """
        try:
            call, cost = self._prepare(claim)
            self._hand.check_room(self._lane.in_flight)
            attempt = await self._books.reserve(claim, call, cost)
            if attempt is None:
                return Ended.NO_BUDGET
            answer = await self._send(claim, replace(call, attempt=attempt), ticket)
        finally:
            self._lane.leave(ticket)
        if answer is None:
            return Ended.SETTLED
        outcome = classify(answer, self._contract)
        decision = self._decide(outcome, claim)
        self._tell_lane(outcome, decision, ticket)
        return await self._proceed(claim, answer, outcome, decision, cost)

    async def resume(self, claim: Claim, answer: Answer) -> Ended:
        """Go on with an answer that a dead process left whole in the spool. Makes no call."""
        outcome = classify(answer, self._contract)
        return await self._proceed(claim, answer, outcome, self._decide(outcome, claim), self._cost(claim))

    async def forget(self, claim: Claim, attempt: int, detail: str) -> None:
        """Book a call whose answer nobody saw; its task goes on within its allowance for lost answers."""
        outcome = lost(self._contract, detail)
        answer = Answer(attempt, Ending.NO_ANSWER)
        await self._books.conclude(claim, answer, outcome, self._decide(outcome, claim), self._cost(claim))

    async def fetch(self, claim: Claim, paid: Paid, url: str, expires: float) -> Ended:
        """Go on with a paid address: download, check, place, settle. Makes no call."""
        attempt = paid.attempt
        try:
            picture = await self._wait(self._download(claim, attempt, url, expires))
        except asyncio.CancelledError:
            return Ended.LEFT_FOR_RECOVERY
        except StoreError as error:
            self._stop(f"{error}. The address is in the books; the next run fetches it without a call")
            return Ended.LEFT_FOR_RECOVERY
        if isinstance(picture, str):
            await self._books.settle(claim, attempt, expired(picture), Park(picture))
            return Ended.SETTLED
        return await self.place(claim, paid, picture)

    async def place(self, claim: Claim, paid: Paid, picture: Picture) -> Ended:
        """Check the image, put it into the output folder, settle the task, clear the spool."""
        attempt = paid.attempt
        try:
            placed = await self._hand.place(attempt, picture, claim.path, claim.revision)
        except StoreError as error:
            self._stop(f"{error}. The paid answer is kept in the spool; the next run places it without a call")
            return Ended.LEFT_FOR_RECOVERY
        if isinstance(placed, Damaged):
            outcome = damaged(f"{placed.reason}; the bytes are kept in {SPOOL}/{placed.kept}")
            await self._books.settle(claim, attempt, outcome, self._decide(outcome, claim))
        else:
            flags = await self._books.complete(claim, attempt, placed)
            self._index.add(
                Line(
                    key=claim.key,
                    size=str(claim.size),
                    sample=claim.sample,
                    revision=claim.revision,
                    image=placed,
                    flags=flags,
                    route=self._contract.route,
                    model=self._contract.model,
                    attempt=attempt,
                    request_ids=paid.request_ids,
                    created=self._clock.now(),
                    cost=paid.cost,
                )
            )
        self._hand.clear(attempt)
        return Ended.SETTLED

    def leave(self) -> None:
        """Give up every call and download in flight; answers that are there already are still booked and placed."""
        self._lane.close()
        for flight in self._waiting:
            flight.cancel()

    async def _send(self, claim: Claim, call: Call, ticket: Ticket) -> Answer | None:
        """The answer; None when there will be none and the call is in the books as lost."""
        attempt = call.attempt
        self._books.started(claim, attempt)
        if not await self._lane.turn(ticket):
            await self._withdraw(claim, attempt)
            return None
        self.tally.calls += 1
        try:
            return await self._wait(self._hand.send(call))
        except asyncio.CancelledError:
            await self.forget(claim, attempt, "given up: the run was left while the call was in flight")
        except NotKept as error:
            self._stop(f"{error}. One paid answer could not be kept")
            await self._give_up(claim, error)
        except StoreError as error:
            self._stop(f"{error}. One answer could not be kept")
            await self.forget(claim, attempt, f"the answer could not be written to the spool: {error}")
        return None

    async def _withdraw(self, claim: Claim, attempt: int) -> None:
        """Take back a reservation whose call was never sent; its task is as it was."""
        answer = Answer(attempt, Ending.NOT_SENT, detail="the run was stopped before it was sent")
        outcome = classify(answer, self._contract)
        await self._books.conclude(claim, answer, outcome, Release(None, outcome.detail), self._cost(claim))

    async def _give_up(self, claim: Claim, error: NotKept) -> None:
        """Book what an answer says whose bytes could not be kept; a person must decide whether to buy it again."""
        outcome = classify(error.answer, self._contract)
        why = f"paid, but its answer could not be kept ({error})"
        await self._books.conclude(claim, error.answer, outcome, Park(why), self._cost(claim))

    async def _wait(self, wire: Coroutine[object, object, T]) -> T:
        """Await the wire, the only part of a claim that may be given up."""
        flight = asyncio.current_task()
        if flight is None:
            return await wire
        self._waiting.add(flight)
        try:
            return await wire
        finally:
            self._waiting.discard(flight)

    async def _proceed(self, claim: Claim, answer: Answer, outcome: Outcome, decision: Decision, cost: Cost) -> Ended:
        if not isinstance(decision, Deliver):
            await self._books.conclude(claim, answer, outcome, decision, cost)
            await self._keep_damaged(answer)
            self._hand.clear(answer.attempt)
            return Ended.SETTLED
        entry = await self._books.book(claim, answer, outcome, cost)
        self._watch_price(entry, cost)
        paid = Paid(answer.attempt, entry.billed if entry.charge is Charge.BILLED else None, answer.request_ids)
        if answer.picture is None:
            return await self.fetch(claim, paid, entry.url, entry.url_expires)
        return await self.place(claim, paid, answer.picture)

    async def _keep_damaged(self, answer: Answer) -> None:
        """Paid bytes are not thrown away, whatever they are."""
        if 200 <= answer.status < 300:
            for picture in answer.pictures:
                if picture.size:
                    kept = await self._hand.keep(picture)
                    self._emit(
                        Notice(f"attempt {answer.attempt}: {picture.damage or 'cut'}; its bytes are in {SPOOL}/{kept}")
                    )

    async def _download(self, claim: Claim, attempt: int, url: str, expires: float) -> Picture | str:
        """The picture, or why it can never be had. Retries are downloads, never calls.

        Raises:
            StoreError: the bytes could not be written, or this start has waited long enough for them.
        """
        failures, patience = 0, self._clock.monotonic() + self.download_patience
        while True:
            download = await self._hand.download(attempt, url)
            if download.picture is not None:
                return download.picture
            if download.fetch is not Fetch.AGAIN:
                return f"paid, but its address cannot be fetched: {download.detail}"
            failures += 1
            delay = self._download_backoff.delay(failures, self._uniform)
            if self._clock.now() + delay >= expires:
                return f"paid, but its address expired before it could be fetched: {download.detail}"
            if self._clock.monotonic() + delay > patience:
                raise StoreError(f"the paid image of {claim.key} cannot be fetched now: {download.detail}")
            if failures == 3:
                self._emit(Notice(f"{claim.key}: a paid image is slow to download ({download.detail}); trying on"))
            await self._clock.sleep(delay)

    def _tell_lane(self, outcome: Outcome, decision: Decision, ticket: Ticket) -> None:
        if outcome.kind in LOST_KINDS:
            self.tally.lost += 1
        if isinstance(decision, Release):
            pause = self._lane.throttled(ticket, decision.wait)
            self._emit(LanePaused(self._lane.name, pause, outcome.detail))
        elif isinstance(decision, StopLane):
            self._lane.stop(decision.why)
        elif outcome.answered:
            self._lane.succeeded()

    def _watch_price(self, entry: Booking, cost: Cost) -> None:
        if entry.charge is Charge.BILLED and cost.upper is not None and entry.billed > cost.upper:
            self._lane.stop(
                f"attempt {entry.attempt} was billed {format_usd(entry.billed)} where at most {format_usd(cost.upper)} "
                f"was reserved: the price of {self._contract.route} is not what its contract says"
            )

    def _decide(self, outcome: Outcome, claim: Claim) -> Decision:
        return decide(outcome, claim, self._rules, self._uniform)

    def _cost(self, claim: Claim) -> Cost:
        return expected(self._contract, claim.send_size, claim.parameters, claim.text)

    def _prepare(self, claim: Claim) -> tuple[Call, Cost]:
        return build_call(0, claim, self._contract), self._cost(claim)
