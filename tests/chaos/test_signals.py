"""Signals and clocks: one Ctrl-C drains, two leave at once; a clock that jumps and a machine that sleeps cost nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.chaos.promises import promise
from tests.chaos.site import LONG, PRICE, Site, running
from tests.chaos.traced import hooked
from tests.shop import Shop, gateway

TASKS = 24
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
