"""`batchgen simulate`: the simulated gateway on a loopback port."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from batchgen.app.known_routes import known_routes
from batchgen.cli.output import echo, say
from batchgen.simulator.faults import Options
from batchgen.simulator.serve import serve_forever


@click.command()
@click.argument("route", nargs=-1)
@click.option("--speed", type=click.FloatRange(min=0.001), default=1.0, help="How many times faster than the real one.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one. [default: 0]")
@click.option("--seed", type=int, default=1, show_default=True, help="Of latencies, faults and pictures.")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME=VALUE", help="A behaviour; may be repeated. See the docs."
)
@click.option(
    "--bill", type=click.Path(path_type=Path, dir_okay=False), default=Path("simulator/bill.jsonl"), show_default=True
)
@click.option("--state", type=click.Path(path_type=Path, file_okay=False), default=Path("simulator"), show_default=True)
@click.option("--until-stdin-closes", is_flag=True, hidden=True, help="End with the process that started this one.")
def simulate(
    route: tuple[str, ...],
    speed: float,
    port: int,
    seed: int,
    faults: tuple[str, ...],
    bill: Path,
    state: Path,
    until_stdin_closes: bool,
) -> None:
    """Serve a simulated gateway for ROUTE… (default: all) on a loopback port, until it is interrupted.

    One route: its base URL alone on the first line. Several: a line `ROUTE URL` each. Any bearer key is accepted.
    """
    catalog = known_routes()
    contracts = [catalog.resolve(_as_written(name)) for name in route or catalog.routes()]
    options = Options.parse([f"speed={speed}", f"seed={seed}", *faults])

    def announce(addresses: list[tuple[str, str]]) -> None:
        echo(*(url if len(addresses) == 1 else f"{name} {url}" for name, url in addresses))
        if not until_stdin_closes:
            say(f"bill: {bill}; stop with Ctrl-C")

    async def serve() -> None:
        ended = _ended(until_stdin_closes)
        await serve_forever(
            contracts, options, bill_path=bill, state_dir=state, port=port, on_ready=announce, until=ended
        )

    asyncio.run(serve())


def _as_written(route: str) -> str | dict[str, Any]:
    """Read a route: a name or, for a rehearsal, a manifest's mapping in JSON; numbers stay as they are written."""
    return json.loads(route, parse_float=Decimal) if route.startswith("{") else route


async def _ended(until_stdin_closes: bool) -> None:
    """Wait for an interrupt, or for the end of the process that holds the other end of stdin."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        if until_stdin_closes and name is signal.SIGINT:
            # Ctrl-C reaches the whole terminal group; the run still needs its gateway while it drains.
            signal.signal(name, signal.SIG_IGN)
            continue
        try:
            loop.add_signal_handler(name, ended.set)
        except NotImplementedError:  # Windows: Ctrl-C arrives as KeyboardInterrupt
            break
    if until_stdin_closes:
        await asyncio.wait(
            {asyncio.ensure_future(ended.wait()), loop.run_in_executor(None, sys.stdin.buffer.read)},
            return_when=asyncio.FIRST_COMPLETED,
        )
    else:
        await ended.wait()
