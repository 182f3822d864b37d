"""Signals and clocks: one Ctrl-C drains, two leave at once; a clock that jumps and a machine that sleeps cost nothing."""

from __future__ import annotations

import os
import pty
import random
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.promises import promise
from tests.chaos.site import LONG, PRICE, Site, running
from tests.chaos.traced import hooked
from tests.support.shop import Shop, gateway

TASKS = 24
ENOUGH = 240  # tasks of a run that is stopped: it does not end by itself before, however late we come
LIMITS = "concurrency: 6, unknown: 5, attempts: 9, unknown_total: 1000, budget: 100.00"
ROUNDS = 20 if LONG else 2
ASLEEP = 90.0 if LONG else 4.0
HOUR = 3600
TIME_OUT = 2  # seconds, for tests that sleep longer than that


def wait_for_words(site: Site, process: subprocess.Popen[bytes], words: str) -> None:
    """Until the run has said that."""
    while words not in site.said:
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_one_signal_drains(tmp_path: Path, name: str) -> None:
    chance = random.Random()
    with gateway(Shop(tmp_path), "latency=0.3") as shop:
        site = Site.of(shop, "site", TASKS * ROUNDS, LIMITS)
        for _ in range(ROUNDS):
            with running(site) as process:
                site.wait_for_attempts(process, site.attempts())
                time.sleep(chance.uniform(0, 0.5))
                process.send_signal(getattr(signal, name))
                assert process.wait(60) == 130, site.said
            assert "stopped before the end: interrupted" in site.said
            assert not site.receipts()
            assert set(dict(site.query("SELECT charge, 1 FROM attempt"))) <= {"billed", "void"}  # void: not sent yet
        site.finish()
        books = site.check()
        assert books.calls == site.tasks
    promise(10, f"{name} once, {ROUNDS} times at random: drained, exit 130, 0 unknown, 0 extra calls")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGQUIT", "SIGALRM", "SIGXCPU"])
def test_other_signals_drain_too(tmp_path: Path, name: str) -> None:
    """And where the sender does not mean it, a second does not leave: a terminal that closes sends SIGHUP twice."""
    with gateway(Shop(tmp_path), "latency=1") as shop:
        site = Site.of(shop, "site", ENOUGH, LIMITS)
        with running(site) as process:
            site.wait_for_attempts(process, 3)
            process.send_signal(getattr(signal, name))
            wait_for_words(site, process, "paid anyway")
            if name != "SIGQUIT":
                process.send_signal(getattr(signal, name))
            assert process.wait(60) == 130, site.said
        assert "stopped before the end: interrupted" in site.said
        calls = drained(site)
    promise(10, f"{name}: drained, exit 130, {calls} calls, 0 unknown")


def drained(site: Site) -> int:
    """All that was begun is in the books and in the output folder; how many calls that was."""
    assert not site.receipts()
    calls = len(site.bill())
    assert dict(site.query("SELECT charge, count(*) FROM attempt WHERE sent_at > 0 GROUP BY charge")) == {
        "billed": calls
    }
    assert site.states() == {"available": site.tasks - calls, "completed": calls}
    return calls


def test_signals_without_a_meaning_are_ignored(tmp_path: Path) -> None:
    with gateway(Shop(tmp_path), "latency=0.2") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            for count, name in enumerate(("SIGUSR1", "SIGUSR2", "SIGPIPE")):
                site.wait_for_attempts(process, 3 * count)
                process.send_signal(getattr(signal, name))
            assert process.wait(60) == 0
        assert site.check().calls == TASKS


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["live", "json"])
def test_terminal_that_is_closed_drains_the_run(tmp_path: Path, words: tuple[str, ...]) -> None:
    """SIGHUP, and nowhere to write to: neither may end it, or change how it ends."""
    with gateway(Shop(tmp_path), "latency=1") as shop:
        site = Site.of(shop, "site", ENOUGH, LIMITS)
        with on_terminal(site, "run", "job.yaml", *words) as (process, hang_up):
            site.wait_for_attempts(process, 3)
            hang_up()
            assert process.wait(60) == 130
        calls = drained(site)
    promise(10, f"terminal closed ({words or 'live'}): drained, exit 130, {calls} calls, 0 unknown")


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["live", "json"])
def test_run_that_nobody_may_hang_up_goes_on_without_its_terminal(tmp_path: Path, words: tuple[str, ...]) -> None:
    with gateway(Shop(tmp_path), "latency=0.3") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.prefix = ["sh", "-c", "trap '' HUP; exec \"$@\"", "nohup"]
        with on_terminal(site, "run", "job.yaml", *words) as (process, hang_up):
            site.wait_for_attempts(process, 3)
            hang_up()
            process.send_signal(signal.SIGHUP)
            assert process.wait(60) == 0
        site.prefix = []
        assert site.check().calls == TASKS
    promise(10, f"terminal closed under nohup ({words or 'live'}): {TASKS} images, exit 0")


@contextmanager
def on_terminal(site: Site, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], None]]]:
    """A command on a terminal of its own, which is read all the time, and how to close that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        site.command(*words),
        cwd=site.folder,
        env=site.env(),
        preexec_fn=partial(os.login_tty, theirs),  # noqa: PLW1509 - no thread that could be in the way
    )
    os.close(theirs)
    reader = threading.Thread(target=_read_all, args=(os.dup(ours), closed := threading.Event()))
    reader.start()

    def hang_up() -> None:
        closed.set()
        reader.join()
        os.close(ours)

    try:
        yield process, hang_up
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if not closed.is_set():
            hang_up()


def _read_all(end: int, closed: threading.Event) -> None:
    with suppress(OSError):
        while not closed.is_set():
            if select.select([end], [], [], 0.05)[0]:
                os.read(end, 65536)
    os.close(end)


@pytest.mark.parametrize("end", ["stdout", "stderr", "both", "full"])
def test_run_without_an_output_from_the_start_is_like_any_other(tmp_path: Path, end: str) -> None:
    """A closed descriptor would be the ledger's, and what a child says would be written into that."""
    closing = {"stdout": ">&-", "stderr": "2>&-", "both": "<&- >&- 2>&-", "full": ">/dev/full 2>&1"}[end]
    with gateway(Shop(tmp_path)) as shop:
        site = Site.of(shop, "site", 3, LIMITS)
        site.prefix = ["sh", "-c", f'exec "$@" {closing}', "closed"]
        site.run("run", "job.yaml", code=0)
        site.prefix = []
        site.run("run", "job.yaml", "--json", code=0)
        assert site.check().calls == 3


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signal_at_any_moment_of_the_start_or_the_end_loses_nothing(tmp_path: Path, name: str) -> None:
    """At one of the calls that write: of the recovery after a kill, of the plan, of the run, and of the end."""
    codes = set()
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            site.wait_for_attempts(process, 2)
            site.kill(process)
        lost = len(site.unanswered())
        for moment in range(1, 60) if LONG else (3, 8, 14, 21, 29):
            site.environment = hooked(f"signal:{name}={moment}")
            done = site.run("run", "job.yaml", "--limit", "1", code=None)
            codes.add(done.returncode)
            assert "Traceback" not in done.stderr, done.stderr
        site.environment = {}
        site.finish()
        assert site.check().calls <= TASKS + lost
    assert codes <= {130, 4, 0}
    promise(10, f"{name} while it starts, recovers, plans or ends: {sorted(codes)}, nothing lost")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_two_signals_leave_at_once(tmp_path: Path, name: str) -> None:
    slowest, lost = 0.0, 0
    with gateway(Shop(tmp_path), "latency=2") as shop:
        site = Site.of(shop, "site", 6, LIMITS)
        site.latency = 2.5
        for _ in range(4 if LONG else 1):
            with running(site) as process:
                site.wait_for_attempts(process, site.attempts() + 1)
                process.send_signal(getattr(signal, name))
                wait_for_words(site, process, "are paid anyway and awaited")
                begun = time.monotonic()
                process.send_signal(getattr(signal, name))
                process.wait(10)
                slowest = max(slowest, time.monotonic() - begun)
                assert process.returncode == 131
            assert site.query("SELECT count(*) FROM attempt WHERE charge = 'reserved'") == [(0,)]
            lost = site.query("SELECT count(*) FROM attempt WHERE charge = 'unknown'")[0][0]
            assert site.query("SELECT unknown, reserved FROM job") == [(lost * PRICE, 0)]
        site.finish()
        books = site.check()
        assert books.calls - site.tasks <= lost == books.unknowns
    assert slowest < 2.5
    promise(10, f"{name} twice: out in {slowest:.1f} s at most, {lost} in flight booked as unknown before the end")


@pytest.mark.parametrize("hours", [-48, 48])
def test_wall_clock_jumps_in_mid_run(tmp_path: Path, hours: int) -> None:
    """Half of the answers are addresses that expire; a leap must not make them lost, nor a wait endless."""
    clock = tmp_path / "clock"
    clock.write_text("0", encoding="ascii")
    with gateway(Shop(tmp_path), "latency=0.15", "p_url=0.5", "p_429=0.1", "retry_after=200ms") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.environment = hooked(f"clock:{clock}")
        with running(site) as process:
            site.wait_for_attempts(process, 6)
            clock.write_text(str(hours * HOUR), encoding="ascii")
            assert process.wait(60) == 0
        site.environment = {}
        books = check_after_leap(site)
    promise(12, f"wall clock {hours:+d} h in mid-run: {TASKS} images, 0 bought twice, {books} unknown")


def check_after_leap(site: Site) -> int:
    """As `check`, but for stamps, which follow the clock: every image once, and nothing in doubt."""
    assert site.states() == {"completed": site.tasks}
    paid = [line.prompt for line in site.bill() if line.charged]
    assert len(paid) == len(set(paid)) == site.tasks
    billed, unknown = site.query("SELECT billed, unknown FROM job")[0]
    assert (billed, unknown) == (site.tasks * PRICE, 0)
    site.run("verify")
    return int(unknown)


def test_clock_that_jumped_while_nothing_ran(tmp_path: Path) -> None:
    """Killed, then the clock is two days back, then two days ahead of that: the lock and the waits follow no clock."""
    clock = tmp_path / "clock"
    with gateway(Shop(tmp_path), "latency=0.2") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.environment = hooked(f"clock:{clock}")
        lost = 0
        for hours in (0, -48, 48):
            clock.write_text(str(hours * HOUR), encoding="ascii")
            with running(site) as process:
                site.wait_for_attempts(process, site.attempts() + 2)
                assert site.kill(process)
            lost += len(site.unanswered())
        clock.write_text(str(-24 * HOUR), encoding="ascii")
        site.finish()
        site.environment = {}
        site.settle_log()
        assert site.states() == {"completed": TASKS}
        extra = len(site.bill()) - TASKS
        assert extra <= lost
        site.run("verify")
    promise(12, f"clock set to -48 h, +48 h, -24 h between kills: {extra} extra calls, {lost} in flight at the kills")


def test_process_that_sleeps(tmp_path: Path) -> None:
    """Frozen with calls in flight, as a laptop's lid does it: the answers wait in the socket."""
    with gateway(Shop(tmp_path), "latency=0.5") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            site.wait_for_attempts(process, 3)
            process.send_signal(signal.SIGSTOP)
            time.sleep(ASLEEP)
            process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0
        books = site.check()
        assert books.calls == books.attempts == TASKS
        assert books.unknowns == 0
    promise(12, f"frozen for {ASLEEP:.0f} s with calls in flight: {TASKS} calls, 0 unknown")


def test_process_that_sleeps_longer_than_its_time_out(tmp_path: Path) -> None:
    """Every deadline is overdue when it wakes up, and every answer there; half of them are addresses to be fetched."""
    with gateway(Shop(tmp_path), "latency=0.3", "p_url=0.5") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS, f"timeout: {TIME_OUT}\n")
        with running(site) as process:
            for more in (3, 12):
                site.wait_for_attempts(process, more)
                process.send_signal(signal.SIGSTOP)
                time.sleep(TIME_OUT * 1.5)
                process.send_signal(signal.SIGCONT)
            assert process.wait(60) == 0, site.said
        books = site.check()
        assert (books.calls, books.attempts, books.unknowns) == (TASKS, TASKS, 0)
    promise(12, f"frozen twice for longer than the time-out: {TASKS} calls for {TASKS} images, 0 unknown")
