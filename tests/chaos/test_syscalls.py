"""Killed at a write-type system call, and again at one of the recovery from that: nothing on disk is bought again.

The long form takes every third call as a kill point, the short one a sample. The stand-in counts the calls that Python
makes, and the ledger's commits, inside the process: it runs always, and alone where nothing can be traced.
"""

from __future__ import annotations

import itertools
import signal
from pathlib import Path

import pytest

from tests.chaos.promises import promise
from tests.chaos.site import LONG, Site
from tests.chaos.traced import hooked, killing, need_strace, points, tracing
from tests.support.shop import Shop, gateway

TASKS = 3
LIMITS = "concurrency: 3, unknown: 5, attempts: 9, unknown_total: 1000, budget: 10.00"
SAMPLE = 4
SHARE = "every third" if LONG else "a sample"
FIRST_IMAGE = hooked("kill:link=2")  # the first link makes the spool known as the ledger's
PARTS = 2  # tests that share the points, so that each core has one


def some(every: list[tuple[str, int]], part: int, sample: int) -> list[tuple[str, int]]:
    """Every third, or a sample of those that another kind of call went before; one part of them."""
    if LONG:
        return every[::3][part::PARTS]
    turns = [point for before, point in itertools.pairwise(every) if before[0] != point[0]]
    return turns[:: max(1, len(turns) // (sample * PARTS))][part::PARTS]


def kill_run(site: Site, tracer: list[str], environment: dict[str, str] | None = None) -> bool:
    """A run that is to die; whether it did."""
    site.tracer, site.environment = tracer, environment or {}
    done = site.run("run", "job.yaml", code=None)
    site.tracer, site.environment = [], {}
    assert done.returncode in {0, -signal.SIGKILL, 128 + signal.SIGKILL}, done.stderr
    return done.returncode != 0


def recover(site: Site, lost: int) -> int:
    """The next run: everything is there, and only calls without a whole answer on disk were made again."""
    site.finish()
    books = site.check()
    extra = books.calls - TASKS
    assert extra <= lost, f"{extra} extra calls where {lost} answers were not on disk"
    return extra


def traced_points(site: Site) -> list[tuple[str, int]]:
    site.tracer = tracing(site.folder / "trace")
    site.run("run", "job.yaml")
    site.tracer = []
    found = points(site.folder / "trace")
    assert {"pwrite64", "fsync", "unlink"} & {name for name, _ in found}
    return found


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_a_system_call(tmp_path: Path, part: int) -> None:
    need_strace("kill points inside the process stand in")
    hit = after_all = extra = 0
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        every = traced_points(Site.of(shop, "trace", TASKS, LIMITS))
        chosen = some(every, part, SAMPLE)
        for number, (call, when) in enumerate(chosen):
            site = Site.of(shop, f"p{number}", TASKS, LIMITS)
            if not kill_run(site, killing(call, when)):
                continue
            hit += 1
            lost, whole = len(site.unanswered()), len(site.bill()) == TASKS
            extra += recover(site, lost)
            after_all += whole and not lost
    assert hit >= len(chosen) * 2 // 3, "most kill points were not reached"
    seen = {"hit": hit, "chosen": len(chosen), "whole": after_all, "extra": extra}
    tried = f"killed at {{hit}} of {{chosen}} chosen system calls ({SHARE})"
    promise(3, f"{tried}: {{whole}} with all answers on disk, 0 of these bought again; {{extra}} others were", **seen)
    promise(9, f"{tried}: every image whole, verify clean", **seen)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_again_in_the_recovery(tmp_path: Path, part: int) -> None:
    need_strace("kill points inside the process stand in")
    hit = 0
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        trial = Site.of(shop, "trial", TASKS, LIMITS)
        assert kill_run(trial, [], FIRST_IMAGE)
        every = traced_points(trial)
        chosen = some(every, part, SAMPLE // 2)
        for number, (call, when) in enumerate(chosen):
            site = Site.of(shop, f"p{number}", TASKS, LIMITS)
            assert kill_run(site, [], FIRST_IMAGE)
            assert site.receipts(), "there is no answer to recover"
            lost = len(site.unanswered())
            hit += kill_run(site, killing(call, when))
            recover(site, lost + len(site.unanswered()))
    assert hit >= len(chosen) * 2 // 3, "most kill points were not reached"
    text = f"killed again at {{hit}} of {{chosen}} chosen system calls of the recovery ({SHARE}): 0 answers on disk bought again"
    promise(3, text, hit=hit, chosen=len(chosen))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_a_call_counted_inside_the_process(tmp_path: Path, part: int) -> None:
    numbers = [*range(1, 90 if LONG else 70, 1 if LONG else 22)][part::PARTS]
    hit = 0
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        for number in numbers:
            site = Site.of(shop, f"p{number}", TASKS, LIMITS)
            died = kill_run(site, [], hooked(f"kill:{number}"))
            if not died:
                break
            hit += 1
            lost = len(site.unanswered())
            died = kill_run(site, [], hooked(f"kill:{number // 3 + 1}"))
            recover(site, lost + died * len(site.unanswered()))
    assert hit >= min(len(numbers), 2)
    promise(3, "killed at {hit} calls counted inside the process, and in their recovery: 0 bought again", hit=hit)
