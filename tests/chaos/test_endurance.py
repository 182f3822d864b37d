"""Mixed faults for a long time: an hour in a soak, some seconds otherwise. Memory and descriptors stay where they were."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from batchgen.cli.main import cli
from tests.chaos.promises import promise
from tests.chaos.site import LIFTED, LONG, Site, running
from tests.chaos.traced import give_up
from tests.support.shop import Shop, gateway

SECONDS = float(os.environ.get("CHAOS_SECONDS", "3600" if LONG else "12"))
LATENCY, TASKS, EVERY = ("4", 25_000, 1.0) if LONG else ("0.15", 5_000, 0.1)
MOST_MEGABYTES = 12.0
MOST_FILES = 8
PROC = Path("/proc")
PAGE = 4096
FAULTS = (
    *("p_429=0.02", "p_500=0.04", "p_502=0.02", "p_524=0.01", "p_500-html=0.01", "p_refuse=0.01", "p_refuse-text=0.01"),
    *("p_empty=0.01", "p_garbage=0.01", "p_error-in-200=0.01", "p_not-http=0.01", "p_drop=0.02", "p_cut=0.02"),
    *("p_slow=0.02", "p_bad-b64=0.01", "p_bad-image=0.01", "p_wrong-size=0.01", "p_url=0.2"),
    # A hanging call holds a place for as long as a call may take, a dead address is tried for half a minute.
    *(("p_hang=0.0005", "p_expired-url=0.01") if LONG else ()),
)


@dataclass(frozen=True)
class Sample:
    """What a process holds at a moment."""

    megabytes: float
    files: int

    @classmethod
    def of(cls, process: subprocess.Popen[bytes]) -> Sample:
        home = PROC / str(process.pid)
        return cls(int((home / "statm").read_text().split()[1]) * PAGE / 2**20, len(list((home / "fd").iterdir())))


def watch(process: subprocess.Popen[bytes]) -> list[Sample]:
    """Look at it until the time is over."""
    samples, end = list[Sample](), time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "it ended before its time"
        samples.append(Sample.of(process))
        time.sleep(EVERY)
    return samples


def most(samples: list[Sample]) -> Sample:
    return Sample(max(each.megabytes for each in samples), max(each.files for each in samples))


@pytest.mark.timeout(SECONDS + 300)
def test_mixed_faults_for_long(tmp_path: Path) -> None:
    if not PROC.exists():
        give_up("no /proc: what a process holds over a long time was not looked at")
    with gateway(Shop(tmp_path), f"latency={LATENCY}", "retry_after=50ms", *FAULTS) as shop:
        site = Site.of(shop, "site", TASKS, LIFTED)
        with running(site) as process:
            site.wait_for_attempts(process, 0)
            samples = watch(process)
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 130, site.said
        books = site.check_money()
        states = site.states()
        left = site.query("SELECT count(*) FROM task t JOIN attempt a ON a.id = t.attempt_id WHERE a.url <> ''")[0][0]
        assert states.get("running", 0) == left, "something but an address that cannot be fetched is left under way"
        assert len(site.images()) == states["completed"]
        verified = CliRunner().invoke(cli, ["verify", "--db", str(site.folder / "batchgen.db")])
        assert verified.exit_code == 0, verified.output
    quarter = len(samples) // 4
    early, late = most(samples[quarter : 2 * quarter]), most(samples[-quarter:])
    figures = f"{SECONDS / 60:.1f} min of mixed faults, {books.calls} calls, {states['completed']} images"
    print(figures, early, late)
    assert late.megabytes - early.megabytes <= MOST_MEGABYTES
    assert late.files - early.files <= MOST_FILES
    held = f"{early.megabytes:.0f} and {late.megabytes:.0f} MiB, {early.files} and {late.files} descriptors"
    promise(6, f"{figures}: billed {books.billed} <= charged {books.charged} <= {books.billed + books.unknown}")
    promise(14, f"{figures}: at most {held} in the second and the last quarter")
