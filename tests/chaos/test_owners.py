"""One owner at a time: a stranger's lock on the database, and a second runner."""

from __future__ import annotations

import shlex
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.chaos.promises import cannot, promise
from tests.chaos.site import LONG, Site, running
from tests.chaos.traced import hooked
from tests.support.shop import Shop, frozen, gateway

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


@contextmanager
def under_way(
    folder: Path, latency: float, attempts: int, environment: dict[str, str] | None = None
) -> Iterator[tuple[Site, subprocess.Popen[bytes]]]:
    """A run that has made more attempts than that, at a gateway that stays until the block ends."""
    with gateway(Shop(folder), f"latency={latency}") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.environment = environment or {}
        with running(site) as process:
            site.wait_for_attempts(process, attempts)
            yield site, process


def test_short_lock_is_waited_for(tmp_path: Path) -> None:
    with under_way(tmp_path, 0.2, attempts=4) as (site, process):
        with locked(site, 1.0):
            pass
        assert process.wait(60) == 0
        books = site.check()
        assert books.calls == books.attempts == TASKS
    promise(1, "database locked by another program for 1 s in mid-run: waited, 0 extra calls")


def test_long_lock_stops_the_run_and_loses_no_answer(tmp_path: Path) -> None:
    environment = {} if LONG else hooked("patience:0.2")
    with under_way(tmp_path, 0.3, attempts=3, environment=environment) as (site, process):
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
            refused = f"process {process.pid} on "
            assert shop.gateway is not None
            with frozen(shop.gateway):  # so that the first has not ended when the second is there
                assert refused in site.run("run", "job.yaml", code=4).stderr
                with frozen(process):
                    for _ in range(STARTS - 1):
                        assert refused in site.run("run", "job.yaml", code=4).stderr
            assert process.wait(60) == 0
        books = site.check()
        assert books.calls == books.attempts == site.tasks
    promise(11, f"{STARTS} second runners refused, {STARTS - 1} beside a frozen first; {books.calls} calls")


def linked_file(site: Site) -> str:
    (site.folder / "link.db").symlink_to("batchgen.db")
    return "link.db"


def linked_folder(site: Site) -> str:
    (site.folder.parent / "alias").symlink_to(site.folder, target_is_directory=True)
    return "../alias/batchgen.db"


def without_notes(site: Site) -> str:
    for path in [*site.folder.glob("batchgen.db.*"), site.spool / "owner.json"]:
        path.unlink()
    return "batchgen.db"


def copied(site: Site) -> str:
    for end in ("", "-wal"):
        shutil.copy(site.folder / f"batchgen.db{end}", site.folder / f"copy.db{end}")
    return "copy.db"


def copied_and_spool_removed(site: Site) -> str:
    """The output folder itself is locked as well."""
    shutil.rmtree(site.spool)
    return copied(site)


def another_ledger(site: Site) -> str:
    """With a job of its own, whose output is another name of the same folder."""
    other = (site.folder / "job.yaml").read_text(encoding="utf-8").replace("name: job", "name: other")
    site.write("job.yaml", other)
    (site.folder / "out" / "other").symlink_to("job", target_is_directory=True)
    return "other.db"


WAYS = [linked_file, linked_folder, copied, without_notes, copied_and_spool_removed, another_ledger]
CHANGES = ["retry job", "cancel job", "run job.yaml --limit 1"]


def test_nobody_else_gets_in_by_whatever_way(tmp_path: Path) -> None:
    with gateway(Shop(tmp_path), "latency=60") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        with running(site) as process:
            site.wait_for_attempts(process, 3)
            me = f"process {process.pid} "
            for words in CHANGES:
                assert f" is in use by {me}" in site.run(*words.split(), code=4).stderr
            for way in WAYS:
                code = 2 if way is copied_and_spool_removed else 4  # a folder without its spool is refused as such
                said = site.run("run", "job.yaml", "--db", way(site), code=code).stderr
                assert (" is in use by " in said) is (code == 4)
                assert (me in said) is (way not in {copied_and_spool_removed, another_ledger}), "only with its note"
            assert site.attempts() == calls_in(site, "copy.db") == 4
            assert process.poll() is None
    promise(11, f"{len(CHANGES)} commands beside a run, {len(WAYS)} other ways to its ledger or output: 0 calls")


def calls_in(site: Site, ledger: str) -> int:
    return int(site.query("SELECT count(*) FROM attempt", ledger)[0][0])


def test_mounts_are_no_second_ledger(tmp_path: Path) -> None:
    """A mounted folder is the same ledger; a file that is mounted alone would have a write-ahead log of its own."""
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        cannot("a ledger under a second mount: no mount namespaces here; tried by links alone")
        return
    with gateway(Shop(tmp_path), "latency=30") as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        other = tmp_path / "other"
        other.mkdir()
        (other / "batchgen.db").touch()
        with running(site) as process:
            site.wait_for_attempts(process, 3)
            for what, into, code, sentence in (
                (site.folder, other, 4, f"is in use by process {process.pid} on "),
                (site.folder / "batchgen.db", other / "batchgen.db", 1, "is mounted as a single file"),
            ):
                site.prefix = mounted(what, into)
                assert sentence in site.run("run", "job.yaml", "--db", str(other / "batchgen.db"), code=code).stderr
            site.prefix = []
            assert site.attempts() == 4
    promise(11, "a ledger under a second mount: its folder's is refused beside a run, its own always")


def mounted(what: Path, into: Path) -> list[str]:
    """Words before a command that has something mounted a second time, for it alone."""
    mount = f"mount --bind {shlex.quote(str(what))} {shlex.quote(str(into))}"
    return ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "mounted"]


def test_copy_of_a_ledger_is_refused_on_the_same_output(tmp_path: Path) -> None:
    """It would buy again what the other one has bought since; moved away, the first makes room for it."""
    with gateway(Shop(tmp_path)) as shop:
        site = Site.of(shop, "site", TASKS, LIMITS)
        site.run("run", "job.yaml", "--limit", "6", code=4)
        copied(site) if (site.folder / "batchgen.db-wal").exists() else shutil.copy(
            site.folder / "batchgen.db", site.folder / "copy.db"
        )
        site.finish()
        said = site.run("run", "job.yaml", "--db", "copy.db", code=2).stderr
        assert f"copy.db is a copy of that; run with --db {site.folder / 'batchgen.db'}" in said
        assert site.check().calls == TASKS
    promise(11, f"a copy of the ledger on the same output: refused, {TASKS} calls for {TASKS} images")


def test_ledger_deleted_in_mid_run_stops_it(tmp_path: Path) -> None:
    with under_way(tmp_path, 0.5, attempts=3) as (site, process):
        (site.folder / "batchgen.db").unlink()
        assert process.wait(30) == 1
        assert "batchgen.db was deleted, moved or replaced in mid-run; put it back and run again" in site.said
        assert site.said.count("\n") < 12, site.said
        assert "Traceback" not in site.said
        calls = len(site.bill())
        assert calls <= 8
        assert site.receipts() <= len(site.images()) == calls  # one is in its place before its receipt goes
    promise(11, f"ledger deleted in mid-run: stopped after {calls} of {TASKS} calls, all answers kept")


def test_ledger_moved_in_mid_run_and_put_back_has_lost_nothing(tmp_path: Path) -> None:
    """What SQLite had not yet written into the file is beside its first name still."""
    with under_way(tmp_path, 0.5, attempts=5) as (site, process):
        ledger, other = site.folder / "batchgen.db", site.folder / "moved.db"
        ledger.rename(other)
        assert process.wait(30) == 1
        assert "was deleted, moved or replaced in mid-run" in site.said
        other.rename(ledger)
        site.finish()
        books = site.check()
        assert books.calls == books.attempts == TASKS
        assert books.unknowns == 0
    promise(11, f"ledger moved in mid-run and put back: {TASKS} calls for {TASKS} images, 0 unknown")
