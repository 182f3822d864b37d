"""`batchgen run`: record the plan, buy what is not there yet, end with a summary and an exit code that tells it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.run_options import Rebuy, RunOptions
from batchgen.cli import signals, streams
from batchgen.cli.options import REBUY_ALL, RebuyCommand, ledger_options, only_option, rebuy_option
from batchgen.cli.output import say, told_now_and_then, warn
from batchgen.domain.clock import next_time_of_day
from batchgen.domain.errors import Exit, UsageError
from batchgen.domain.text import counted

if TYPE_CHECKING:
    from batchgen.app.keyring import KeyRing
    from batchgen.cli.session import Session
    from batchgen.domain.job import Difference
    from batchgen.domain.walls import Walls
    from batchgen.engine.assembly import RouteSpec
    from batchgen.engine.attempt import Executor
    from batchgen.manifest.manifest import Manifest


@dataclass(frozen=True, slots=True)
class _Asked:
    manifest: Path
    ledger: LedgerChoice
    yes: bool
    as_json: bool
    options: RunOptions


@click.command(cls=RebuyCommand)
@click.argument("manifest", type=click.Path(path_type=Path))
@ledger_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Buy at most N images this time.")
@click.option("--max-cost", metavar="USD", help="Spend at most so many dollars this time, over all routes.")
@only_option
@rebuy_option
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout: every event, then the summary.")
@click.option("--speed", type=click.FloatRange(min=1), default=1000.0, show_default=True, help="Of a rehearsal.")
@click.option("--fault", "faults", multiple=True, metavar="NAME=VALUE", help="Of a rehearsal; see `simulate`.")
def run(
    manifest: Path,
    ledger: LedgerChoice,
    yes: bool,
    limit: int | None,
    max_cost: str | None,
    only: tuple[str, ...],
    rebuy: Rebuy | None,
    as_json: bool,
    speed: float,
    faults: tuple[str, ...],
) -> None:
    """Buy what MANIFEST wants and does not have yet. The same again resumes; what is delivered is never bought again.

    Exit codes: 0 all delivered · 2 manifest or usage · 3 some failed · 4 stopped before the end · 5 some parked ·
    130 interrupted and drained · 131 left at once.
    """
    from batchgen.app.spending_limits import dollars, monthly_by_environment

    streams.endure()
    _check_rehearsal(ledger.rehearse, faults)
    monthly_by_environment()
    asked = _Asked(
        manifest=manifest,
        ledger=ledger,
        yes=yes,
        as_json=as_json,
        options=RunOptions(
            limit=limit,
            only=frozenset(only) or None,
            max_cost=None if max_cost is None else dollars(max_cost, "--max-cost"),
            rebuy=rebuy or "",
            speed=speed,
            faults=faults,
        ),
    )
    raise click.exceptions.Exit(asyncio.run(_run(asked)))


def _check_rehearsal(rehearse: bool, faults: tuple[str, ...]) -> None:
    """Refuse what only a rehearsal can do, before anything real is bought by mistake.

    Raises:
        UsageError: an option of rehearsals without one, or a fault that does not exist.
    """
    from batchgen.simulator.faults import Options

    speed = click.get_current_context().get_parameter_source("speed")
    if not rehearse and (faults or speed is click.core.ParameterSource.COMMANDLINE):
        raise UsageError("--speed and --fault are for rehearsals: add --rehearse")
    Options.parse(faults)


async def _run(asked: _Asked) -> Exit:
    """Recover, record, show the plan, ask, run, sum up."""
    from batchgen.app.manifests import load_manifest
    from batchgen.app.planning import job_on
    from batchgen.app.spending_limits import walls_of
    from batchgen.cli.booked_run import booked_run
    from batchgen.cli.ending import conclude, end_reason, exit_code
    from batchgen.cli.session import Session
    from batchgen.cli.text.missing_images import absent_lines
    from batchgen.cli.watching import AnyRunner, watch
    from batchgen.engine.job_run import Selection
    from batchgen.engine.runner import Runner
    from batchgen.report.missing_images import absent_of

    manifest = load_manifest(asked.manifest)
    warn(manifest.warnings)
    spec = job_on(manifest, asked.ledger)
    selection = Selection(only=asked.options.only, images=asked.options.limit)
    async with AsyncExitStack() as stack:
        gateway = _Gateway(asked, manifest, stack)
        if not asked.ledger.path.exists():  # nothing is there yet, so there is something to buy: leave nothing behind
            gateway.check_key()
        session = await stack.enter_async_context(Session(asked.ledger, spec, selection, looking=told_now_and_then))
        _tell(await session.notes())
        unfetched = 0
        if await session.interrupted():
            unfetched = await _recover(session, await session.connect(*await gateway.reach(), buying=False))
        else:
            await session.tidy()
        gone = absent_of(asked.ledger.path, session.before(), spec.output)
        say(*absent_lines(gone, spec.name, spec.output, asked.ledger))
        walls = walls_of(asked.ledger.path, spec.limits, asked.options.max_cost)
        difference = await _record(asked, manifest, session, gateway, walls)
        if not (difference.calls or difference.under_way):
            return conclude(session, None, asked.manifest, asked.ledger, as_json=asked.as_json)
        routes, keys = await gateway.reach()
        with booked_run(session, walls) as booked:
            executor = await session.connect(routes, keys, buying=True)
            _tell(await session.notes())
            job_run = executor.run
            job_run.tally.unfetched = unfetched
            runner: AnyRunner
            if manifest.contract.endpoint.in_batches:
                runner = session.batch_runner(executor, await session.batch_api(routes[0].contract, keys))
            else:
                runner = Runner(executor)
            await watch(session, runner, as_json=asked.as_json, until=_until(session))
            signals.ignore()  # nothing is left but to close the books and to say what came of it
            job = session.job_row()
            code = exit_code(job_run, job, absent_of(asked.ledger.path, job, spec.output))
            booked.end(end_reason(job_run, code), code)
        _tell(await session.notes())
        return conclude(session, job_run, asked.manifest, asked.ledger, as_json=asked.as_json)


class _Gateway:
    """The routes of a manifest, or the simulated ones that stand in for them; reached once, when they are needed."""

    def __init__(self, asked: _Asked, manifest: Manifest, stack: AsyncExitStack) -> None:
        self._asked = asked
        self._manifest = manifest
        self._stack = stack
        self._reached: tuple[list[RouteSpec], KeyRing] | None = None

    async def reach(self) -> tuple[list[RouteSpec], KeyRing]:
        """The routes to call over, and the keys."""
        if self._reached is None:
            self._reached = await self._rehearsed() if self._asked.ledger.rehearse else self._real()
        return self._reached

    def check_key(self) -> None:
        """Make sure that every key is there, those of fallback routes too, before anything is recorded.

        Raises:
            UsageError: one is missing.
        """
        if not self._asked.ledger.rehearse:
            routes, keys = self._real()
            keys.check(route.contract.key_env for route in routes)

    def _real(self) -> tuple[list[RouteSpec], KeyRing]:
        from batchgen.app.keyring import KeyRing
        from batchgen.engine.assembly import RouteSpec

        others = [RouteSpec(other.contract, other.rescue) for other in self._manifest.fallbacks]
        return [RouteSpec(self._manifest.contract), *others], KeyRing.of(
            self._asked.manifest.absolute().parent, Path.cwd()
        )

    async def _rehearsed(self) -> tuple[list[RouteSpec], KeyRing]:
        from batchgen.app.keyring import KeyRing
        from batchgen.app.rehearsal import KEY_ENV, simulated

        asked, routes = self._asked, self._real()[0]
        written = [self._manifest.route, *(other.written for other in self._manifest.fallbacks)]
        addresses = await self._stack.enter_async_context(simulated(written, asked.options.speed, asked.options.faults))
        played = [
            replace(route, contract=replace(route.contract, base_url=address, key_env=KEY_ENV))
            for route, address in zip(routes, addresses, strict=True)
        ]
        return played, KeyRing({KEY_ENV: "rehearsal"})


async def _recover(session: Session, executor: Executor) -> int:
    """Finish what can be finished without a call; how many paid addresses cannot be fetched now."""
    say("finishing what an earlier run left under way")
    found = await session.recover(executor)
    if found.total:
        say(
            f"{counted(found.total, 'task')} interrupted: {found.placed} finished from the spool, {found.fetched} "
            f"downloaded again, {found.lost} without an answer (they may have been charged)"
            + (f", {found.gone} paid whose answer is gone" if found.gone else "")
            + (
                f", {found.unfetched} paid that cannot be fetched now; the next run tries again"
                if found.unfetched
                else ""
            )
        )
    _tell(await session.notes())
    return found.unfetched


def _tell(notes: list[str]) -> None:
    for note in notes:
        say(note)


async def _record(asked: _Asked, manifest: Manifest, session: Session, gateway: _Gateway, walls: Walls) -> Difference:
    """Bring the ledger to what the manifest wants, once a person agrees to what that may cost."""
    from batchgen.app.approval import questions
    from batchgen.app.input_check import look_where_changed
    from batchgen.app.lazy_plan import LazyPlan
    from batchgen.app.planning import propose
    from batchgen.cli.asking import confirm
    from batchgen.cli.text.plan import plan_lines

    spec, path, options = session.spec, asked.ledger.path, asked.options

    def approve(difference: Difference) -> None:
        planned = propose(manifest, spec, difference, path, walls, plan.warnings)
        if difference.calls or difference.new or difference.changed:
            warn(planned.warnings)
        say(*plan_lines(planned, asked.ledger))
        if difference.calls or difference.under_way:
            gateway.check_key()
        for each in questions(planned, options, rehearse=asked.ledger.rehearse):
            if not (asked.yes and each.option == "--yes"):
                refusal = f"{each.text}; nobody is here to be asked; give {each.option} if that is right{each.other}"
                confirm(f"{each.text}. Go on?", refusal, as_json=asked.as_json)

    plan, takes, rebuy = LazyPlan(manifest, spec), manifest.contract.references, options.rebuy == REBUY_ALL
    await look_where_changed(plan, path, session.inputs, takes, rebuy=rebuy, looking=told_now_and_then)
    return await session.record(plan, rebuy=rebuy, approve=approve)


def _until(session: Session) -> float | None:
    """When `limits.until` is next, seconds since the epoch."""
    minutes = session.spec.limits.until
    return None if minutes is None else next_time_of_day(session.clock.now(), minutes)
