"""One life of the program: the whole engine put together as `batchgen run` does, until its end or its fate."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, cast
from unittest import mock

from batchgen.domain.errors import BatchgenError
from batchgen.domain.events import CallEnded, CallStarted, ImageDelivered, RunEvent
from batchgen.engine.assembly import RouteSpec, assemble
from batchgen.engine.attempt import Executor
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.local_hand import Gateway, LocalHand
from batchgen.engine.recovery import recover
from batchgen.engine.runner import Runner
from batchgen.ledger.ledger import Ledger
from batchgen.store.folder import Folder
from batchgen.store.output.image_index import ImageIndex
from batchgen.store.spool.ballast import Ballast
from batchgen.store.spool.spool import Spool
from tests.chaos.simulation.loop import Crash, SimClock, VirtualLoop
from tests.chaos.simulation.parts import SimDatabase, SimDiskThreads
from tests.chaos.simulation.world import Violation, World, contracts, fingerprint

LEFT_OVER = ("What waits for it is left as it is", "no route that is left takes what is asked")


class Life:
    """One process. How it ended is a word: `ended`, `left over`, a reason to have stopped, `error: …`, or `crashed`."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.loop = VirtualLoop(world.elapsed)
        self.clock = SimClock(self.loop, world.jumped)
        self._databases: list[SimDatabase] = []
        self._closing = ExitStack()

    def live(self) -> str:
        """From the start of the process to its end, whatever that is."""
        world, fate = self.world, self.world.fate
        world.disk.dead = False
        world.begin(self.loop.time)
        if fate.kind == "crash at":
            self.loop.call_at(fate.at, self._crash)
        with self._patched():
            try:
                end = self.loop.run_until_complete(self._run())
                if self.loop.complaints:
                    raise Violation(f"nobody looked at: {self.loop.complaints}")
            except Violation:
                raise
            except Crash:
                end = "crashed"
            finally:
                self._die()
        if end == "crashed" and fate.power:
            world.disk.lose(world.dice)
        world.say(f"life {end}")
        return end

    async def _run(self) -> str:
        try:
            with self._closing:
                runner = await self._begin()
                async with _Fated(self, runner):
                    await runner.run()
                if runner.job_run.stopped is None and any(
                    says in text for text in runner.job_run.explained for says in LEFT_OVER
                ):
                    return "left over"  # as a person sees by the exit code, who then runs it again
                return runner.job_run.stopped or "ended"
        except BatchgenError as error:
            return f"error: {type(error).__name__}"

    async def _begin(self) -> Runner:
        world, opened = self.world, self._closing
        ledger = opened.enter_context(Ledger.open(world.database, self.clock))
        spool = Spool.open(
            world.output, ledger.path, ledger.name, clock=self.clock, ballast=1 << 20, decoder=cast("Any", object())
        )
        opened.callback(spool.close)
        index = ImageIndex.open(world.output)
        opened.callback(index.close)
        spec = world.plan.job
        known = ledger.find_job(spec.name)
        if known is not None:
            found = await recover(self._assembled(known, ledger, spool, index))
            world.say(f"{found}")
        if known is None or not await ledger.interrupted(known):
            ledger.record(world.plan)  # type: ignore[arg-type]
        return Runner(self._assembled(ledger.job(spec.name), ledger, spool, index))

    def _assembled(self, job: int, ledger: Ledger, spool: Spool, index: ImageIndex) -> Executor:
        world = self.world
        run = JobRun(
            job,
            world.limits,
            Selection(),
            ledger,
            clock=self.clock,
            uniform=world.dice.uniform,
            listener=self._hear,
        )
        hand, wire = LocalHand(spool, index, cast("Any", None)), cast("Any", world.gateway)
        fingerprints = tuple(map(fingerprint, world.keys))
        routes = [RouteSpec(each, fingerprints=fingerprints) for each in contracts(world.keys)[: world.routes]]
        hand.gateways |= {route.contract.route: Gateway(wire, wire) for route in routes}
        spec = replace(world.plan.job, four_k=world.four_k, fallback_on_refusal=world.on_refusal)
        return assemble(run, spec, routes, hand)

    def _hear(self, event: RunEvent) -> None:
        if isinstance(event, CallStarted | CallEnded | ImageDelivered):
            self.world.say(f"{type(event).__name__} task {event.claim.task} attempt {event.attempt}")
        else:
            self.world.say(str(event))

    def _crash(self) -> None:
        self.world.disk.dead = True
        raise Crash

    def _die(self) -> None:
        """End without a trace: nothing is cleaned up that the disk could see."""
        self.world.disk.dead = True
        for database in self._databases:
            database.abandon()
        self.loop.abandon()
        self._closing.close()
        self.world.rest(self.loop.time())

    @contextmanager
    def _patched(self) -> Iterator[None]:
        def database(*given: Any) -> SimDatabase:
            self._databases.append(SimDatabase(self.world, *given))
            return self._databases[-1]

        def threads() -> SimDiskThreads:
            return SimDiskThreads(self.world)

        def free(folder: Folder, real: Any = Folder.free) -> int:
            fate = self.world.fate
            return 0 if fate.kind == "full" and self.loop.time() >= fate.at else int(real(folder))

        with (
            self.world.disk.mounted(),
            mock.patch("batchgen.ledger.ledger.Database", database),
            mock.patch("batchgen.store.spool.spool.DiskThreads", threads),
            mock.patch("batchgen.store.spool.sink.PIECE", self.world.spill),
            mock.patch.object(Folder, "free", free),
            mock.patch.object(Ballast, "hold"),  # what is full here is the room that a look tells
        ):
            yield


class _Fated:
    """Stops a run, or has it left, at the moment its fate says."""

    def __init__(self, life: Life, runner: Runner) -> None:
        self._life, self._runner = life, runner
        self._waiting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if self._life.world.fate.kind in {"drain", "abort"}:
            self._waiting = asyncio.create_task(self._wait())

    async def __aexit__(self, *_: object) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.cancel()

    async def _wait(self) -> None:
        fate = self._life.world.fate
        await asyncio.sleep(max(0.0, fate.at - self._life.loop.time()))
        if fate.kind == "drain":
            self._runner.job_run.drain("interrupted")
        else:
            await self._runner.abort()
