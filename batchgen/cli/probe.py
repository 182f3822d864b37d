"""`batchgen probe`: one small paid call over a route, through the same books as everything else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from batchgen.app.keyring import KeyRing
from batchgen.app.known_routes import known_routes
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.probe import ProbeOptions, make_probes, prepare
from batchgen.app.run_host import RunHost, RunUnderWay
from batchgen.app.spending_limits import monthly_by_environment
from batchgen.cli import streams
from batchgen.cli.asking import confirm
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json, say
from batchgen.cli.text.probe import probe_lines
from batchgen.cli.watching import watch
from batchgen.contracts.endpoints import ENDPOINTS
from batchgen.domain.errors import UsageError
from batchgen.report.probe_fields import probe_fields
from batchgen.report.probes import Probe

_ENDPOINTS = [each.name for each in ENDPOINTS.values() if not each.in_batches]
PROMPT = "A clean validation picture: a white mug on a gray table with a blue sticker that says BASE-17"


@click.command()
@click.argument("route")
@click.argument("other", required=False)
@ledger_options
@json_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--endpoint", type=click.Choice(_ENDPOINTS), help="[default: the route's own]")
@click.option("--main-model", metavar="NAME", help="The model that draws through its tool, for --endpoint responses.")
@click.option("--size", metavar="SIZE", help="[default: a 1K square]")
@click.option("--quality", metavar="NAME", help="[default: the gateway's]")
@click.option("--prompt", default=PROMPT, metavar="TEXT", help="[default: a white mug that says BASE-17]")
def probe(
    route: str,
    other: str | None,
    ledger: LedgerChoice,
    as_json: bool,
    yes: bool,
    endpoint: str | None,
    main_model: str | None,
    size: str | None,
    quality: str | None,
    prompt: str,
) -> None:
    """Make one small paid call over ROUTE, or the same over ROUTE and OTHER, and say all that should be recorded.

    Exit codes: 0 delivered · 2 usage, or nobody to ask · 3 answered with a failure · 4 key or quota · 130 and 131 as
    with run.
    """
    monthly_by_environment()  # what is wrong with it is said before anything
    streams.endure()
    routes = [route] if other is None else [route, other]
    if len(set(routes)) != len(routes):
        raise UsageError("name two different routes")
    asked = ProbeOptions(endpoint, main_model, size, quality, prompt)
    probes = prepare(known_routes(), routes, asked, ledger.path.parent)
    if not ledger.rehearse:
        _agree(probes, yes=yes, as_json=as_json)
    code = asyncio.run(make_probes(probes, ledger, _ProbeTerminal()))
    fields = [probe_fields(each) for each in probes]
    if as_json:
        print_json(fields[0] if other is None else fields)
    else:
        echo(*probe_lines(fields))
    raise click.exceptions.Exit(code)


def _agree(probes: list[Probe], *, yes: bool, as_json: bool) -> None:
    """Have a person agree to what the calls cost.

    Raises:
        UsageError: a key is missing, nobody is there to ask, or the answer was no. Nothing was sent.
    """
    keys = KeyRing.of(Path.cwd())
    for each in probes:
        keys.fingerprint(each.contract.key_env)
        say(each.question)
    if not yes:
        refusal = "this costs money and nobody is here to be asked; give --yes, or --rehearse to try it for free"
        confirm("Go on?", refusal, as_json=as_json)


class _ProbeTerminal(RunHost):
    async def attend(self, run: RunUnderWay) -> None:
        await watch(run, as_json=False)
