"""Limits of a process other than bytes on a disk: open files. Nothing paid is lost to them, and it is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.promises import promise
from tests.chaos.site import LONG, Site
from tests.chaos.test_disks import harmed
from tests.support.shop import Shop, gateway

CASES = [(64, 8), (256, 200), (1024, 500)]
ALL = [(files, calls) for files in (64, 100, 128, 192, 256, 320, 512, 1024) for calls in (8, 50, 200, 500)]
TASKS = 150


@pytest.mark.parametrize(("files", "calls"), ALL if LONG else CASES)
def test_calls_in_flight_fit_into_the_files_that_may_be_open(tmp_path: Path, files: int, calls: int) -> None:
    """Every answer is large enough to have a file of its own while it comes."""
    with gateway(Shop(tmp_path), "latency=0.3", "bytes=400000") as shop:
        site = Site.of(shop, "site", TASKS, f"concurrency: {calls}, budget: 100.00")
        site.without = (f"nofile={files}",)
        done = site.run("run", "job.yaml", code=None)
        said = done.stderr
        assert "Traceback" not in said
        if "too few for a single call" in said:
            assert done.returncode == 4
            assert re.search(rf"may open {files:,} files here.*`ulimit -n \d+`, then run again", said)
            assert site.bill() == []
            assert files <= 128
            return
        assert done.returncode == 0, said
        notice = rf"may open {files:,} files here, so no more than (\d+) calls are in flight .*`ulimit -n (\d+)`"
        for most, enough in re.findall(notice, said):
            assert int(most) < calls, said
            assert int(enough) > files, said
        assert re.search(notice, said) or calls * 6 < files, said
        assert site.check().calls == TASKS
    promise(8, "limits of open files: {runs} runs, 0 paid answers lost", runs=1)


def test_soft_limit_of_open_files_is_raised(tmp_path: Path) -> None:
    """The usual 256 of macOS is no limit where the hard one is above."""
    with gateway(Shop(tmp_path), "latency=0.1", "bytes=400000") as shop:
        site = Site.of(shop, "site", TASKS, "concurrency: 200, budget: 100.00")
        said = harmed(site, 0, prefix=["sh", "-c", 'ulimit -S -n 256; exec "$@"', "sh"])
        assert "files here" not in said
        assert site.check().calls == TASKS
