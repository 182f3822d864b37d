"""What happens after an outcome. Pure: outcome, history and limits in, one decision out."""

from __future__ import annotations

from dataclasses import dataclass, field

from batchgen.domain.job import FourK, Limits
from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import KEPT_KINDS, Claim, Outcome, OutcomeKind
from batchgen.domain.size import Size, downgraded
from batchgen.policy.backoff import Backoff, Uniform
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.lanes.rule import SHORT_WAIT


@dataclass(frozen=True, slots=True)
class Deliver:
    """An image came: book it, check it, place it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The same again, so many seconds from now."""

    delay: float
    why: str


@dataclass(frozen=True, slots=True)
class Release:
    """The task goes back as it was, the attempt does not count; its lane waits.

    Attributes:
        wait: seconds the gateway asks for; None when it does not say.
        alone: whether only the task waits so long, and its lane goes on.
    """

    wait: float | None
    why: str
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Outlast:
    """The task goes back as it was: its gateway is down, and the attempt does not count."""

    why: str


@dataclass(frozen=True, slots=True)
class Downgrade:
    """The same again at a smaller size."""

    size: Size
    delay: float
    why: str


@dataclass(frozen=True, slots=True)
class Park:
    """A person must decide."""

    why: str


@dataclass(frozen=True, slots=True)
class Fail:
    """There is no automatic way on."""

    why: str


@dataclass(frozen=True, slots=True)
class StopLane:
    """No call of this lane can succeed until somebody acts.

    Attributes:
        then: what becomes of the task when the call may have been paid, or the answer is about the task itself; None:
            it goes back as it was.
    """

    why: str
    then: Retry | Park | Fail | None = None


@dataclass(frozen=True, slots=True)
class Failover:
    """The same over another route, whose attempts are counted anew."""

    route: str
    why: str


Decision = Deliver | Retry | Release | Outlast | Downgrade | Failover | Park | Fail | StopLane


@dataclass(frozen=True, slots=True)
class Rules:
    """What a job allows on one route.

    Attributes:
        four_k: what to do about failures of 4K sizes, where the contract knows such failures; `RETRY` elsewhere.
        on_refusal: whether content that one route refuses is tried over another.
    """

    limits: Limits
    four_k: FourK = FourK.RETRY
    on_refusal: bool = False
    backoff: Backoff = field(default_factory=Backoff)


REFUSALS = frozenset({OutcomeKind.REFUSED, OutcomeKind.REFUSED_TEXT})
# Nothing in the answer, or broken bytes: the same call may bring an image, and is paid again.
HOLLOW_KINDS = frozenset({OutcomeKind.EMPTY, OutcomeKind.DAMAGED})
_LEFT = KEPT_KINDS | {OutcomeKind.EXPIRED}
CHEAP = 50_000  # micro-dollars that a call takes at most of which a hollow answer is paid for once more by itself

# Seconds a task waits at most, whatever a gateway asks for.
LONGEST_DELAY = 3600.0

_STOP = {
    OutcomeKind.QUOTA: "no quota or balance is left: top up, then run again",
    OutcomeKind.UNAUTHORIZED: "the key was not accepted: check it and its group, then run again",
    OutcomeKind.UNSERVED: "the gateway does not serve this model to this key: check the route and the key's group, "
    "then run again",
    OutcomeKind.NO_CHANNEL: "the gateway has nobody who serves this model now: try later, or another route",
}
_NO_IMAGE_NOW = (
    "the gateway takes calls in and draws later: say with `task:` under `route` how they are followed, or take another "
    "route or endpoint"
)
_MOVED = (
    "the gateway redirects its calls, and no paid call follows a redirect: put the address where it leads into "
    "base_url, then run again"
)
# What is said of answers that are all alike.
_ALIKE = {
    OutcomeKind.EMPTY: "answer after answer holds no image: see what the gateway says of them, or take another route "
    "or endpoint, then run again",
    OutcomeKind.UNREAD: "answer after answer cannot be read: say where the picture stands with `picture_at:` under "
    "`route`, read them again with `batchgen recover`, then run again",
    OutcomeKind.REJECTED: "the gateway rejects call after call in the same words: put right what is asked, make what "
    "failed available with `batchgen retry`, then run again",
}
# What the gateway turned away because there was too much at once.
TOO_MANY = frozenset({OutcomeKind.THROTTLED, OutcomeKind.BUSY})
# What the gateway did not take in: the same call may go through later.
FOR_LATER = TOO_MANY | {OutcomeKind.NOT_SENT, OutcomeKind.NO_CHANNEL}
# What no call of the route gets past until somebody acts.
STOPS = frozenset(_STOP)
# What one key is told, and says nothing of the others of its route.
OF_THE_KEY = frozenset({OutcomeKind.QUOTA, OutcomeKind.UNAUTHORIZED})
_FREE = FOR_LATER | STOPS
_STRIKES = 3  # times that a key which worked before is refused in a row until it is believed
_FINAL = {
    OutcomeKind.REJECTED: "the gateway rejects what is asked",
    OutcomeKind.REFUSED: "the content was refused",
    OutcomeKind.REFUSED_TEXT: "the content was refused in words",
    OutcomeKind.EMPTY: "the answer held no image",
    OutcomeKind.DAMAGED: "the image cannot be used",
    OutcomeKind.OVERSIZED: "the answer never ended",
}


@dataclass(frozen=True, slots=True)
class NextRoutes:
    """Where a task may go when its route cannot deliver it; "" for nowhere.

    Attributes:
        fallback: the next route that the manifest names.
        rescue: the route for 4K sizes that must be delivered.
    """

    fallback: str = ""
    rescue: str = ""


NOWHERE = NextRoutes()


def decide(
    outcome: Outcome,
    claim: Claim,
    rules: Rules,
    uniform: Uniform,
    routes: NextRoutes = NOWHERE,
    *,
    proven: bool = False,
    strikes: int = 0,
    alike: bool = False,
    spared: bool = False,
    upper: int | None = None,
) -> Decision:
    """Say what happens after one outcome.

    Args:
        outcome: what came back, and what it means.
        claim: the task as it was before this attempt; its counters do not include it yet.
        rules: what the job allows.
        uniform: draws the share of a wait that is left to chance.
        routes: where the task may go on.
        proven: whether the route, or the key where that is refused, has brought an image in this run, so that its
            address and its key are right.
        strikes: calls before this one that were refused for the key, one after the other.
        alike: whether so many answers said the same as this one that there will be no other ones.
        spared: whether a failure is none of the task's attempts, because its gateway is down.
        upper: micro-dollars that the same call may take once more at most; None where nobody can say.
    """
    step = _step(outcome, claim, rules, uniform, routes, proven=proven, strikes=strikes, upper=upper)
    if spared and not isinstance(step, StopLane):
        return Outlast(outcome.detail)
    if alike and isinstance(step, Retry | Park | Fail) and outcome.kind in _ALIKE:
        return StopLane(f"{_ALIKE[outcome.kind]} ({outcome.detail})", step)
    return step


def _step(
    outcome: Outcome,
    claim: Claim,
    rules: Rules,
    uniform: Uniform,
    routes: NextRoutes,
    *,
    proven: bool,
    strikes: int,
    upper: int | None,
) -> Decision:
    """Say what happens to a task after one outcome, whatever happens to others."""
    kind = outcome.kind
    if kind is OutcomeKind.DELIVERED:
        return Deliver()
    if outcome.obstacle is not None and not proven:
        return StopLane(f"{outcome.obstacle.advice} ({outcome.detail})")
    if kind in _FREE:
        return _after_free(outcome, claim, rules, uniform, passes=_passes(kind, proven=proven, strikes=strikes))
    if kind in _LEFT:
        return _leave(outcome)
    if kind in HOLLOW_KINDS and _may_pay_again(claim, rules.limits, upper):
        return Retry(_delay(outcome, claim, rules, uniform), outcome.detail)
    if kind in _FINAL:
        why = f"{_FINAL[kind]} ({outcome.detail})"
        moves = kind in REFUSALS and rules.on_refusal and routes.fallback
        return Failover(routes.fallback, why) if moves else Fail(why)
    if kind in LOST_KINDS:
        return _after_lost(outcome, claim, rules, uniform, proven=proven)
    return _after_server_error(outcome, claim, rules, uniform, routes)


def counts(outcome: Outcome) -> bool:
    """Say whether an outcome uses up one of a task's attempts: what the gateway took in does, and what may be paid."""
    return outcome.kind not in _FREE or outcome.charge is not Charge.VOID


def paid_retries(limits: Limits, upper: int | None) -> int:
    """Say how often a call is made once more by itself that was paid and brought nothing.

    Args:
        limits: of the job.
        upper: micro-dollars that it takes at most; None where nobody can say.
    """
    if limits.retry_paid is not None:
        return limits.retry_paid
    return 1 if upper is not None and upper <= CHEAP else 0


def _passes(kind: OutcomeKind, *, proven: bool, strikes: int) -> bool:
    """Whether the same call may go through later: a route that has worked is believed to work again."""
    if kind is OutcomeKind.UNAUTHORIZED:
        return proven and strikes + 1 < _STRIKES
    if kind is OutcomeKind.NO_CHANNEL:
        return proven
    return kind not in STOPS


def _after_free(outcome: Outcome, claim: Claim, rules: Rules, uniform: Uniform, *, passes: bool) -> Decision:
    """What the gateway did not take in; where it may have charged it all the same, it is no free try."""
    step = None if outcome.charge is Charge.VOID else _paid_try(outcome, claim, rules, uniform)
    if not passes:
        return StopLane(f"{_MOVED if outcome.moved else _STOP[outcome.kind]} ({outcome.detail})", step)
    wait = outcome.retry_after
    alone = outcome.kind in TOO_MANY and wait is not None and wait <= SHORT_WAIT
    return step or Release(wait, outcome.detail, alone)


def _paid_try(outcome: Outcome, claim: Claim, rules: Rules, uniform: Uniform) -> Retry | Park:
    if claim.attempts + 1 >= rules.limits.attempts:
        return Park(f"refused on the last of {rules.limits.attempts} attempts, and maybe charged ({outcome.detail})")
    return Retry(_delay(outcome, claim, rules, uniform), outcome.detail)


def _leave(outcome: Outcome) -> Park | StopLane:
    """What is paid, or may be, and brought no image that we could get at: a person decides."""
    if outcome.kind is OutcomeKind.EXPIRED:
        return Park(outcome.detail)
    if outcome.kind is OutcomeKind.ACCEPTED:
        park = Park(f"taken in for later, and maybe charged ({outcome.detail})")
        return StopLane(f"{_NO_IMAGE_NOW} ({outcome.detail})", park)
    return Park(f"paid, and nobody can read the answer ({outcome.detail})")


def _may_pay_again(claim: Claim, limits: Limits, upper: int | None) -> bool:
    return claim.hollow < paid_retries(limits, upper) and claim.attempts + 1 < limits.attempts


def _after_lost(outcome: Outcome, claim: Claim, rules: Rules, uniform: Uniform, *, proven: bool) -> Decision:
    step = _once_more(outcome, claim, rules, uniform)
    if outcome.page and not proven:  # before the first image the address is wrong; later a proxy's page passes
        why = f"no gateway answers there: check the route's base_url, then run again ({outcome.detail})"
        return StopLane(why, step)
    return step


def _once_more(outcome: Outcome, claim: Claim, rules: Rules, uniform: Uniform) -> Retry | Park:
    limits = rules.limits
    if claim.unknowns >= limits.unknown:
        number = claim.unknowns + 1
        return Park(f"{number} lost answer{'s' if number > 1 else ''}, each may have been charged ({outcome.detail})")
    if claim.attempts + 1 >= limits.attempts:
        return Park(f"an answer was lost on the last of {limits.attempts} attempts ({outcome.detail})")
    return Retry(_delay(outcome, claim, rules, uniform), outcome.detail)


def _after_server_error(outcome: Outcome, claim: Claim, rules: Rules, uniform: Uniform, routes: NextRoutes) -> Decision:
    used, large = claim.attempts + 1, claim.send_size.tier == "4K"
    if large and rules.four_k is FourK.FAIL:
        return Fail(f"4K failed, and the job wants no other try ({outcome.detail})")
    if used >= rules.limits.attempts:
        why = f"{used} attempt{'s' if used > 1 else ''} failed, the last with: {outcome.detail}"
        route = (routes.rescue if large else "") or routes.fallback
        if route:
            return Failover(route, why)
        return Park(f"maybe charged: {why}") if outcome.inside and outcome.charge is Charge.UNKNOWN else Fail(why)
    delay = _delay(outcome, claim, rules, uniform)
    smaller = downgraded(claim.send_size) if rules.four_k is FourK.DOWNGRADE else None
    if smaller is not None:
        return Downgrade(smaller, delay, f"{claim.send_size} failed ({outcome.detail}); {smaller} is asked instead")
    return Retry(delay, outcome.detail)


def _delay(outcome: Outcome, claim: Claim, rules: Rules, uniform: Uniform) -> float:
    asked = min(outcome.retry_after or 0.0, LONGEST_DELAY)
    return max(asked, rules.backoff.delay(claim.attempts + 1, uniform))
