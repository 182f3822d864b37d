"""One owner at a time: a stranger's lock on the database, and a second runner."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.promises import promise
from tests.chaos.site import LONG, Site, running
from tests.shop import Shop, gateway

TASKS = 24
LIMITS = "concurrency: 4, budget: 100.00"
STARTS = 20 if LONG else 2


@contextmanager
def locked(site: Site, seconds: float = 0.0) -> Iterator[None]:
    """Another program in the middle of a write: for the length of the block, or for so many seconds."""
    connection = sqlite3.connect(site.folder / "batchgen.db", timeout=5, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    release = threading.Timer(seconds, connection.execute, ("ROLLBACK",)) if seconds else None
    if release:
        release.start()
    try:
        yield
    finally:
        if release:
            release.join()
        else:
            connection.execute("ROLLBACK")
        connection.close()


def test_short_lock_is_waited_for(tmp_path: Path) -> None:
    with gateway(Shop(tmp_path), "latency=0.2") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            site.wait_for_attempts(process, 4)
            with locked(site, 1.0):
                pass
            assert process.wait(60) == 0
        books = site.check()
        assert books.calls == books.attempts == TASKS
    promise(1, "database locked by another program for 1 s in mid-run: waited, 0 extra calls")


def test_long_lock_stops_the_run_and_loses_no_answer(tmp_path: Path) -> None:
    with gateway(Shop(tmp_path), "latency=0.3") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            site.wait_for_attempts(process, 3)
            with locked(site):
                assert process.wait(60) == 1
                calls = len(site.bill())
                said = site.run("run", "job.yaml", code=1).stderr
                assert "is locked by another program; close what has it open and run again" in said
                assert len(site.bill()) == calls
        assert not site.unanswered(), "an answer was lost because the ledger was locked"
        kept = site.receipts()
        assert kept
        site.finish()
        assert site.check().calls == TASKS
    promise(3, f"database locked until the run gave up: {kept} answers waited in the spool, 0 bought again")


def test_second_runner_is_refused(tmp_path: Path) -> None:
    """Also while the first is frozen, which a lease by the clock would take for dead."""
    with gateway(Shop(tmp_path), "latency=1") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            site.wait_for_attempts(process, 0)
            for number in range(STARTS):
                assert f"process {process.pid} on " in site.run("run", "job.yaml", code=4).stderr
                if number == 0:
                    process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0
        books = site.check()
        assert books.calls == books.attempts == site.tasks
    promise(11, f"{STARTS} second runners refused, {STARTS - 1} beside a frozen first; {books.calls} calls")
