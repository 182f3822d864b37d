"""Puts a run together: a lane and books for each of its routes, and the executor that buys over them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.domain.job import FourK, JobSpec
from batchgen.engine.attempt import Executor
from batchgen.engine.bookings import Account
from batchgen.engine.bookkeeper import Bookkeeper, DeliveredDigests
from batchgen.engine.hand import Hand
from batchgen.engine.health import RouteHealth
from batchgen.engine.job_run import JobRun
from batchgen.engine.lane import ConcurrencyCap, Lane
from batchgen.engine.routes import RouteRun
from batchgen.policy.backoff import Backoff
from batchgen.policy.decide import Rules


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route that can be called now, at its real address or at a simulated one.

    Attributes:
        rescue: whether it only takes 4K sizes that another route could not deliver.
        key_fingerprint: of the key that its calls are made with; "" where none will be.
    """

    contract: Contract
    rescue: bool = False
    key_fingerprint: str = ""


def assemble(
    run: JobRun,
    job: JobSpec,
    routes: Sequence[RouteSpec],
    hand: Hand,
    *,
    most: int | None = None,
    delivered: Iterable[tuple[str, int]] = (),
    backoff: Backoff | None = None,
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
    """
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
        lane, health = _lane(run, job, contract, cap), RouteHealth(run.clock)
        run.routes.add(RouteRun(contract, rules, books, lane, health, route.rescue))
    return Executor(run, hand)


def _books(run: JobRun, job: JobSpec, route: RouteSpec, *, home: str, delivered: DeliveredDigests) -> Bookkeeper:
    walls = run.walls
    account = Account(route.key_fingerprint, job.limits.budget, run.number, walls.per_run, walls.monthly)
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


def _lane(run: JobRun, job: JobSpec, contract: Contract, cap: ConcurrencyCap) -> Lane:
    """Make the lane of a route: the job's own takes what the job allows, others no more than their contract does."""
    ceiling = min(job.limits.concurrency, contract.concurrency) if len(run.routes) else job.limits.concurrency
    name = f"{contract.provider}/{contract.model}"
    return Lane(name, ceiling, job.limits.rate, clock=run.clock, uniform=run.uniform, cap=cap)
