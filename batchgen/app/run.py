"""A run: recover, record, buy what is not there yet, sum up."""

from __future__ import annotations

from contextlib import AsyncExitStack

from batchgen.app.approval import questions
from batchgen.app.booked_run import booked_run
from batchgen.app.ending import end_reason, exit_code
from batchgen.app.gateway_access import GatewayAccess
from batchgen.app.input_check import look_where_changed
from batchgen.app.lazy_plan import LazyPlan
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.planning import job_on, propose
from batchgen.app.run_host import RunHost, RunUnderWay
from batchgen.app.run_options import RunOptions
from batchgen.app.session import Session
from batchgen.app.spending_limits import walls_of
from batchgen.domain.clock import next_time_of_day
from batchgen.domain.job import Difference
from batchgen.domain.walls import Walls
from batchgen.engine.batch.batch_runner import BatchRunner
from batchgen.engine.job_run import JobRun, Selection
from batchgen.engine.recovery import Recovered
from batchgen.engine.runner import Runner
from batchgen.manifest.manifest import Manifest
from batchgen.report.missing_images import missing_of
from batchgen.report.run_result import RunResult


async def run_manifest(manifest: Manifest, ledger: LedgerChoice, options: RunOptions, host: RunHost) -> RunResult:
    """Buy what a manifest wants and does not have yet. The same again resumes.

    Args:
        manifest: what is wanted.
        ledger: the books; they are made where there are none.
        options: what is asked of this run.
        host: whom it works for.

    Raises:
        ManifestError: something is wrong in a row, or with an input image.
        UsageError: a key is missing, the host does not agree, or ledger and output do not belong together.
        LedgerInUse: another run has the ledger.
        BatchgenError: the books, the disk or the simulated gateway failed.
    """
    async with AsyncExitStack() as stack:
        gateways = GatewayAccess(manifest, options, stack, rehearse=ledger.rehearse)
        if not ledger.path.exists():  # nothing is there yet, so there is something to buy: leave nothing behind
            gateways.check_keys()
        spec, selection = job_on(manifest, ledger), Selection(only=options.only, images=options.limit)
        session = await stack.enter_async_context(
            Session(ledger, spec, selection, looking=host.looking, way_to_inputs=gateways.proxies)
        )
        await _tell(host, session)
        left = await _recover(session, gateways, host)
        host.missing(missing_of(ledger.path, session.before(), spec.output), spec)
        walls = walls_of(ledger.path, spec.limits, options.max_cost)
        difference = await _record(manifest, session, gateways, walls, options, host)
        if not (difference.calls or difference.under_way):
            for name, why in left.not_allowed.items():
                host.tell(f"{name}: {why}")
            return _result(session, None)
        if options.forget_pace:
            await session.forget_quotas(*await gateways.reach())
        return await _buy(manifest, session, gateways, walls, host, left)


async def _recover(session: Session, gateways: GatewayAccess, host: RunHost) -> Recovered:
    """Finish what can be finished without a call."""
    if not await session.interrupted():
        await session.tidy()
        return Recovered()
    executor = await session.connect(*await gateways.reach(), buying=False)
    host.recovering()
    found = await session.recover(executor)
    if found.total:
        host.recovered(found)
    await _tell(host, session)
    return found


async def _record(
    manifest: Manifest, session: Session, gateways: GatewayAccess, walls: Walls, options: RunOptions, host: RunHost
) -> Difference:
    """Bring the ledger to what the manifest wants, once the host agrees to what that may cost."""
    plan, rebuy, rehearse = LazyPlan(manifest, session.spec), options.rebuy == "all", session.choice.rehearse

    def approve(difference: Difference) -> None:
        planned = propose(manifest, session.spec, difference, session.ledger.path, walls, plan.warnings)
        host.planned(planned)
        if difference.calls or difference.under_way:
            gateways.check_keys()
        for question in questions(planned, options, rehearse=rehearse):
            host.agree(question)

    path, takes = session.ledger.path, manifest.contract.references
    refresh = options.refresh_inputs
    await look_where_changed(plan, path, session.hand, takes, rebuy=rebuy, looking=host.looking, refresh=refresh)
    return await session.record(plan, rebuy=rebuy, approve=approve)


async def _buy(
    manifest: Manifest, session: Session, gateways: GatewayAccess, walls: Walls, host: RunHost, left: Recovered
) -> RunResult:
    """Make the calls, in the books as a run from before the first until after the last."""
    routes, keys = await gateways.reach()
    with booked_run(session, walls) as booked:
        executor = await session.connect(routes, keys, buying=True)
        await _tell(host, session)
        run = executor.run
        run.tally.unfetched, run.tally.withheld = left.unfetched, left.withheld
        executor.delivery.not_allowed |= left.not_allowed
        for route in run.routes:
            if (why := left.not_allowed.get(route.name)) is not None:
                route.stop(why)
        runner = BatchRunner(executor) if manifest.contract.endpoint.in_batches else Runner(executor)
        minutes = session.spec.limits.until
        until = None if minutes is None else next_time_of_day(session.clock.now(), minutes)
        await host.attend(RunUnderWay(session, runner, until))
        result = _result(session, run)
        booked.end(result.stopped, result.code)
    await _tell(host, session)
    return result


def _result(session: Session, run: JobRun | None) -> RunResult:
    """Sum a run up; None stands for one that had nothing to buy."""
    job = session.job_row()
    gone = missing_of(session.ledger.path, job, job.output)
    code = exit_code(run, job, gone)
    if run is None:
        return RunResult(code, job, gone, kept=session.kept_calls())
    tally = run.tally
    return RunResult(
        code=code,
        job=job,
        gone=gone,
        stopped=end_reason(run, code),
        calls=tally.calls,
        delivered=tally.delivered,
        billed=tally.billed,
        maybe=tally.maybe,
        kept=session.kept_calls(),
        switches=tuple(run.explained),
    )


async def _tell(host: RunHost, session: Session) -> None:
    for note in await session.notes():
        host.tell(note)
