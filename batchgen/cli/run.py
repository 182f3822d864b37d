"""`batchgen run`: record the plan, buy what is not there yet, end with a summary and an exit code that tells it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from batchgen.app.approval import Question
from batchgen.app.bill_check import compare_with_bill
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.manifests import load_manifest
from batchgen.app.planning import PlannedRun
from batchgen.app.run import run_manifest
from batchgen.app.run_host import RunHost, RunUnderWay
from batchgen.app.run_options import Rebuy, RunOptions
from batchgen.app.spending_limits import dollars, monthly_by_environment
from batchgen.cli import signals, streams
from batchgen.cli.asking import confirm
from batchgen.cli.options import RebuyCommand, ledger_options, only_option, rebuy_option, refresh_option
from batchgen.cli.output import echo, print_json, say, told_now_and_then, warn
from batchgen.cli.text.bill import bill_line
from batchgen.cli.text.missing_images import absent_lines
from batchgen.cli.text.plan import plan_lines
from batchgen.cli.text.run import recovered_text, result_lines
from batchgen.cli.watching import watch
from batchgen.domain.errors import UsageError
from batchgen.domain.job import JobSpec
from batchgen.engine.recovery import Recovered
from batchgen.report.event_fields import summary_fields
from batchgen.report.missing_images import MissingImages
from batchgen.simulator.faults import Options


@click.command(cls=RebuyCommand)
@click.argument("manifest", type=click.Path(path_type=Path))
@ledger_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Buy at most N images this time.")
@click.option("--max-cost", metavar="USD", help="Spend at most so many dollars this time, over all routes.")
@only_option
@rebuy_option
@refresh_option
@click.option("--forget-pace", is_flag=True, help="Find out anew how many calls the gateways take.")
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
    refresh_inputs: bool,
    forget_pace: bool,
    as_json: bool,
    speed: float,
    faults: tuple[str, ...],
) -> None:
    """Buy what MANIFEST wants and does not have yet. The same again resumes; what is delivered is never bought again.

    Exit codes: 0 all delivered · 2 manifest or usage · 3 some failed · 4 stopped before the end · 5 some parked ·
    130 interrupted and drained · 131 left at once.
    """
    streams.endure()
    _check_rehearsal(ledger.rehearse, faults)
    monthly_by_environment()  # what is wrong with it is said before anything
    options = RunOptions(
        limit=limit,
        only=frozenset(only) or None,
        max_cost=None if max_cost is None else dollars(max_cost, "--max-cost"),
        rebuy=rebuy or "",
        refresh_inputs=refresh_inputs,
        forget_pace=forget_pace,
        speed=speed,
        faults=faults,
    )
    loaded = load_manifest(manifest)
    warn(loaded.warnings)
    terminal = _RunTerminal(ledger, yes=yes, as_json=as_json, refresh=refresh_inputs)
    result = asyncio.run(run_manifest(loaded, ledger, options, terminal))
    if as_json:
        print_json(summary_fields(result), indent=None)
    else:
        echo(*result_lines(result, manifest, ledger))
        if ledger.rehearse:
            echo(bill_line(compare_with_bill(ledger.path)))
    raise click.exceptions.Exit(result.code)


def _check_rehearsal(rehearse: bool, faults: tuple[str, ...]) -> None:
    """Refuse what only a rehearsal can do, before anything real is bought by mistake.

    Raises:
        UsageError: an option of rehearsals without one, or a fault that does not exist.
    """
    speed = click.get_current_context().get_parameter_source("speed")
    if not rehearse and (faults or speed is click.core.ParameterSource.COMMANDLINE):
        raise UsageError("--speed and --fault are for rehearsals: add --rehearse")
    Options.parse(faults)


class _RunTerminal(RunHost):
    """The person at the terminal, or the machine that reads it."""

    looking = staticmethod(told_now_and_then)

    def __init__(self, ledger: LedgerChoice, *, yes: bool, as_json: bool, refresh: bool) -> None:
        self._refresh = refresh
        self._ledger = ledger
        self._yes = yes
        self._as_json = as_json

    def tell(self, text: str) -> None:
        say(text)

    def recovering(self) -> None:
        say("finishing what an earlier run left under way")

    def recovered(self, found: Recovered) -> None:
        say(recovered_text(found))

    def missing(self, found: MissingImages | None, job: JobSpec) -> None:
        say(*absent_lines(found, job.name, job.output, self._ledger))

    def planned(self, planned: PlannedRun) -> None:
        difference = planned.difference
        if self._refresh or difference.calls or difference.new or difference.changed:
            warn(planned.warnings)
        say(*plan_lines(planned, self._ledger))

    def agree(self, question: Question) -> None:
        if not (self._yes and question.option == "--yes"):
            agreed = f"give {question.option} if that is right{question.other}"
            refusal = f"{question.text}; nobody is here to be asked; {agreed}"
            confirm(f"{question.text}. Go on?", refusal, as_json=self._as_json)

    async def attend(self, run: RunUnderWay) -> None:
        await watch(run, as_json=self._as_json)
        signals.ignore()  # nothing is left but to close the books and to say what came of it
