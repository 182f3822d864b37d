"""Plays one wire fault against the whole engine: a real ledger, spool and client over real sockets."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pytest

from batchgen.contracts.contract import Contract, References
from batchgen.contracts.tokens import MainPrice
from batchgen.domain.clock import SystemClock
from batchgen.domain.events import LanePaused
from batchgen.domain.inputs import InputImage, Inputs
from batchgen.domain.job import Limits
from batchgen.engine import delivery as delivery_module
from batchgen.engine import local_hand as hand_module
from batchgen.gateway.download import Downloader
from batchgen.ledger.ledger import Ledger
from batchgen.policy.backoff import Backoff
from batchgen.report.proof import Proof, prove
from tests.chaos.memory import Peak
from tests.chaos.pictures import NOISE
from tests.chaos.raw_gateway import RawGateway, listening
from tests.chaos.wire_case import Case
from tests.chaos.wire_endpoints import good_answer
from tests.support.gateway import contract as shipped
from tests.support.rig import Rig, rig, small_plan
from tests.support.store import png

_LONG = 0.6  # seconds of a pause that no test waits for
_HEAVY_SIDE = 1300  # pixels of a noise picture of 5 MB, more than the sockets of both sides hold
HANGS_AFTER = 60.0  # seconds: what is slow ends before, what hangs never does


@dataclass(frozen=True)
class Left:
    """What a run left.

    Attributes:
        attempts: kind, charge and detail of each, in order.
        task: state, attempts that count, lost answers that count.
        spooled: files of answers that are still in the spool.
    """

    attempts: list[tuple[str, str, str]]
    task: tuple[str, int, int]
    sums: tuple[int, int, int]
    images: list[str]
    flags: str
    pauses: list[float]
    stopped: str | None
    spooled: list[str]
    proof: Proof
    gateway: RawGateway
    grown: float


def empty_ledger(path: Path) -> Path:
    """A ledger with nothing in it, to be copied: making one takes longer than most faults."""
    Ledger.open(path, SystemClock()).close()
    return path


async def play(
    case: Case, folder: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch, *, forever: bool = False
) -> Left:
    """Run a job of one image against a gateway that answers as the case says: once, or again and again.

    Args:
        ledger: an empty one, which is copied.
    """
    shutil.copy(ledger, folder / "ledger.db")
    monkeypatch.setattr(delivery_module, "_GONE_AFTER", 0.3)
    monkeypatch.setattr(hand_module, "Downloader", partial(Downloader, total=1.0, idle=0.4))
    calls = (case.first,) if forever else (case.first, good_answer(case.endpoint))
    gateway = RawGateway(calls, case.downloads, receive_buffer=4096 if case.heavy else 0)
    plan = small_plan(folder, ["a mug"], ["1:1@1K"], Limits(concurrency=2, attempts=3, unknown=1))
    if case.endpoint == "edits" or case.heavy:
        plan.inputs = _a_reference(folder, heavy=case.heavy)
    peak = Peak()
    async with _at(gateway, case) as contract, asyncio.timeout(HANGS_AFTER):
        async with rig(folder, contract, plan) as run:
            run.executor.delivery._backoff = Backoff(base=0.05, cap=0.1)
            running = asyncio.create_task(run.runner.run())
            await _until_it_ends_or_waits_long(run, running, longest=0.0 if case.lasts else _LONG)
            left = _what_it_left(run)
        grown = peak.grown()
        proof = prove(folder / "ledger.db", checksums=True)
    spool = plan.job.output / ".batchgen"
    spooled = sorted(path.name for path in spool.iterdir() if path.is_file() and path.name[0].isdigit())
    return Left(**left, spooled=spooled, proof=proof, gateway=gateway, grown=grown)


def _what_it_left(run: Rig) -> dict[str, Any]:
    return {
        "attempts": run.query("SELECT outcome, charge, detail FROM attempt ORDER BY id"),
        "task": run.query("SELECT state, attempts, unknowns FROM task")[0],
        "sums": run.query("SELECT billed, unknown, reserved FROM job")[0],
        "images": [path for (path,) in run.query("SELECT path FROM image")],
        "flags": "".join(flags for (flags,) in run.query("SELECT flags FROM image")),
        "pauses": [event.seconds for event in run.events if isinstance(event, LanePaused)],
        "stopped": run.job_run.stopped,
    }


async def _until_it_ends_or_waits_long(run: Rig, running: asyncio.Task[None], *, longest: float) -> None:
    """The end of the run. A lane that waits longer is not waited for."""
    while not running.done():
        if any(isinstance(event, LanePaused) and event.seconds > longest for event in run.events):
            run.job_run.drain("the test does not wait so long")
            break
        await asyncio.wait({running}, timeout=0.02)
    await running


@asynccontextmanager
async def _at(gateway: RawGateway, case: Case) -> AsyncIterator[Contract]:
    """The contract of the case's route, at a gateway that listens, or did."""
    async with AsyncExitStack() as open_ones:
        await open_ones.enter_async_context(listening(gateway))
        if case.refused:
            await open_ones.aclose()
        base = gateway.base.replace("http:", "https:") if case.https else gateway.base
        yield _contract(case, base)


@lru_cache
def shipped_to(route: str, endpoint: str = "") -> Contract:
    """A contract as shipped."""
    return shipped(route, "images" if endpoint == "edits" else endpoint)


def _contract(case: Case, base: str) -> Contract:
    timeouts = dict.fromkeys(("1K", "2K", "4K"), case.timeout)
    found = shipped_to(case.route, case.endpoint)
    if case.endpoint == "responses":
        found = replace(found, main_model="gpt-5.5", main_price=MainPrice(1_250_000, 10_000_000, "2026-11-21"))
    if case.heavy:
        found = replace(found, references=References())
    return replace(
        found, base_url=base, keys=("K",), timeouts=timeouts, quality_timeouts={}, url_lifetime=case.lifetime
    )


@lru_cache
def _heavy() -> bytes:
    return png(_HEAVY_SIDE, _HEAVY_SIDE)


def _a_reference(folder: Path, *, heavy: bool) -> Inputs:
    content = _heavy() if heavy else NOISE["png"]
    (folder / "cup.png").write_bytes(content)
    side = (_HEAVY_SIDE, _HEAVY_SIDE) if heavy else (64, 48)
    return Inputs((InputImage("cup.png", hashlib.sha256(content).hexdigest(), *side),))
