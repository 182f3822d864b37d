"""Puts a run together: a lane and books for each of its routes, and the executor that buys over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.domain.job import FourK, JobSpec
from batchgen.domain.learned import STALE_AFTER, Learned, Whose
from batchgen.engine.attempt import Executor
from batchgen.engine.bookings import Account
from batchgen.engine.bookkeeper import Bookkeeper, DeliveredDigests
from batchgen.engine.hand import Hand
from batchgen.engine.health import RouteHealth
from batchgen.engine.job_run import JobRun
from batchgen.engine.lane import ConcurrencyCap, JobRate, Lane
from batchgen.engine.route_keys import RouteKey, RouteKeys
from batchgen.engine.routes import RouteRun
from batchgen.policy.backoff import Backoff
from batchgen.policy.decide import Rules
from batchgen.policy.lanes.known_pace import KnownPace
from batchgen.policy.lanes.memory import recalled
from batchgen.policy.lanes.rule import LaneRule

# Seconds within which a refusal is there: from this machine, and from others.
_NEAR, _FAR = 0.003, 1.0


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route that can be called now, at its real address or at a simulated one.

    Attributes:
        rescue: whether it only takes 4K sizes that another route could not deliver.
        fingerprints: of its keys, in their order; () where nothing will be bought.
    """

    contract: Contract
    rescue: bool = False
    fingerprints: tuple[str, ...] = ()


def assemble(
    run: JobRun,
    job: JobSpec,
    routes: Sequence[RouteSpec],
    hand: Hand,
    *,
    most: int | None = None,
    delivered: Iterable[tuple[str, int]] = (),
    backoff: Backoff | None = None,
    quotas: Iterable[Learned] | None = None,
) -> Executor:
    """Fill a run with its routes, the job's own first; return who buys over them.

    Args:
        run: without routes.
        job: what it is a run of.
        routes: in the order in which they are tried.
        hand: who talks to their gateways.
        most: calls in flight over all routes; None for what the job allows.
        delivered: the images that the job has: SHA-256 in hexadecimal, and the task.
        backoff: of failed calls; None for the usual one.
        quotas: what earlier runs learned of gateways; None where nothing is to be learned for later ones, either.
    """
    before = None if quotas is None else {each.whose: each for each in quotas}
    cap, known = ConcurrencyCap(most or job.limits.concurrency), DeliveredDigests(delivered)
    for route in routes:
        contract = route.contract
        books = _books(run, job, route, home=routes[0].contract.route, delivered=known)
        rules = Rules(
            job.limits,
            job.four_k if contract.downgrade else FourK.RETRY,
            job.fallback_on_refusal,
            backoff=backoff or Backoff(),
        )
        keys, health = _keys(run, job, route, cap, before), RouteHealth(run.clock, run.uniform, rules.four_k)
        run.routes.add(RouteRun(contract, rules, books, keys, health, route.rescue))
    return Executor(run, hand)


def _books(run: JobRun, job: JobSpec, route: RouteSpec, *, home: str, delivered: DeliveredDigests) -> Bookkeeper:
    walls = run.walls
    account = Account(job.limits.budget, run.number, walls.per_run, walls.monthly)
    return Bookkeeper(
        contract=route.contract,
        account=account,
        ledger=run.ledger,
        clock=run.clock,
        listener=run.emit,
        tally=run.tally,
        home=home,
        delivered=delivered,
    )


def _keys(
    run: JobRun, job: JobSpec, route: RouteSpec, cap: ConcurrencyCap, before: Mapping[Whose, Learned] | None
) -> RouteKeys:
    """Make the keys of a route, each with a lane of its own where the contract gives each its own limits."""
    contract, envs = route.contract, route.contract.keys or ("",)
    fingerprints = route.fingerprints or ("",) * len(envs)
    rule = _rule(job, contract, _ceiling(job, contract, own=not len(run.routes)))
    rate, name = JobRate(rule.known), f"{contract.provider}/{contract.model}"

    def lane(of: str, whose: Whose) -> Lane:
        return Lane(
            name + of,
            rule if before is None else _begun(rule, before.get(whose), run.clock.now()),
            clock=run.clock,
            uniform=run.uniform,
            cap=cap,
            rate=rate,
            left=run.left,
            whose=None if before is None else whose,
        )

    quotas = quotas_of(route)
    if len(quotas) > 1:
        lanes = [lane(f" with the key in {env}", whose) for env, whose in zip(envs, quotas, strict=True)]
    else:
        lanes = [lane("", quotas[0])] * len(envs)
    keys = map(RouteKey, envs, fingerprints, lanes)
    return RouteKeys(keys, lambda why: run.explain(f"{contract.route}: {why}. Going on with the others"))


def quotas_of(route: RouteSpec) -> list[Whose]:
    """Return who shares the quotas of a route: one for each key with limits of its own, else one for all."""
    contract, fingerprints = route.contract, route.fingerprints or ("",) * max(1, len(route.contract.keys))
    mine = fingerprints if contract.quotas > 1 else [min(fingerprints)]  # in whatever order the keys are named
    return [Whose(contract.host, each, contract.model) for each in mine]


def _begun(rule: LaneRule, known: Learned | None, now: float) -> LaneRule:
    """Return a rule that begins with what another run has learned lately."""
    return rule if known is None or now - known.learned_at >= STALE_AFTER else recalled(rule, known)


def _ceiling(job: JobSpec, contract: Contract, *, own: bool) -> int:
    """Return how many calls one lane of a route may have in flight.

    The job's own route takes what the job allows, and each of several keys its share of that, or what it is known to
    take; other routes take no more than their contract does.
    """
    most = job.limits.concurrency
    if own:
        return most if contract.quotas == 1 else max(min(most, contract.concurrency), -(-most // contract.quotas))
    return min(most, contract.concurrency)


def _rule(job: JobSpec, contract: Contract, ceiling: int) -> LaneRule:
    """Return what is known of a gateway before the first call."""
    known = KnownPace(job.limits.rate, job.limits.burst) if job.limits.rate is not None else None
    rule = LaneRule.start(ceiling, _NEAR if contract.loopback else _FAR, known)
    return rule.stated(contract.concurrency) if contract.begins_at_concurrency else rule
