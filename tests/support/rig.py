"""The whole spine without the command line: a real ledger, spool and client against the simulator on a loopback port."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from batchgen.app.keyring import KeyRing
from batchgen.contracts.catalog import load_catalog
from batchgen.contracts.contract import Contract
from batchgen.domain.clock import Clock, SystemClock
from batchgen.domain.errors import LedgerError, StoreError
from batchgen.domain.events import RunEvent
from batchgen.domain.following import Following
from batchgen.domain.inputs import NO_INPUTS, InputFile, Inputs
from batchgen.domain.job import FourK, JobSpec, Limits, Parameters, Prompt, Variant
from batchgen.domain.size import parse_size
from batchgen.domain.walls import NO_WALLS, Walls
from batchgen.engine.assembly import RouteSpec, assemble
from batchgen.engine.attempt import Executor
from batchgen.engine.hand import Hand
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.lane import Lane
from batchgen.engine.local_hand import Gateway, LocalHand
from batchgen.engine.recovery import Recovered, recover
from batchgen.engine.routes import RouteRun
from batchgen.engine.runner import Runner
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.runs import NewRun
from batchgen.policy.backoff import Backoff
from batchgen.simulator.bill import Bill, BillLine
from batchgen.simulator.faults import Options
from batchgen.simulator.serve import start
from batchgen.store.inputs.input_store import InputStore
from batchgen.store.output.image_index import ImageIndex
from batchgen.store.spool.spool import Spool
from tests.support.ledger import empty_ledger


@dataclass
class SmallPlan:
    """Prompts p0, p1, … in some sizes."""

    job: JobSpec
    texts: list[str]
    variants: tuple[Variant, ...]
    variant_sets: tuple[tuple[int, ...], ...]
    inputs: Inputs = NO_INPUTS

    def files(self) -> Iterator[InputFile]:
        return iter(())

    def unchanged(self, files: Iterable[InputFile]) -> bool:
        return not list(files)

    def prompts(self) -> Iterator[Prompt]:
        for number, text in enumerate(self.texts):
            yield Prompt(
                number,
                f"p{number}",
                text,
                f"p{number}/{{size}}-{{sample}}",
                "",
                hash(text) & (2**62),
                1,
                0,
                self.inputs,
            )


def small_plan(
    folder: Path, texts: list[str], sizes: list[str], limits: Limits, *, downgrade: bool = False
) -> SmallPlan:
    variants = tuple(Variant(number, parse_size(size), 1) for number, size in enumerate(sizes))
    job = JobSpec(
        name="job",
        route="apiyi/gpt-image-2-vip",
        model="gpt-image-2-vip",
        manifest=folder / "job.yaml",
        output=folder / "out",
        parameters=Parameters(),
        limits=limits,
        four_k=FourK.DOWNGRADE if downgrade else FourK.RETRY,
        source_hash=repr((texts, sizes)),
    )
    return SmallPlan(job, texts, variants, (tuple(range(len(variants))),))


@dataclass
class Rig:
    """One started run, and what it left."""

    folder: Path
    contract: Contract
    plan: SmallPlan
    ledger: Ledger
    spool: Spool
    hand: LocalHand
    executor: Executor
    runner: Runner
    events: list[RunEvent] = field(default_factory=list)

    @property
    def job_run(self) -> JobRun:
        return self.executor.run

    @property
    def route(self) -> RouteRun:
        return self.executor.run.routes.first

    @property
    def lane(self) -> Lane:
        """That of the first key."""
        return self.route.keys.lanes[0]

    @property
    def gateway(self) -> Gateway:
        return self.hand.gateways[self.contract.route]

    @property
    def job(self) -> int:
        return self.ledger.job(self.plan.job.name)

    async def recover(self) -> Recovered:
        return await recover(self.executor)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.ledger.path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def states(self) -> dict[str, int]:
        return dict(self.query("SELECT state, count(*) FROM task GROUP BY state"))

    def charges(self) -> dict[str, int]:
        return dict(self.query("SELECT charge, count(*) FROM attempt GROUP BY charge"))

    def images(self) -> list[Path]:
        return sorted(self.plan.job.output.rglob("*.png"))

    def bill(self) -> list[BillLine]:
        path = self.folder / "bill.jsonl"
        return list(Bill.lines(path)) if path.exists() else []


@asynccontextmanager
async def simulator(
    folder: Path,
    *options: str,
    route: str = "apiyi/gpt-image-2-vip",
    clock: object = None,
    task: Following | None = None,
    keys: tuple[str, ...] = ("K",),
) -> AsyncIterator[Contract]:
    """The contract of a route, at a simulator that serves it in no time; with `task`, later and under numbers."""
    contract = replace(load_catalog().find(route), task=task)
    parsed = Options.parse(["latency=0", "pictures=plain", "seed=7", *options])
    running = await start([contract], parsed, folder / "bill.jsonl", folder / "simulator")
    try:
        yield replace(contract, base_url=running.base_url(route), keys=keys)
    finally:
        await running.close()


@asynccontextmanager
async def rig(
    folder: Path,
    contract: Contract,
    plan: SmallPlan,
    *,
    selection: Selection | None = None,
    ballast: int = 1 << 20,
    record: bool = True,
    walls: Walls = NO_WALLS,
    clock: Clock | None = None,
    through: Callable[[LocalHand], Hand] = lambda hand: hand,
) -> AsyncIterator[Rig]:
    """Everything a run needs, closed in order; `through` may put something between the run and its hand."""
    clock, events, limits = clock or SystemClock(), [], plan.job.limits
    path = folder / "ledger.db"
    ledger = Ledger.open(path if path.exists() else empty_ledger(path), clock)
    spool = Spool.open(plan.job.output, ledger.path, ledger.name, clock=clock, ballast=ballast)
    index = ImageIndex.open(plan.job.output)
    try:
        if record:
            ledger.record(plan)
        number, inputs = ledger.job(plan.job.name), InputStore(folder, plan.job.output / ".batchgen" / "inputs")
        run = JobRun(
            number,
            limits,
            selection or Selection(),
            ledger,
            clock=clock,
            uniform=lambda low, high: (low + high) / 2,
            listener=events.append,
            number=ledger.begin_run(NewRun(number, os.getpid(), "rig", walls.per_run)),
            walls=walls,
        )
        keys = KeyRing({name: f"sk-rig-{name}" for name in contract.keys})
        hand, route = (
            LocalHand(spool, index, inputs),
            RouteSpec(contract, fingerprints=keys.fingerprints(contract.keys)),
        )
        async with hand.connected(contract, clock, keys.get):
            executor = assemble(run, plan.job, [route], through(hand), backoff=Backoff(base=0.02, cap=0.05))
            yield Rig(folder, contract, plan, ledger, spool, hand, executor, Runner(executor), events)
    finally:
        index.close()
        spool.close()
        ledger.close()


def dies(*_: Any, **__: Any) -> Any:
    """In place of a step of a run: the process ends there."""
    raise LedgerError("the process ends here")


def place_nothing(run: Rig) -> None:
    """Have the output folder of a run refuse every image; answers still land in its spool."""

    async def refused(*_: Any) -> None:
        raise StoreError("the disk is away")

    finish = run.spool.finish
    run.hand.place = refused  # type: ignore[assignment, method-assign]
    run.spool.finish = lambda answer, sinks=(), _spot=None: finish(answer, sinks)  # type: ignore[method-assign]


async def run_until_it_dies(run: Rig) -> None:
    with pytest.raises(LedgerError, match="the process ends here"):
        await run.runner.run()


async def die_before_booking(folder: Path, contract: Contract, plan: SmallPlan) -> None:
    """A run whose one answer is whole in the spool, and not in the books."""
    async with rig(folder, contract, plan) as run:
        run.route.books.book = dies  # type: ignore[method-assign]
        run.route.books.book_and_complete = dies  # type: ignore[method-assign]
        await run_until_it_dies(run)
        assert run.charges() == {"reserved": 1}
