"""One claim, from reservation to image: the order of writes that makes a crash cost nothing twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.errors import StoreError
from batchgen.domain.events import LanePaused
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import KEPT_KINDS, Booking, Claim, Cost, Outcome, OutcomeKind
from batchgen.domain.money import format_usd
from batchgen.domain.output_image import Image
from batchgen.domain.wire import Answer, Call, CallEnd, NotKept, Picture
from batchgen.engine.delivery import ClaimResult, Delivery, Paid
from batchgen.engine.follower import Follower, TakenIn
from batchgen.engine.hand import Hand
from batchgen.engine.job_run import JobRun
from batchgen.engine.route_keys import Admission, RouteKey
from batchgen.engine.routes import RouteRun
from batchgen.engine.tier_health import NO_LESSON, Lesson
from batchgen.gateway.request import build_call, build_question
from batchgen.policy.classify import LOST_KINDS, classify, lost, not_worked_on
from batchgen.policy.decide import OF_THE_KEY, TOO_MANY, Decision, Deliver, Failover, Park, Release, StopLane, decide
from batchgen.store.layout import KEPT, SPOOL, kept_receipt

_NO_MORE_KEPT = (
    f"{SPOOL}/{KEPT} holds as many unreadable answers as it may: read them again with `batchgen recover`, or move them "
    "away, then run again"
)


# What the gateway answers when it did not do what it is there for: no sign that it would take more calls.
_NO_SUCCESS = KEPT_KINDS | {OutcomeKind.SERVER_ERROR}


_NOTHING_FREE_TELLS = (
    "its gateway answers what is free and nothing that is paid, and was called often enough to see that: run again "
    "later"
)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What an answer means, what happens next, and what its call was expected to cost."""

    outcome: Outcome
    decision: Decision
    cost: Cost


class Executor:
    """Buys one image at a time, many times at once, over the routes of one run.

    What it books is durable before what depends on it: the reservation before the request, the charge before the
    download, the file before the row that names it.
    """

    def __init__(self, run: JobRun, hand: Hand) -> None:
        self.run = run
        self.hand = hand
        self.delivery = Delivery(run, hand)
        self.follower = Follower(run, hand)
        self._explained: set[tuple[str, str, OutcomeKind]] = set()

    async def execute(self, route: RouteRun, claim: Claim, admission: Admission) -> ClaimResult:
        """Buy one image: prepare, reserve, send, judge, then deliver it or conclude without one.

        Where its gateway is down, that is asked first whether it is there, by something that costs nothing.

        Raises:
            NoRoom: there is no room for the answer; nothing was sent.
            LedgerError: the books cannot be written; what was received stays in the spool.
        """
        if not route.health.is_probe(claim):
            return await self._buy(route, claim, admission)
        try:
            if await self._is_there(route, claim, admission):
                return await self._buy(route, claim, admission)
            admission.release()
            return ClaimResult.NOT_MADE
        finally:
            route.health.end_probe(claim)

    async def _is_there(self, route: RouteRun, claim: Claim, admission: Admission) -> bool:
        """Ask a gateway that is down whether it is there; tell whether it may be called. Nothing is paid."""
        question = build_question(route.contract, admission.key.env)
        try:
            alive = await self.run.wire.wait(self.hand.is_there(route.name, question))
        except asyncio.CancelledError:
            return False
        may = route.health.heard(claim, alive=alive)
        if alive and not may:
            route.stop(_NOTHING_FREE_TELLS)
            sizes, lasted = route.health.down_for(claim)
            await route.books.no_longer_down(sizes, lasted, back=False)
        return may

    async def _buy(self, route: RouteRun, claim: Claim, admission: Admission) -> ClaimResult:
        with admission:
            call, cost = await self._prepare(route, claim, admission)
            reserved = await route.books.reserve(claim, call, cost, admission.key)
            if reserved is None:
                return ClaimResult.NO_BUDGET
            answer = await self._send(route, claim, reserved, admission)
            if answer is None:
                route.health.landed(reserved.attempt)
                return ClaimResult.SETTLED
            taken = await self._take_in(route, reserved, answer)
            found = answer if taken is None else await self.follower.follow(route, claim, taken, admission.key)
        if taken is not None:
            return await self._end_of_following(route, claim, taken, found, admission)
        return await self._conclude(route, claim, answer, cost, admission)

    async def follow(self, route: RouteRun, claim: Claim, taken: TakenIn, key: RouteKey) -> ClaimResult:
        """Go on with a call that a gateway works on, as an earlier run left it. Makes no call."""
        admission = route.keys.occupy(key)
        with admission:
            found = await self.follower.follow(route, claim, taken, key)
        return await self._end_of_following(route, claim, taken, found, admission)

    async def _take_in(self, route: RouteRun, call: Call, answer: Answer) -> TakenIn | None:
        """Write down the number under which a gateway takes a call in, before anybody asks by it; None for others."""
        if route.contract.task is None or not answer.task or answer.pictures or answer.urls:
            return None
        await self.run.ledger.follow(call.attempt, answer.task)
        since = answer.sent_at or self.run.clock.now()
        return TakenIn(call.attempt, answer.task, call.operation, since, call.origin, answer.request_ids)

    async def _end_of_following(
        self, route: RouteRun, claim: Claim, taken: TakenIn, found: Answer | NotKept | str | None, admission: Admission
    ) -> ClaimResult:
        """Conclude what became of a call that was followed; see `Follower.follow`."""
        if isinstance(found, Answer):
            return await self._conclude(route, claim, found, _cost(route, claim), admission)
        route.health.landed(taken.attempt)
        if found is None:
            return ClaimResult.LEFT_FOR_RECOVERY
        if isinstance(found, NotKept):
            self.run.drain(f"{found.why}. One paid answer could not be kept")
            await self._book_not_kept(route, claim, found)
            return ClaimResult.SETTLED
        ids = (("task", taken.number), *taken.request_ids)
        gone = Answer(taken.attempt, CallEnd.NO_ANSWER, request_ids=ids)
        why = f"{found}; it may be paid: ask the gateway for {taken.number}, or buy it anew with `retry --parked`"
        await route.books.conclude(claim, gone, lost(route.contract, found), Park(why), _cost(route, claim))
        await self.hand.clear(taken.attempt)
        return ClaimResult.SETTLED

    async def _conclude(
        self, route: RouteRun, claim: Claim, answer: Answer, cost: Cost, admission: Admission
    ) -> ClaimResult:
        """Judge an answer, tell the lane, and deliver its image or conclude without one."""
        flight, outcome = route.health.landed(answer.attempt), _outcome(route, claim, answer, admission.key)
        lesson = route.health.learn(flight, claim, outcome, cost, proven=route.books.proven)
        verdict = _Verdict(outcome, self._decide(route, outcome, claim, cost, key=admission.key, lesson=lesson), cost)
        admission.key.lane.told(answer)
        self._tell_lane(route, verdict, admission, during=lesson.during)
        if lesson.opened is not None:
            route.books.lost_at_once(lesson.opened.lost)
        if lesson.closed is not None:
            for lane in route.keys.lanes:
                lane.begin_anew()
            route.put_back()
        result = await self._deliver_or_conclude(route, claim, answer, verdict)
        await self._write_outage(route, lesson)
        return result

    async def _write_outage(self, route: RouteRun, lesson: Lesson) -> None:
        """Write down that a gateway is found to be down, or back, and give back what is none of its tasks' fault."""
        if lesson.back:
            await route.books.give_back(lesson.back)
        if lesson.opened is not None:
            await route.books.down(lesson.sizes, lesson.opened.tasks, lesson.opened.why)
        if lesson.back or lesson.opened is not None:
            route.put_back()
        if lesson.closed is not None:
            await route.books.no_longer_down(lesson.sizes, lesson.closed, back=True)

    async def resume(
        self, route: RouteRun, claim: Claim, answer: Answer, fetched: Picture | None = None
    ) -> ClaimResult:
        """Go on with an answer that is whole in the spool. Makes no call.

        Args:
            route: which it came over.
            claim: its task.
            answer: with its origin.
            fetched: what its address brought before, if it lies whole in the spool.
        """
        key, cost = route.keys.find(answer.origin.key_fingerprint), _cost(route, claim)
        outcome = _outcome(route, claim, answer, key)
        verdict = _Verdict(outcome, self._decide(route, outcome, claim, cost, key=key), cost)
        if isinstance(verdict.decision, StopLane):
            _stop(route, key, verdict.outcome, verdict.decision.why)
        return await self._deliver_or_conclude(route, claim, answer, verdict, fetched)

    async def book_lost(self, route: RouteRun, claim: Claim, attempt: int, detail: str) -> None:
        """Book a call whose answer nobody saw as maybe charged; its task goes on within its allowance for such."""
        outcome, cost = lost(route.contract, detail), _cost(route, claim)
        decision = self._decide(route, outcome, claim, cost)
        await route.books.conclude(claim, Answer(attempt, CallEnd.NO_ANSWER), outcome, decision, cost)

    async def book_not_worked_on(self, route: RouteRun, claim: Claim, answer: Answer) -> None:
        """Book a call that the gateway says it never worked on; its task goes on within its attempts."""
        outcome, cost = not_worked_on(answer.detail), _cost(route, claim)
        decision = self._decide(route, outcome, claim, cost)
        await route.books.conclude(claim, answer, outcome, decision, cost)

    async def book_not_sent(self, route: RouteRun, claim: Claim, attempt: int, detail: str) -> None:
        """Book a reservation whose call was never made as not charged; its task is as it was."""
        answer = Answer(attempt, CallEnd.NOT_SENT, detail=detail)
        outcome = classify(answer, route.contract)
        await route.books.conclude(claim, answer, outcome, Release(None, outcome.detail), _cost(route, claim))

    async def _book_not_kept(self, route: RouteRun, claim: Claim, found: NotKept) -> None:
        """Book what an answer says whose bytes could not be kept; a person must decide whether to buy it again."""
        outcome = classify(found.answer, route.contract, claim.text)
        decision = Park(f"paid, but its answer could not be kept ({found.why})")
        cost = _cost(route, claim)
        self._watch_price(route, await route.books.conclude(claim, found.answer, outcome, decision, cost), cost)

    async def _prepare(self, route: RouteRun, claim: Claim, admission: Admission) -> tuple[Call, Cost]:
        """Return the call without its number, and what it is expected to cost, once there is room for its answer."""
        inputs = await self.hand.prepare(claim.inputs, route.contract.references)
        call, cost = build_call(0, claim, route.contract, inputs), _cost(route, claim)
        await self.hand.check_room(admission.key.lane.cap.in_flight)
        return call, cost

    async def _send(self, route: RouteRun, claim: Claim, call: Call, admission: Admission) -> Answer | None:
        """Make a call and return its answer; None when there will be none, which is in the books then."""
        attempt = call.attempt
        route.books.started(claim, attempt)
        lane = admission.key.lane
        if not await lane.wait_turn(admission.ticket) or admission.key.stopped is not None:
            lane.unsent(admission.ticket)
            await self.book_not_sent(route, claim, attempt, "the run was stopped before it was sent")
            return None
        route.books.called()
        route.health.sent(claim, attempt)
        try:
            answer = await self.run.wire.wait(self.hand.send(route.name, call))
        except asyncio.CancelledError:
            await self.book_lost(route, claim, attempt, "given up: the run was left while the call was in flight")
            return None
        except StoreError as error:
            self.run.drain(f"{error}. One answer could not be kept")
            await self.book_lost(route, claim, attempt, f"the answer could not be written to the spool: {error}")
            return None
        if isinstance(answer, NotKept):
            self.run.drain(f"{answer.why}. One paid answer could not be kept")
            await self._book_not_kept(route, claim, answer)
            return None
        return answer

    def _tell_lane(self, route: RouteRun, verdict: _Verdict, admission: Admission, *, during: bool) -> None:
        """Slow the calls of a key down, stop them or let them grow, by what one of them came to."""
        outcome, decision, key = verdict.outcome, verdict.decision, admission.key
        if outcome.kind in LOST_KINDS and not during:
            route.books.lost()
        key.strikes = key.strikes + 1 if outcome.kind is OutcomeKind.UNAUTHORIZED else 0
        if isinstance(decision, StopLane):
            _stop(route, key, outcome, decision.why)
        elif outcome.kind in TOO_MANY or isinstance(decision, Release):
            self.run.emit(LanePaused(key.lane.name, _pause(route, outcome, admission), outcome.detail))
        elif outcome.kind is OutcomeKind.NOT_SENT:  # its gateway is down, and is waited for as such
            key.lane.unsent(admission.ticket)
        elif outcome.answered:
            key.lane.answered(admission.ticket, success=outcome.kind not in _NO_SUCCESS)

    async def _deliver_or_conclude(
        self,
        route: RouteRun,
        claim: Claim,
        answer: Answer,
        verdict: _Verdict,
        fetched: Picture | None = None,
    ) -> ClaimResult:
        """Book an answer, then bring its image into the output folder, or send its task where it goes without one."""
        outcome, cost = verdict.outcome, verdict.cost
        if not isinstance(verdict.decision, Deliver):
            if outcome.kind in KEPT_KINDS and not await self.hand.keep(answer.attempt):
                route.stop(_NO_MORE_KEPT)
            entry = await route.books.conclude(claim, answer, outcome, verdict.decision, cost)
            self._watch_price(route, entry, cost)
            await self.delivery.keep_damaged(answer)
            await self.hand.clear(answer.attempt)
            return ClaimResult.SETTLED
        if isinstance(answer.placed, Image):
            entry, flags = await route.books.book_and_complete(claim, answer, outcome, cost, answer.placed)
            self._watch_price(route, entry, cost)
            await self.delivery.keep_damaged(answer, but=answer.picture)
            return await self.delivery.note(Paid.of(answer, entry), answer.placed, flags)
        entry = await route.books.book(claim, answer, outcome, cost)
        self._watch_price(route, entry, cost)
        await self.delivery.keep_damaged(answer, but=answer.picture)
        paid = Paid.of(answer, entry)
        if answer.placed is not None:
            return await self.delivery.condemn(route, claim, answer.attempt, answer.placed)
        picture = answer.picture or fetched
        if picture is None:
            return await self.delivery.fetch(route, claim, paid, entry.url, entry.url_expires)
        return await self.delivery.place(route, claim, paid, picture)

    def _watch_price(self, route: RouteRun, entry: Booking, cost: Cost) -> None:
        """Stop the lane at the first bill that is not what the contract says."""
        if entry.doubt:
            route.stop(
                f"attempt {entry.attempt}: {entry.doubt}, so it is booked as maybe charged; see what {route.name} "
                "charged by its own log, and put the price right, then run again"
            )
        elif entry.charge is Charge.BILLED and cost.upper is not None and entry.billed > cost.upper:
            route.stop(
                f"attempt {entry.attempt} was billed {format_usd(entry.billed)} where at most {format_usd(cost.upper)} "
                f"was reserved: the price of {route.name} is not what its contract says"
            )

    def _decide(
        self,
        route: RouteRun,
        outcome: Outcome,
        claim: Claim,
        cost: Cost,
        *,
        key: RouteKey | None = None,
        lesson: Lesson = NO_LESSON,
    ) -> Decision:
        others, books = self.run.routes.next_routes(route, claim), route.books
        proven = key.proven if key is not None and outcome.kind in OF_THE_KEY else books.proven
        decision = decide(
            outcome,
            claim,
            route.rules,
            self.run.uniform,
            others,
            proven=proven,
            strikes=key.strikes if key is not None else 0,
            alike=lesson.alike,
            spared=lesson.spared,
            upper=cost.upper,
        )
        if isinstance(decision, Failover):
            self._explain_once(route.name, decision.route, outcome)
        return decision

    def _explain_once(self, here: str, there: str, outcome: Outcome) -> None:
        if (here, there, outcome.kind) not in self._explained:
            self._explained.add((here, there, outcome.kind))
            self.run.explain(
                f"{here} does not deliver everything ({outcome.detail[:200]}). Such tasks go on over {there}"
            )


def _stop(route: RouteRun, key: RouteKey | None, outcome: Outcome, why: str) -> None:
    """Make no more calls over a route, or with the one key alone that was refused."""
    if key is not None and outcome.kind in OF_THE_KEY:
        route.keys.refuse(key, why)
    else:
        route.stop(why)


def _outcome(route: RouteRun, claim: Claim, answer: Answer, key: RouteKey | None) -> Outcome:
    """Say what an answer means; `key` is that of its call, where it is here."""
    outcome = classify(answer, route.contract, claim.text)
    if key is not None and outcome.kind is OutcomeKind.DELIVERED:
        key.proven = True
    if outcome.kind in KEPT_KINDS:
        return replace(outcome, detail=f"{outcome.detail} · kept in {kept_receipt(answer.attempt)}")
    return outcome


def _pause(route: RouteRun, outcome: Outcome, admission: Admission) -> float:
    """Tell a lane why a call came to nothing that may go through later; return the seconds until then."""
    if outcome.kind in TOO_MANY:
        return route.keys.throttled(admission, outcome.retry_after)
    return route.keys.failed(admission, outcome.retry_after, left=outcome.kind is not OutcomeKind.NOT_SENT)


def _cost(route: RouteRun, claim: Claim) -> Cost:
    return expected(route.contract, Demand.of_claim(claim))
