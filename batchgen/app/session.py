"""One run, wired: ledger, spool, routes and runner of one job."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType

from batchgen.app.jobs import recorded
from batchgen.app.keyring import KeyRing
from batchgen.app.ledger_check import check_ledger
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.looking import Looking, in_silence, intact_below
from batchgen.app.output_check import check_output
from batchgen.app.way_out import proxies_of
from batchgen.domain.clock import Clock, SystemClock
from batchgen.domain.errors import StoreError, UsageError
from batchgen.domain.events import Listener, RunEvent
from batchgen.domain.job import Difference, JobSpec, Plan
from batchgen.domain.lifecycle import WAITING
from batchgen.domain.walls import NO_WALLS, Walls
from batchgen.engine.assembly import RouteSpec, assemble, quotas_of
from batchgen.engine.attempt import Executor
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.local_hand import LocalHand
from batchgen.engine.origins import line_of
from batchgen.engine.recovery import Recovered, recover, tidy
from batchgen.engine.routes import Routes
from batchgen.gateway.proxy import Proxies
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.recording import Approve
from batchgen.ledger.records import Count, Interrupted, JobRow
from batchgen.store.spool.descriptors import calls_that_fit, raise_limit


class Session:
    """Opens everything a run needs in order and closed in the reverse.

    The ledger is opened first, because its lock is what makes this process the only runner. The gateway is reached
    only once there is something to buy or to put in order.

    Attributes:
        choice: how the ledger was chosen.
        spec: of the job.

    Args:
        way_to_inputs: the ways out to references that are addresses; asked when there is one to be fetched.
    """

    def __init__(
        self,
        ledger: LedgerChoice,
        spec: JobSpec,
        selection: Selection,
        *,
        looking: Looking = in_silence,
        way_to_inputs: Callable[[], Proxies] = Proxies.of_environment,
    ) -> None:
        self.clock: Clock = SystemClock()
        self.spec = spec
        self.choice = ledger
        self._looking = looking
        self._way_to_inputs = way_to_inputs
        self._selection = selection
        self._stack = AsyncExitStack()
        self._listener: Listener = _ignore
        self._notices: list[str] = []
        self._run: int | None = None
        self._walls = NO_WALLS

    async def __aenter__(self) -> Session:
        """Take the ledger, open the output folder.

        Raises:
            LedgerInUse: another runner has the ledger.
            ForeignOutput: the output folder belongs to another ledger, of which this may be a copy.
            UsageError: the job's images are in another folder, or the ledger is older than what lies there.
        """
        raise_limit()
        async with AsyncExitStack() as stack:
            path = self.choice.path
            if not path.exists():  # no empty ledger is left behind
                check_ledger(self.choice, self.spec)
            self.ledger = stack.enter_context(Ledger.open(path, self.clock))
            known = await check_output(self.spec, self.ledger, self.choice)
            check_ledger(self.choice, self.spec)
            self.hand = LocalHand.open(
                self.spec, self.ledger.path, self.ledger.name, self.clock, self._way_to_inputs, known=known
            )
            stack.callback(self.hand.close)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def connect(self, routes: Sequence[RouteSpec], keys: KeyRing, *, buying: bool) -> Executor:
        """Make ready to reach the routes of the recorded job, its own first: to buy, or only to finish what is paid.

        Only buying needs keys.

        Raises:
            UsageError: a key is missing, or is there twice, or the password of a proxy is missing.
            NoRoom: too few files may be open for a single call.
        """
        number, work = self.ledger.job(self.spec.name), self.job_row().work
        run = JobRun(
            number,
            self.spec.limits,
            self._selection,
            self.ledger,
            clock=self.clock,
            uniform=random.SystemRandom().uniform,
            listener=self._emit,
            number=self._run,
            walls=self._walls,
            tasks=sum(work.get(state, 0) for state in WAITING),
        )
        called = []
        for route in routes:
            fingerprints = keys.fingerprints(route.contract.keys) if buying else ()
            proxies = proxies_of(route.contract, keys)
            await self._stack.enter_async_context(self.hand.connected(route.contract, self.clock, keys.get, proxies))
            called.append(replace(route, fingerprints=fingerprints))
        with Reader(self.ledger.path) as reader:
            return assemble(
                run,
                self.spec,
                called,
                self.hand,
                most=self._calls_at_once(routes) if buying else None,
                delivered=reader.digests(number),
                quotas=None if self.choice.rehearse else reader.quotas(),
            )

    async def forget_quotas(self, routes: Sequence[RouteSpec], keys: KeyRing) -> None:
        """Forget what earlier runs learned of what the gateways of these routes take."""
        known = (replace(route, fingerprints=keys.fingerprints(route.contract.keys)) for route in routes)
        await self.ledger.forget_quotas([whose for route in known for whose in quotas_of(route)])

    def _calls_at_once(self, routes: Sequence[RouteSpec]) -> int:
        """Say how many calls may be in flight: what the job allows, or what the open files of this process do.

        Raises:
            NoRoom: not one.
        """
        local = any(route.contract.loopback for route in routes)
        most, notice = calls_that_fit(self.spec.limits.concurrency, routes=len(routes), local=local)
        if notice:
            self._notices.append(notice)
        return most

    def begin(self, run: int, walls: Walls) -> None:
        """Make all calls from now on in the name of a run in the books, and within its walls."""
        self._run, self._walls = run, walls

    async def tidy(self) -> None:
        """Remove from the spool what belongs to settled attempts; for a start that finds nothing interrupted."""
        await tidy(self.ledger, self.hand)

    async def interrupted(self) -> bool:
        """Say whether a dead process has left tasks of this job under way."""
        mine = self._number()
        return mine is not None and bool(await self.ledger.interrupted(mine))

    async def recover(self, executor: Executor) -> Recovered:
        """Put in order what a dead process left of this job.

        Raises:
            UsageError: its calls went over another route than the manifest names now.
            StoreError: something paid could not be finished; nothing new is bought before that.
        """
        run = executor.run
        self._refuse_other_routes(await self.ledger.interrupted(run.job), run.routes)
        found = await recover(executor)
        if found.left:
            reason = run.stopped or "they could not be finished now"
            raise StoreError(f"{found.left} paid images are still to be finished: {reason}")
        return found

    def watch(self, listener: Listener) -> None:
        """Tell this listener from now on."""
        self._listener = listener

    async def record(self, plan: Plan, *, rebuy: bool, approve: Approve | None = None) -> Difference:
        """Bring the ledger to what a plan wants; see `Ledger.record`.

        Raises:
            UsageError: a prompt that is asked for by name is not in it. Nothing has changed.
        """
        intact, only = intact_below(self.spec.output, self._looking), self._selection.only or ()
        difference = self.ledger.record(plan, intact=intact, rebuy=rebuy, only=only, approve=approve)
        await self._index_returned(difference.returned)
        return difference

    async def _index_returned(self, tasks: Sequence[int]) -> None:
        """Name the images that earlier revisions brought in the index again: the last line of a task holds."""
        with Reader(self.ledger.path) as reader:
            for task, attempt in reader.bought(tasks):
                await self.hand.note_image(line_of(task, attempt))

    def job_row(self) -> JobRow:
        """Read the job as the ledger has it now."""
        with Reader(self.ledger.path) as reader:
            return reader.job(self.spec.name)

    def kept_calls(self) -> int:
        """Count the calls of the job that have brought an answer which nobody could read so far."""
        with Reader(self.ledger.path) as reader:
            return reader.kept_calls(self.ledger.job(self.spec.name))

    def counts(self) -> list[Count]:
        """Count the job's tasks by size and state."""
        with Reader(self.ledger.path) as reader:
            return list(reader.counts(self.ledger.job(self.spec.name)))

    def before(self) -> JobRow | None:
        """Read the job as the ledger has it; None before it is recorded."""
        return recorded(self.ledger.path, self.spec.name)

    async def notes(self) -> list[str]:
        """Take what the spool met and set right, and what holds the run in; each is told once."""
        notices, self._notices = self._notices, []
        return [*await self.hand.take_notes(), *notices]

    def _refuse_other_routes(self, interrupted: list[Interrupted], routes: Routes) -> None:
        """Refuse to judge answers by another route: what they mean and cost is in the contract of the one called."""
        endpoints = {route.name: route.contract.endpoint for route in routes}
        others = sorted(
            {
                held.attempt.route
                for held in interrupted
                if held.attempt.route not in endpoints
                or not endpoints[held.attempt.route].serves(held.attempt.endpoint)
            }
        )
        if others and others[0] in endpoints:
            raise UsageError(
                f"calls of {self.spec.name} over {others[0]} were under way on another endpoint when it ended; "
                "put `endpoint:` back and run once, then change it"
            )
        if others:
            raise UsageError(
                f"{len(interrupted)} calls of {self.spec.name} were under way over {others[0]} when it ended; "
                f"put that route back and run once, then change it to {self.spec.route}"
            )

    def _number(self) -> int | None:
        """Find the number of this job; None before it is recorded."""
        with Reader(self.ledger.path) as reader:
            return next((job.id for job in reader.jobs() if job.name == self.spec.name), None)

    def _emit(self, event: RunEvent) -> None:
        try:
            self._listener(event)
        except OSError:  # who watched has gone: a closed pipe, a terminal that hung up. The run goes on unseen.
            self._listener = _ignore


def _ignore(_event: RunEvent) -> None:
    """Nobody watches yet."""
