"""Puts a run together: a lane, books and a hand for each of its routes, and the executor that buys over them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock
from batchgen.domain.job import FourK, JobSpec
from batchgen.engine.attempt import Executor
from batchgen.engine.bookings import Account
from batchgen.engine.bookkeeper import Bookkeeper, DeliveredDigests
from batchgen.engine.hand import Hand
from batchgen.engine.job_run import JobRun
from batchgen.engine.lane import ConcurrencyCap, Lane
from batchgen.engine.routes import RouteRun
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from batchgen.policy.backoff import Backoff
from batchgen.policy.decide import Rules
from batchgen.store.inputs.input_store import InputStore
from batchgen.store.output.image_index import ImageIndex
from batchgen.store.spool.spool import Spool


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route that can be called now, at its real address or at a simulated one.

    Attributes:
        rescue: whether it only takes 4K sizes that another route could not deliver.
    """

    contract: Contract
    rescue: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """A route with who speaks to its gateway, and to where its images are.

    Attributes:
        key_fingerprint: of the key that its calls are made with; "" where none will be.
    """

    spec: RouteSpec
    client: Client
    downloader: Downloader
    key_fingerprint: str = ""


@asynccontextmanager
async def connected(
    spec: RouteSpec, clock: Clock, key: Callable[[str], str], key_fingerprint: str = ""
) -> AsyncIterator[Connection]:
    """The connection of a route, closed at the end.

    Args:
        key: gives the key of a variable's name.
        key_fingerprint: of the key of this route.
    """
    headers = spec.contract.request_id_headers
    async with Client(clock=clock, key=key, request_id_headers=headers) as client, Downloader() as downloader:
        yield Connection(spec, client, downloader, key_fingerprint)


def assemble(
    run: JobRun,
    job: JobSpec,
    connections: Sequence[Connection],
    *,
    spool: Spool,
    index: ImageIndex,
    inputs: InputStore,
    most: int | None = None,
    delivered: Iterable[tuple[str, int]] = (),
    backoff: Backoff | None = None,
) -> Executor:
    """Fill a run with its routes, the job's own first; gives who buys over them.

    Args:
        run: without routes.
        job: what it is a run of.
        connections: a route each, in the order in which they are tried.
        most: calls in flight over all routes; None for what the job allows.
        delivered: the images that the job has: SHA-256 in hexadecimal, and the task.
        backoff: of failed calls; None for the usual one.
    """
    cap, known = ConcurrencyCap(most or job.limits.concurrency), DeliveredDigests(delivered)
    for connection in connections:
        contract = connection.spec.contract
        books = _books(run, job, connection, home=connections[0].spec.contract.route, delivered=known)
        rules = Rules(
            job.limits,
            job.four_k if contract.downgrade else FourK.RETRY,
            job.fallback_on_refusal,
            backoff=backoff or Backoff(),
        )
        hand = Hand(
            client=connection.client,
            downloader=connection.downloader,
            spool=spool,
            inputs=inputs,
            loopback_base=contract.base_url if contract.loopback else "",
        )
        run.routes.add(RouteRun(contract, rules, books, hand, _lane(run, job, contract, cap), connection.spec.rescue))
    return Executor(run, index)


def _books(run: JobRun, job: JobSpec, connection: Connection, *, home: str, delivered: DeliveredDigests) -> Bookkeeper:
    walls = run.walls
    account = Account(connection.key_fingerprint, job.limits.budget, run.number, walls.per_run, walls.monthly)
    return Bookkeeper(
        contract=connection.spec.contract,
        account=account,
        ledger=run.ledger,
        clock=run.clock,
        listener=run.emit,
        tally=run.tally,
        home=home,
        delivered=delivered,
    )


def _lane(run: JobRun, job: JobSpec, contract: Contract, cap: ConcurrencyCap) -> Lane:
    """The lane of a route: that of the job's own takes what the job allows, others no more than their contract."""
    ceiling = min(job.limits.concurrency, contract.concurrency) if len(run.routes) else job.limits.concurrency
    name = f"{contract.provider}/{contract.model}"
    return Lane(name, ceiling, job.limits.rate, clock=run.clock, uniform=run.uniform, cap=cap)
