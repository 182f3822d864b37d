"""`batchgen run`: record the plan, buy what is not there yet, end with a summary and an exit code that tells it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.asked import Asked
from batchgen.cli.common import db_option, ledger_path, rehearse_option, say
from batchgen.domain.errors import Exit, UsageError
from batchgen.domain.money import format_usd

if TYPE_CHECKING:
    from batchgen.cli.session import Connected, Session
    from batchgen.domain.job import Difference
    from batchgen.manifest.entries import Manifest
    from batchgen.report.forecast import Forecast

ASK_ABOVE = 5_000_000  # micro-dollars a run without a budget may cost before somebody is asked


@click.command()
@click.argument("manifest", type=click.Path(path_type=Path))
@db_option
@rehearse_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Buy at most N images this time.")
@click.option("--only", multiple=True, metavar="ID", help="Only this prompt; may be repeated.")
@click.option("--rebuy", is_flag=True, help="Buy delivered images again that a job-wide key has changed.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines on stdout: every event, then the summary.")
@click.option("--speed", type=click.FloatRange(min=1), default=1000.0, show_default=True, help="Of a rehearsal.")
@click.option("--fault", "faults", multiple=True, metavar="NAME=VALUE", help="Of a rehearsal; see `simulate`.")
def run(
    manifest: Path,
    db: Path | None,
    rehearse: bool,
    yes: bool,
    limit: int | None,
    only: tuple[str, ...],
    rebuy: bool,
    as_json: bool,
    speed: float,
    faults: tuple[str, ...],
) -> None:
    """Buy what MANIFEST wants and does not have yet. The same again resumes; what is delivered is never bought again.

    Exit codes: 0 all delivered · 2 manifest or usage · 3 some failed · 4 stopped before the end · 5 some parked ·
    130 interrupted and drained · 131 left at once.
    """
    if faults and not rehearse:
        raise UsageError("--fault is for rehearsals: add --rehearse")
    asked = Asked(
        manifest=manifest,
        ledger=ledger_path(db, rehearse=rehearse),
        rehearse=rehearse,
        yes=yes,
        limit=limit,
        only=frozenset(only) or None,
        rebuy=rebuy,
        as_json=as_json,
        speed=speed,
        faults=faults,
    )
    raise click.exceptions.Exit(asyncio.run(_run(asked)))


async def _run(asked: Asked) -> Exit:
    """Recover, record, show the plan, ask, run, sum up."""
    from batchgen.cli.ending import conclude
    from batchgen.cli.rehearsal import output_folder
    from batchgen.cli.session import Session
    from batchgen.cli.watching import watch
    from batchgen.contracts.catalog import load_catalog
    from batchgen.engine.runner import Selection
    from batchgen.manifest.load import load_manifest

    manifest = load_manifest(asked.manifest, load_catalog())
    for warning in manifest.warnings:
        say(f"{warning} (warning)")
    spec = replace(manifest.job, output=output_folder(manifest.job.name)) if asked.rehearse else manifest.job
    selection = Selection(only=asked.only, images=asked.limit)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(Session(asked.ledger, spec, selection))
        _tell(session.notes())
        connected = None
        if await session.interrupted():
            connected = await _connect(asked, manifest, session, stack)
            await _recover(session, connected)
        if not _record(asked, manifest, session).calls:
            return conclude(session, None, asked)
        connected = connected or await _connect(asked, manifest, session, stack)
        runner = session.runner(connected)
        await watch(session, runner, as_json=asked.as_json, until=_until(session))
        _tell(session.notes())
        return conclude(session, runner, asked)


async def _connect(asked: Asked, manifest: Manifest, session: Session, stack: AsyncExitStack) -> Connected:
    """Reach the gateway, or the simulated one that stands in for it."""
    from batchgen.cli.keys import Keys
    from batchgen.cli.rehearsal import KEY_ENV, simulated

    contract = manifest.contract
    if not asked.rehearse:
        return await session.connect(contract, Keys.of(asked.manifest.absolute().parent, Path.cwd()))
    base_url = await stack.enter_async_context(simulated(contract.route, asked.speed, asked.faults))
    return await session.connect(replace(contract, base_url=base_url, key_env=KEY_ENV), Keys({KEY_ENV: "rehearsal"}))


async def _recover(session: Session, connected: Connected) -> None:
    found = await session.recover(connected)
    if found is not None and found.total:
        say(
            f"{found.total} tasks were interrupted: {found.placed} finished from the spool, {found.fetched} downloaded "
            f"again, {found.lost} without an answer (they may have been charged)"
        )
    _tell(session.notes())


def _tell(notes: list[str]) -> None:
    for note in notes:
        say(note)


def _record(asked: Asked, manifest: Manifest, session: Session) -> Difference:
    """Bring the ledger to what the manifest wants, once a person agrees to what that may cost."""
    from batchgen.cli.plan_text import plan_lines
    from batchgen.cli.planned import LazyPlan
    from batchgen.report.forecast import forecast

    spec, contract = session.spec, manifest.contract

    def approve(difference: Difference) -> None:
        outlook = forecast(difference.buy, contract, spec.limits, spec.parameters.format)
        for line in plan_lines(spec, difference, outlook, session.spent()):
            say(line)
        for question in _questions(asked, session, difference, outlook):
            _ask(question, asked)

    return session.ledger.record(LazyPlan(manifest, spec), rebuy=asked.rebuy, approve=approve)


def _questions(asked: Asked, session: Session, difference: Difference, outlook: Forecast) -> list[str]:
    """What a person has to agree to before this run."""
    spec, questions = session.spec, []
    if difference.prompts_gone * 2 > difference.prompts_before:
        questions.append(
            f"{difference.prompts_gone} of the {difference.prompts_before} prompts of {spec.name} are no longer in it"
        )
    risky = outlook.worst is None or outlook.worst > ASK_ABOVE
    if outlook.calls and risky and spec.limits.budget is None and not asked.rehearse:
        cost = "an unknown amount" if outlook.worst is None else f"up to {format_usd(outlook.worst)}"
        questions.append(f"this may cost {cost} and there is no `limits.budget`")
    return questions


def _ask(question: str, asked: Asked) -> None:
    if asked.yes:
        return
    if asked.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question}; nobody is here to be asked: give --yes, or set what is missing")
    if not click.confirm(f"{question}. Go on?", err=True):
        raise UsageError("nothing was bought")


def _until(session: Session) -> float | None:
    """The next moment at which the local clock shows `limits.until`, seconds since the epoch."""
    from datetime import datetime, timedelta

    minutes = session.spec.limits.until
    if minutes is None:
        return None
    now = datetime.fromtimestamp(session.clock.now()).astimezone()
    end = now.replace(hour=minutes // 60, minute=minutes % 60, second=0, microsecond=0)
    return (end if end > now else end + timedelta(days=1)).timestamp()
