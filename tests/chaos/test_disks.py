"""Disks that are full, lie or may not be written: a clear sentence, no call without a place for it, nothing lost.

What a process has in flight when the disk gives out is paid; the ledger says so, and every such image is either finished
by the next run without a call or named as one to be decided on. Nothing is bought after the first refusal.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import fill
from tests.chaos.promises import promise
from tests.chaos.site import LONG, Site, running
from tests.chaos.traced import failing, give_up, hooked, need_strace
from tests.support.shop import Shop, gateway

IN_FLIGHT = 3
TASKS = 12
LIMITS = f"concurrency: {IN_FLIGHT}, budget: 100.00"
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")


def harmed(site: Site, code: int, **faults: Any) -> str:
    """A run that meets the fault, given as attributes of its site; what it said."""
    done = replace(site, **faults).run("run", "job.yaml", code=code)
    said = done.stdout + done.stderr
    assert "internal error" not in said
    assert "Traceback" not in said
    return said


def limited(site: Site, code: int, size: int = 0, more: int = 0) -> str:
    """A run whose files may grow to that size from its first calls on, or the ledger by so much; what it said."""
    with running(site) as process:
        assert site.wait_for_attempts(process, 0)
        size = size or (site.folder / "batchgen.db-wal").stat().st_size + more
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))
        assert process.wait(60) == code, site.said
    assert "internal error" not in site.said
    assert "Traceback" not in site.said
    return site.said


def finish_all(site: Site) -> int:
    """The next runs finish what is left; what is named as lost is bought again by order only. Gives how many were."""
    code = 5 if site.states().get("parked") else 0
    site.run("run", "job.yaml", code=None)
    lost = site.states().get("parked", 0)
    assert (lost > 0) == (code == 5), "what was whole on disk was parked by the next run"
    if lost:
        site.run("retry", "job", "--parked")
        site.finish()
    books = site.check()
    assert books.calls == site.tasks + lost
    assert books.unknown == 0
    return lost


def test_ledger_that_cannot_grow(tmp_path: Path) -> None:
    """A file size limit, which SQLite reports as an I/O error and not as a full disk."""
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", 40, LIMITS)
        said = limited(site, 1, more=60_000)  # within a second it is out: then a run looks for itself
        assert "batchgen.db cannot be read or written: the disk reports an error" in said
        bought, answers = len(site.bill()), site.receipts()
        assert 0 < bought < site.tasks
        assert not site.unanswered(), "a paid answer is not on disk though there was room for it"
        assert finish_all(site) == 0
    promise(8, f"ledger at its size limit: {bought} calls, {answers} answers kept in the spool, 0 bought again")


def test_answers_larger_than_any_file_may_be(tmp_path: Path) -> None:
    """What free space does not tell: no call is made; where it comes over a run, none after those in flight."""
    with gateway(Shop(tmp_path), "latency=0.2", "bytes=3000000") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        said = harmed(site, 4, without=("fsize=2000000",))
        assert "no file may grow beyond 2.0 MB here, and an answer may need 34 MB" in said
        assert len(site.bill()) == 0, "bought although no file may become so large"
        said = limited(site, 4, size=2_000_000)
        assert "File too large; make room there, then run again. One paid answer could not be kept" in said
        bought = len(site.bill())
        assert bought <= IN_FLIGHT
        assert site.states() == {"available": TASKS - bought, "parked": bought}
        assert dict(site.query("SELECT charge, count(*) FROM attempt GROUP BY charge")) == {"billed": bought}
        assert finish_all(site) == bought
    promise(8, f"answers that cannot be written: {bought} in flight were paid and named, 0 calls after them")


@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_disk_that_fills_up_under_the_run(tmp_path: Path, what: str) -> None:
    """A small file system of its own, in a namespace that needs no privilege; see `fill`."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        give_up("no user namespaces: no small disk could be filled; the file size limits stand in")
    words = [*NAMESPACE, sys.executable, fill.__file__, str(tmp_path), what]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False, cwd=Path.cwd())
    assert done.returncode == 0, done.stdout + done.stderr
    promise(8, done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("number", ["6+", "7", *(["6", "8", "10+", "15+"] if LONG else [])])
def test_sync_of_a_file_fails(tmp_path: Path, number: str) -> None:
    """An answer that may not be on disk is not taken for kept: it is paid, named and left to a person.

    The first of each answer in flight is the 6th to 8th; one that only keeps an image from its place is made good.
    """
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        said = harmed(site, 4, environment=hooked(f"fail:{number}"))
        assert "Input/output error; put that right, then run again" in said
        bought = len(site.bill())
        assert bought <= 2 * IN_FLIGHT
        lost = finish_all(site)
        assert lost <= IN_FLIGHT
    promise(8, "sync fails: stopped, what was not kept is named, the rest bought once")


@pytest.mark.parametrize("number", ["9", "12+", *(["3", "5+", "8", "10", "15+"] if LONG else [])])
def test_sync_of_the_ledger_fails(tmp_path: Path, number: str) -> None:
    """The count falls anywhere: while the ledger is made, at a reservation, at a booking."""
    need_strace("the sync of answers was failed from inside; SQLite's own was not")
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        said = harmed(site, 1, tracer=failing("fdatasync", number))
        assert "the disk reports an error; look at it before anything else" in said
        unanswered = len(site.unanswered())
        assert len(site.bill()) <= site.attempts()
        site.finish()
        books = site.check()
        assert books.calls <= TASKS + unanswered
    promise(2, "ledger that cannot be synced: no call without its reservation")


def test_read_only_ledger_and_folders(tmp_path: Path) -> None:
    """Each refuses before any call, says what it could not write, and is as before once it may be written again."""
    with gateway(Shop(tmp_path), "latency=0.05") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.run("run", "job.yaml", "--limit", "2", code=4)
        ledger, out = site.folder / "batchgen.db", site.folder / "out" / "job"
        cases = [
            (ledger, 1, "batchgen.db cannot be written; check the permissions of the file"),
            (site.folder, 1, "of those beside it (-wal, -shm) and of its folder"),
            (site.spool, 4, "Permission denied; put that right, then run again"),
        ]
        for path, code, sentence in cases:
            mode = path.stat().st_mode
            path.chmod(mode & ~0o222)
            said = harmed(site, code, without=("powers",))
            assert sentence in said
            path.chmod(mode)
            assert len(site.bill()) == 2, "bought without a place for it"
        out.chmod(0o555)
        said = harmed(site, 4, without=("powers",))
        assert "cannot make the folder" in said
        out.chmod(0o755)
        kept = site.receipts()
        assert 0 < kept <= 2 * IN_FLIGHT  # a place is free again once its answer is on disk
        assert len(site.bill()) == 2 + kept
        site.without = ("powers",)
        site.finish()
        assert site.check().calls == TASKS
    promise(8, f"read-only ledger, folder, spool: 0 calls; read-only output: {kept} in flight kept, 0 bought again")


def test_ledger_killed_while_it_was_made(tmp_path: Path) -> None:
    """A rollback journal is left, which a reader may not play back: the next run must."""
    make = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1'); c.execute('BEGIN IMMEDIATE'); c.execute('CREATE TABLE half (made)')\n"
        "c.executemany('INSERT INTO half VALUES (?)', [(os.urandom(5000),)] * 50)\n"
        "os._exit(9)\n"
    )
    with gateway(Shop(tmp_path), "latency=0") as shop:
        site = Site.of(shop, "site", 2, LIMITS)
        died = subprocess.run([sys.executable, "-c", make, str(site.folder / "batchgen.db")], check=False)
        assert died.returncode == 9
        assert (site.folder / "batchgen.db-journal").stat().st_size
        site.finish()
        assert site.check().calls == 2
    promise(1, "a ledger that was killed while it was made is made again")
