"""What a call and its answer become in the books: plain translations, no input or output."""

from __future__ import annotations

from dataclasses import dataclass, replace

from batchgen.contracts.contract import Contract
from batchgen.contracts.pricing import Demand, billed
from batchgen.contracts.tokens import NoPrice, PerCall, TokenPrice
from batchgen.domain.errors import PriceUnknown
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Booking, Claim, Cost, Outcome, OutcomeKind, Reservation, Settlement
from batchgen.domain.output_image import Image
from batchgen.domain.size import Size
from batchgen.domain.walls import lowest
from batchgen.domain.wire import Answer, Call
from batchgen.gateway.request import request_hash
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.credible import doubt
from batchgen.policy.decide import (
    HOLLOW_KINDS,
    Decision,
    Deliver,
    Downgrade,
    Fail,
    Failover,
    Outlast,
    Park,
    Release,
    Retry,
    StopLane,
    counts,
)

# Routes that are sized by wording promise a shape, not pixels; a few pixels off is normal there.
_SHAPE_TOLERANCE = 0.03
_BILLING_UNITS = {PerCall: "call", TokenPrice: "tokens", NoPrice: "unknown"}


# Neither an image nor words say that anything was made: what such a call took is no more than a guess.
_SAY_NOTHING = frozenset({OutcomeKind.EMPTY, OutcomeKind.UNREAD})


@dataclass(frozen=True, slots=True)
class Account:
    """In the name of which run calls are made, and how far they may spend; micro-dollars, None for no limit.

    Attributes:
        budget: of the job, over all its runs.
        run: its number in the books; None where it has none.
        per_run: of this run.
        monthly: of all jobs of the ledger, in a local calendar month.
    """

    budget: int | None
    run: int | None = None
    per_run: int | None = None
    monthly: int | None = None

    @property
    def limited(self) -> bool:
        """Whether spending is held in by anything."""
        return lowest(self.budget, self.per_run, self.monthly) is not None


def reservation(
    claim: Claim, call: Call, cost: Cost, contract: Contract, account: Account, *, key_fingerprint: str, now: float
) -> Reservation:
    """Return the attempt that is about to be made, with the key of that fingerprint.

    Raises:
        PriceUnknown: there is a limit, and nobody can say what the call costs at most: it could go over it unseen.
    """
    if account.limited and cost.upper is None:
        asked = f"{claim.send_size} in quality {claim.parameters.quality or 'auto'}"
        raise PriceUnknown(
            f"{claim.key}: nobody can say what {contract.route} takes at most for {asked}, so no limit of "
            "money can hold and nothing was sent; remove it, or give the route a price: in the manifest"
        )
    return Reservation(
        task=claim.task,
        job=claim.job,
        revision=claim.revision,
        provider=contract.provider,
        route=contract.route,
        group=contract.group,
        model=contract.model,
        endpoint=call.operation,
        base_url=contract.base_url,
        size_asked=str(claim.size),
        size_sent=str(claim.send_size),
        quality=claim.parameters.quality or "",
        request_hash=request_hash(call),
        estimated=cost.micros,
        reserved=cost.upper or 0,
        price_basis=cost.basis,
        billing_unit=_BILLING_UNITS[type(contract.price)],
        key_fingerprint=key_fingerprint,
        reserved_at=now,
        queued_for=max(0.0, now - claim.queued_at),
        budget=account.budget,
        run=account.run,
        per_run=account.per_run,
        monthly=account.monthly,
    )


def booking(claim: Claim, answer: Answer, outcome: Outcome, cost: Cost, contract: Contract, now: float) -> Booking:
    """Return what an attempt turned out to cost.

    A price nobody knows is `unknown`, never zero; one that cannot be believed is `unknown` at what was reserved.
    """
    charge, amount, basis, why = outcome.charge, 0, cost.basis, ""
    outputs = len(answer.pictures) + len(answer.urls)
    if charge is Charge.BILLED or (charge is Charge.UNKNOWN and answer.usage is not None):
        bill = billed(contract, Demand.of_claim(claim), answer.usage, outputs)
        why = doubt(contract, answer.usage, bill, cost, outputs=outputs)
    if charge is Charge.BILLED:
        if why:
            charge, amount = Charge.UNKNOWN, _set_aside(cost)
        elif bill.micros is None:
            charge, basis = Charge.UNKNOWN, bill.basis
        elif outcome.kind in _SAY_NOTHING and bill.basis.startswith("estimate"):
            charge, amount, basis = Charge.UNKNOWN, bill.micros, bill.basis
        else:
            amount, basis = bill.micros, bill.basis
    elif charge is Charge.UNKNOWN:
        amount = cost.micros if cost.micros is not None else _set_aside(cost)
    return Booking(
        attempt=answer.attempt,
        charge=charge,
        billed=amount,
        kind=outcome.kind,
        detail=" · ".join(filter(None, (outcome.detail, why))),
        cause=outcome.cause,
        status=answer.status,
        request_ids=answer.request_ids,
        usage=answer.usage,
        price_basis=basis,
        doubt=why,
        outputs=outputs,
        effective=answer.effective,
        sent_at=answer.sent_at,
        first_byte=answer.first_byte,
        total=answer.total,
        finished_at=now,
    )


def _set_aside(cost: Cost) -> int:
    """Return what a call is taken for when nobody says what it cost."""
    return cost.upper if cost.upper is not None else cost.micros or 0


def settlement(claim: Claim, attempt: int, outcome: Outcome, decision: Decision, now: float) -> Settlement:
    """Return where a task goes after a decision."""
    base = Settlement(
        claim.task,
        attempt,
        TaskEvent.RELEASE,
        reason=outcome.detail,
        counts=counts(outcome),
        lost=outcome.kind in LOST_KINDS,
        hollow=outcome.kind in HOLLOW_KINDS,
    )
    if (wait := _own_wait(decision)) is not None:
        return replace(base, event=TaskEvent.RETRY, scheduled_at=now + wait)
    match decision:
        case Downgrade(size, delay, why):
            return replace(base, event=TaskEvent.RETRY, reason=why, scheduled_at=now + delay, send_size=size)
        case Failover(route, why):
            return replace(base, event=TaskEvent.RETRY, reason=why, scheduled_at=now, send_route=route)
        case Park(why):
            return replace(base, event=TaskEvent.PARK, reason=why)
        case Fail(why):
            return replace(base, event=TaskEvent.FAIL, reason=why)
        case StopLane(_, Retry() | Park() | Fail() as then):
            return settlement(claim, attempt, outcome, then, now)
        case Retry() | Release() | Outlast() | StopLane() | Deliver():
            return base


def _own_wait(decision: Decision) -> float | None:
    """Return the seconds that a task waits by itself; None where it does not, or its whole lane waits."""
    match decision:
        case Retry(delay):
            return delay
        case Release(wait, alone=True):
            return wait
        case _:
            return None


_WORDS: dict[type[Decision], str] = {
    Release: "again when the lane goes on",
    Outlast: "again when the gateway is back",
    Park: "parked",
    Fail: "failed",
    StopLane: "the route stops",
    Deliver: "the image is checked",
}


def words(decision: Decision) -> str:
    """Put a decision into words for the person who watches."""
    if (wait := _own_wait(decision)) is not None:
        return f"again {_when(wait)}"
    match decision:
        case Downgrade(size, delay):
            return f"again at {size} {_when(delay)}"
        case Failover(route):
            return f"goes on over {route}"
        case Park(why) | Fail(why):
            return f"{_WORDS[type(decision)]}: {why}"
        case _:
            return _WORDS[type(decision)]


def _when(delay: float) -> str:
    return f"in {delay:.0f} s" if delay >= 0.5 else "at once"


def image_flags(
    claim: Claim, image: Image, contract: Contract, *, rerouted: bool, repeated: bool = False
) -> tuple[str, ...]:
    """Return what is to be said of an image that may not be what was asked for, or came over another route."""
    flags = []
    if claim.send_size != claim.size:
        flags.append("downgraded")
    if rerouted:
        flags.append("rerouted")
    due = contract.sizes.answer(claim.send_size)
    if due is not None and not _as_due(due, image, exact=contract.sizes.by == "parameter"):
        flags.append("size_mismatch")
    if image.blank:
        flags.append("blank")
    if repeated:
        flags.append("duplicate")
    return tuple(flags)


def _as_due(due: Size, image: Image, *, exact: bool) -> bool:
    if exact:
        return (image.width, image.height) == (due.width, due.height)
    return abs(image.width * due.height / (image.height * due.width) - 1) <= _SHAPE_TOLERANCE
