"""From contracts to what buys over them: client, hand, lane, books and executor of each route of a run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from batchgen.app.keyring import KeyRing
from batchgen.cli.output import say
from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock
from batchgen.domain.events import Listener
from batchgen.domain.job import FourK, JobSpec
from batchgen.domain.walls import Walls
from batchgen.engine.attempt import Executor
from batchgen.engine.bookkeeper import Bookkeeper, Tally
from batchgen.engine.delivered import Delivered
from batchgen.engine.delivery import Delivery, Means
from batchgen.engine.entries import Account
from batchgen.engine.hand import Hand
from batchgen.engine.lane import Crowd, Lane
from batchgen.engine.leg import Leg, Legs
from batchgen.gateway.client import Client
from batchgen.gateway.download import Downloader
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.policy.decide import Rules
from batchgen.store.inputs.input_store import InputStore
from batchgen.store.output.image_index import ImageIndex
from batchgen.store.spool.descriptors import calls_that_fit
from batchgen.store.spool.spool import Spool


@dataclass(frozen=True, slots=True)
class Reachable:
    """A route that can be called now, at its real address or at a simulated one."""

    contract: Contract
    rescue: bool = False


@dataclass(frozen=True, slots=True)
class Shared:
    """What all routes of a run have in common.

    Attributes:
        stop: told why no new call may be made.
        explain: told what a person must know now, and again when the run has ended.
        run: its number in the books; None while no call may be made. `walls` are what it may spend.
    """

    spec: JobSpec
    clock: Clock
    ledger: Ledger
    spool: Spool
    index: ImageIndex
    inputs: InputStore
    emit: Listener
    stop: Callable[[str], None]
    explain: Callable[[str], None]
    run: int | None
    walls: Walls


async def wire(
    shared: Shared, routes: Sequence[Reachable], keys: KeyRing, stack: AsyncExitStack, *, buying: bool
) -> tuple[Legs, Tally]:
    """Everything for a run over some routes, the job's own first; what must be closed goes onto the stack.

    Raises:
        UsageError: a key is missing that buying needs.
        NoRoom: too few files may be open for a single call.
    """
    tally, crowd = Tally(), Crowd(_at_once(shared.spec, routes) if buying else shared.spec.limits.concurrency)
    delivered = _delivered(shared)
    legs: list[Leg] = []
    made: list[Legs] = []
    for route in routes:
        contract = route.contract
        client = await stack.enter_async_context(
            Client(clock=shared.clock, key=keys.get, request_id_headers=contract.request_id_headers)
        )
        downloader = await stack.enter_async_context(Downloader())
        hand = Hand(
            client=client,
            downloader=downloader,
            spool=shared.spool,
            inputs=shared.inputs,
            loopback_base=contract.base_url if contract.loopback else "",
        )
        fingerprint = keys.fingerprint(contract.key_env) if buying else ""
        legs.append(_leg(shared, route, hand, fingerprint, (tally, crowd, delivered), made))
    made.append(Legs(legs))
    return made[0], tally


def _at_once(spec: JobSpec, routes: Sequence[Reachable]) -> int:
    """How many calls may be in flight: what the job allows, or what the open files of this process do.

    Raises:
        NoRoom: not one.
    """
    local = any(route.contract.loopback for route in routes)
    most, notice = calls_that_fit(spec.limits.concurrency, routes=len(routes), local=local)
    if notice:
        say(notice)
    return most


def _delivered(shared: Shared) -> Delivered:
    """The images that the job has already."""
    with Reader(shared.ledger.path) as reader:
        number = next((job.id for job in reader.jobs() if job.name == shared.spec.name), None)
        return Delivered(() if number is None else reader.digests(number))


def _leg(
    shared: Shared,
    route: Reachable,
    hand: Hand,
    fingerprint: str,
    counts: tuple[Tally, Crowd, Delivered],
    made: list[Legs],
) -> Leg:
    spec, contract, uniform = shared.spec, route.contract, random.SystemRandom().uniform
    limits = spec.limits
    tally, crowd, delivered = counts
    walls = shared.walls
    first = contract.route == spec.route
    lane = Lane(
        f"{contract.provider}/{contract.model}",
        limits.concurrency if first else min(limits.concurrency, contract.concurrency),
        limits.rate,
        clock=shared.clock,
        uniform=uniform,
        crowd=crowd,
    )
    books = Bookkeeper(
        contract=contract,
        account=Account(fingerprint, limits.budget, shared.run, walls.per_run, walls.monthly),
        ledger=shared.ledger,
        clock=shared.clock,
        listener=shared.emit,
        tally=tally,
        home=spec.route,
        delivered=delivered,
    )
    leg: Leg
    means = Means(
        contract=contract,
        rules=Rules(
            limits,
            spec.four_k if contract.downgrade else FourK.RETRY,
            spec.fallback_on_refusal,
        ),
        books=books,
        hand=hand,
        clock=shared.clock,
        uniform=uniform,
        emit=shared.emit,
        stop=shared.stop,
        onward=lambda claim: made[0].onward(leg, claim),
        explain=shared.explain,
    )
    leg = Leg(contract, Executor(means, Delivery(means, shared.index), lane), lane, route.rescue)
    return leg
