"""Paid addresses that cannot be fetched: nothing more is bought meanwhile, and nothing of it is bought again."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from batchgen.domain.clock import SystemClock
from batchgen.domain.events import Notice
from batchgen.domain.job import Limits
from batchgen.domain.wire import Download, Fetch, Picture
from batchgen.engine import delivery as delivery_module
from batchgen.engine import recovery as recovery_module
from batchgen.policy.backoff import Backoff
from batchgen.store.spool.sink import SpoolSink
from tests.support.rig import Rig, rig, simulator, small_plan

AWAY = Download(Fetch.AGAIN, detail="connection refused")
MISSING = Download(Fetch.GONE, detail="status 404")
IN_FLIGHT = 4
MOST_LOST = 10


class Storage:
    """The host of the addresses. What `fails` gives for the n-th try, if anything, comes instead of the file."""

    def __init__(self, run: Rig, fails: Callable[[int], Download | None]) -> None:
        self.tries = 0
        self._fails = fails
        self._real = run.gateway.downloader.fetch
        run.gateway.downloader.fetch = self.fetch  # type: ignore[method-assign, assignment]
        run.executor.delivery._backoff = Backoff(base=0.01, cap=0.02)

    async def fetch(self, url: str, sink: SpoolSink, *, loopback_base: str = "") -> Download:
        self.tries += 1
        return self._fails(self.tries) or await self._real(url, sink, loopback_base=loopback_base)


@asynccontextmanager
async def linked(
    folder: Path, tasks: int, fails: Callable[[int], Download | None]
) -> AsyncIterator[tuple[Rig, Storage]]:
    """A job all of whose answers are addresses."""
    plan = small_plan(folder, [f"x [[sim:url]] {n}" for n in range(tasks)], ["1:1@1K"], Limits(concurrency=IN_FLIGHT))
    async with simulator(folder, "url_lifetime=999999") as contract, rig(folder, contract, plan) as run:
        yield run, Storage(run, fails)


def notices(run: Rig, words: str) -> int:
    return sum(isinstance(event, Notice) and words in event.text for event in run.events)


async def test_run_buys_no_more_while_paid_addresses_cannot_be_fetched(tmp_path: Path) -> None:
    """And goes on as soon as they can."""
    healthy = asyncio.Event()
    async with linked(tmp_path, 60, lambda _: None if healthy.is_set() else AWAY) as (run, storage):
        running = asyncio.create_task(run.runner.run())
        while not notices(run, "no new call is made"):
            await asyncio.sleep(0.01)
        bought, tried = run.job_run.tally.calls, storage.tries
        while storage.tries < tried + 200:
            await asyncio.sleep(0.01)
        assert run.job_run.tally.calls - bought <= IN_FLIGHT
        assert bought < 60
        healthy.set()
        await running
        assert run.states() == {"completed": 60}
        assert len(run.bill()) == 60
        assert notices(run, "no new call is made") == 1


async def test_run_stops_when_too_many_addresses_cannot_be_fetched_at_all(tmp_path: Path) -> None:
    """The addresses stay in the books: the next run fetches them without a call."""
    async with linked(tmp_path, 60, lambda _: AWAY) as (run, _):
        run.executor.delivery.patience = 0.3
        await run.runner.run()
        assert "could not be fetched" in (run.job_run.stopped or "")
        bought = run.job_run.tally.calls
        assert MOST_LOST < bought < 60
        assert run.states() == {"running": bought, "available": 60 - bought}
        assert "the next run tries" in run.job_run.explained[-1]
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, run.plan, record=False) as again:
        await again.recover()
        assert again.states() == {"completed": bought, "available": 60 - bought}


async def test_one_address_that_cannot_be_fetched_holds_nothing_up(tmp_path: Path) -> None:
    dead: list[int] = []
    async with linked(tmp_path, 8, lambda _: None) as (run, storage):
        real = storage._real

        async def fetch(url: str, sink: SpoolSink, *, loopback_base: str = "") -> Download:
            dead.append(sink.attempt)
            return AWAY if sink.attempt == dead[0] else await real(url, sink, loopback_base=loopback_base)

        run.gateway.downloader.fetch = fetch  # type: ignore[method-assign, assignment]
        run.executor.delivery.patience = 0.2
        await run.runner.run()
        assert run.job_run.stopped is None
        assert run.states() == {"completed": 7, "running": 1}


async def test_address_that_is_not_there_yet_is_tried_again(tmp_path: Path) -> None:
    """A storage may have the file a moment later; only what stays away is given up."""
    async with linked(tmp_path, 1, lambda number: MISSING if number < 3 else None) as (run, storage):
        await run.runner.run()
        assert (storage.tries, run.states()) == (3, {"completed": 1})


NIGHT = 30 * 3600.0  # longer than an address is said to live


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Lets a night pass on both clocks at once."""
    nights = [0.0]
    for name in ("now", "monotonic"):
        awake = getattr(SystemClock, name)
        monkeypatch.setattr(SystemClock, name, lambda clock, awake=awake: awake(clock) + sum(nights))
    return lambda: nights.append(NIGHT)


@pytest.mark.parametrize("first", [AWAY, MISSING], ids=["the network is not up yet", "the file is not there yet"])
async def test_address_is_tried_on_when_we_slept_in_its_first_try(
    tmp_path: Path, sleep: Callable[[], None], first: Download
) -> None:
    def fails(number: int) -> Download | None:
        if number == 1:
            sleep()
        return first if number < 4 else None

    async with linked(tmp_path, 1, fails) as (run, storage):
        await run.runner.run()
        assert (storage.tries, run.states()) == (4, {"completed": 1})


async def test_address_is_parked_when_it_stays_away_after_its_time_is_over(
    tmp_path: Path, sleep: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_GONE_AFTER", 0.1)

    def fails(number: int) -> Download | None:
        if number == 1:
            sleep()
        return AWAY

    async with linked(tmp_path, 1, fails) as (run, storage):
        await run.runner.run()
        assert storage.tries > 3
        assert (run.states(), run.charges()) == ({"parked": 1}, {"billed": 1})
        assert run.query("SELECT reason FROM task WHERE reason LIKE '%expired%'")


async def test_start_goes_on_with_its_addresses_when_it_slept(tmp_path: Path, sleep: Callable[[], None]) -> None:
    async with linked(tmp_path, 4, lambda _: AWAY) as (run, _):
        run.executor.delivery.patience = 0.0
        run.job_run.tally.unfetched = -100
        await run.runner.run()

    def fails(number: int) -> Download | None:
        if number == 1:
            sleep()
        return AWAY if number < 9 else None

    async with simulator(tmp_path) as contract, rig(tmp_path, contract, run.plan, record=False) as again:
        Storage(again, fails)
        found = await again.recover()
        assert (found.fetched, found.unfetched) == (4, 0)


async def test_address_that_stays_away_is_parked_as_paid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "_GONE_AFTER", 0.1)
    async with linked(tmp_path, 1, lambda _: MISSING) as (run, storage):
        await run.runner.run()
        assert storage.tries > 3
        assert (run.states(), run.charges()) == ({"parked": 1}, {"billed": 1})
        assert (run.job_run.tally.slow, run.job_run.tally.unfetched) == (0, 1)


async def test_address_that_is_given_up_at_its_third_try_was_never_slow(tmp_path: Path) -> None:
    refused = Download(Fetch.REFUSED, detail="not a public address")
    async with linked(tmp_path, 1, lambda number: refused if number == 3 else AWAY) as (run, _):
        await run.runner.run()
        assert run.states() == {"parked": 1}
        assert (run.job_run.tally.slow, run.job_run.tally.unfetched) == (0, 1)


async def test_start_waits_for_all_addresses_together_no_longer_than_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with linked(tmp_path, 40, lambda _: AWAY) as (run, _):
        run.executor.delivery.patience = 0.0
        run.job_run.tally.unfetched = -100
        await run.runner.run()
        assert run.states() == {"running": 40}
    monkeypatch.setattr(recovery_module, "_PATIENCE", 0.0)
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, run.plan, record=False) as again:
        storage = Storage(again, lambda _: AWAY)
        found = await again.recover()
        assert (found.unfetched, storage.tries) == (40, 0)

        assert again.states() == {"running": 40}


async def test_next_try_is_not_tidied_away_with_the_one_before(tmp_path: Path) -> None:
    """What a broken try left is removed by a thread that may come to it late."""
    out = io.BytesIO()
    Image.frombytes("RGB", (600, 600), os.urandom(600 * 600 * 3)).save(out, "PNG", compress_level=0)
    data, late, tries = out.getvalue(), threading.Event(), 0
    async with linked(tmp_path, 1, lambda _: None) as (run, _):
        hand = run.hand

        async def fetch(url: str, sink: SpoolSink, *, loopback_base: str = "") -> Download:
            nonlocal tries
            tries += 1
            if tries == 1:
                await sink.write(data[:400_000])
                for _ in range(4):  # every thread that could remove it is at work
                    hand._spool._threads.start(late.wait, 10.0)
                return AWAY
            for at in range(0, len(data), 100_000):
                await sink.write(data[at : at + 100_000])
            asyncio.get_running_loop().call_later(0.1, late.set)
            return Download(Fetch.DONE, Picture(sink.name, len(data)))

        run.gateway.downloader.fetch = fetch  # type: ignore[method-assign, assignment]
        await run.runner.run()
        assert (tries, run.states()) == (2, {"completed": 1})
