"""A rehearsal: the simulated gateway as a child process, with a ledger, an output folder and a bill of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from batchgen.app.ledger_choice import REHEARSAL
from batchgen.domain.deadline import Deadline
from batchgen.domain.errors import BatchgenError, UsageError

Written = str | Mapping[str, Any]
"""A route as a manifest names it."""

KEY_ENV = "BATCHGEN_REHEARSAL_KEY"  # where a route names none: the simulator wants one
BILL = REHEARSAL / "bill.jsonl"
_START_WITHIN = 30.0


@asynccontextmanager
async def simulated(routes: Sequence[Written], speed: float, faults: tuple[str, ...]) -> AsyncIterator[list[str]]:
    """Serve routes, as the manifest writes them, for as long as the block lasts; gives their base URLs in order.

    The child ends by itself when this process does, however that ends.

    Raises:
        BatchgenError: it does not come up.
    """
    try:
        REHEARSAL.mkdir(exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {REHEARSAL.absolute()}: {error.strerror}; rehearse in another folder") from error
    process = await asyncio.create_subprocess_exec(
        *_command(routes, speed, faults),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # what a terminal sends to all who are in it must not end what a run drains into
    )
    try:
        yield [await _base_url(process) for _ in routes]
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5.0)
        except TimeoutError:
            process.kill()
            await process.wait()


def _command(routes: Sequence[Written], speed: float, faults: tuple[str, ...]) -> list[str]:
    written = [route if isinstance(route, str) else json.dumps(route, default=float) for route in routes]
    command = [sys.executable, "-m", "batchgen", "simulate", *written, "--speed", str(speed), "--bill", str(BILL)]
    command += ["--state", str(REHEARSAL / "simulator"), "--until-stdin-closes"]
    for fault in faults:
        command += ["--fault", fault]
    return command


async def _base_url(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise BatchgenError("the simulated gateway has no output")
    try:
        async with Deadline(_START_WITHIN).waiting():
            line = await process.stdout.readline()
    except TimeoutError:
        raise BatchgenError("the simulated gateway did not come up within 30 s") from None
    if not line:
        raise BatchgenError("the simulated gateway ended at once; `batchgen simulate` says why")
    return line.decode().split()[-1]  # alone, or after its route where there are several


def rehearsal_key(name: str) -> str:
    """Give what stands in a rehearsal for the key in a variable, which stays at home."""
    return f"rehearsal-{name}"


def output_folder(name: str) -> Path:
    """Say where a rehearsed job puts its images."""
    return (REHEARSAL / name).absolute()
