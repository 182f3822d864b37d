"""The ledger's file: who may have it, what it refuses to be, and one thread that never loses a write."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import socket
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from batchgen.domain.errors import Exit, LedgerError, LedgerInUse, StaleClaim
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Settlement
from batchgen.ledger.connect import explain
from batchgen.ledger.holder import Held, held
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from tests.conftest import ManualClock
from tests.support.ledger import PRICE, booking, completion, plan, query, reservation


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "folder" / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path, ManualClock()) as opened:
        opened.record(plan(*"abcdefgh"))
        yield opened


def hold(path: Path, ready: Connection) -> None:
    ledger = Ledger.open(path, ManualClock(0.0))
    ready.send(os.getpid())
    ready.recv()
    ledger.close()


def test_open_makes_files_that_only_their_owner_may_read(path: Path) -> None:
    before = os.umask(0o022)
    try:
        with Ledger.open(path, ManualClock()) as ledger:
            ledger.record(plan("a"))
            modes = {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    names = ("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.holder")
    assert modes == dict.fromkeys(names, "0o600")


def test_open_makes_every_commit_durable(ledger: Ledger) -> None:
    connection = ledger._database._connection
    pragmas = {"synchronous": 2, "foreign_keys": 1, "journal_mode": "wal", "fullfsync": 1}
    for pragma, value in pragmas.items():
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value
    connection.rollback()


def test_ledger_keeps_its_random_name(path: Path, tmp_path: Path) -> None:
    with Ledger.open(path, ManualClock()) as first, Ledger.open(tmp_path / "other.db", ManualClock()) as other:
        names = {first.name, other.name}
    with Ledger.open(path, ManualClock()) as again:
        assert again.name in names
    assert len(names) == 2


def test_second_runner_is_refused_and_told_who_has_it(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold, args=(path, there))
    process.start()
    try:
        holder = here.recv()
        with pytest.raises(
            LedgerInUse, match=f"in use by process {holder} on .+ since 1970-01-01T00:00:00Z"
        ) as refused:
            Ledger.open(path, ManualClock())
        assert refused.value.exit_code is Exit.STOPPED
    finally:
        here.send("done")
        process.join()
        process.close()
    with Ledger.open(path, ManualClock()) as ledger:
        assert ledger.name
    assert not path.with_name("ledger.db.holder").exists()


def same(path: Path) -> Path:
    return path


def upper_folder(path: Path) -> Path:
    return path.parent / ".." / path.parent.name / path.name


def linked_file(path: Path) -> Path:
    (path.parent / "elsewhere").mkdir()
    other = path.parent / "elsewhere" / "link.db"
    other.symlink_to(path)
    return other


def linked_twice(path: Path) -> Path:
    other = path.parent / "again.db"
    other.symlink_to(linked_file(path))
    return other


def linked_folder(path: Path) -> Path:
    other = path.parent.parent / "linked"
    other.symlink_to(path.parent, target_is_directory=True)
    return other / path.name


def relative(path: Path) -> Path:
    return Path(os.path.relpath(path))


def without_note(path: Path) -> Path:
    for name in ("holder", "lock"):
        path.with_name(f"{path.name}.{name}").unlink(missing_ok=True)
    return path


@pytest.mark.parametrize(
    "name",
    [same, upper_folder, linked_file, linked_twice, linked_folder, relative, without_note],
    ids=lambda n: n.__name__,
)
def test_ledger_is_locked_whatever_it_is_called(path: Path, name: Callable[[Path], Path]) -> None:
    with Ledger.open(path, ManualClock(60.0)):
        other = name(path)
        where = "" if name is without_note else " on \\S+"
        with pytest.raises(
            LedgerInUse, match=f"in use by process {os.getpid()}{where} since 1970-01-01T00:01:00Z; wait"
        ):
            Ledger.open(other, ManualClock())
    with Ledger.open(other, ManualClock()) as ledger:
        assert ledger.path == path


def test_ledger_with_a_second_name_is_refused_and_left_alone(path: Path) -> None:
    with Ledger.open(path, ManualClock()) as ledger:
        ledger.record(plan("a"))
    other = path.with_name("other.db")
    other.hardlink_to(path)
    before = path.read_bytes()
    for each in (path, other):
        with pytest.raises(LedgerError, match=r"has 2 names \(hard links\)"):
            Ledger.open(each, ManualClock())
    assert path.read_bytes() == before
    other.unlink()
    Ledger.open(path, ManualClock()).close()


def test_reader_is_told_who_holds_a_ledger_and_keeps_nobody_out(path: Path) -> None:
    assert held(path) is None
    with Ledger.open(path, ManualClock(60.0)):
        assert held(path) == Held(os.getpid(), socket.gethostname(), 60.0)
        path.with_name("ledger.db.holder").unlink()
        assert held(path) == Held(os.getpid(), "", 60.0)
        path.with_name("ledger.db.holder").write_text("process 1 on elsewhere since 1999-01-01T00:00:00Z")
        assert held(path) == Held(os.getpid(), "", 60.0)
    path.with_name("ledger.db.holder").write_text(f"process {os.getpid()} on elsewhere since 1999-01-01T00:00:00Z")
    assert held(path) is None


def test_asking_who_holds_a_ledger_loses_a_reader_no_lock(path: Path) -> None:
    """To close any descriptor of a file drops all classic locks of the process on it, and SQLite's are such."""
    Ledger.open(path, ManualClock()).close()
    with Reader(path):
        before = locks_on(path)
        assert held(path) is None
        assert locks_on(path) == before != []


def locks_on(path: Path) -> list[str]:
    """The locks of this process on a file, as the kernel lists them."""
    found = path.stat()
    mine = f" {os.getpid()} {os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino} "
    return [line.split(maxsplit=1)[1] for line in Path("/proc/locks").read_text().splitlines() if mine in line]


def test_releasing_a_ledger_frees_it_although_its_note_cannot_be_removed(path: Path) -> None:
    with Ledger.open(path, ManualClock()):
        note = path.with_name("ledger.db.holder")
        note.unlink()
        note.mkdir()
        with pytest.raises(LedgerInUse):
            Ledger.open(path, ManualClock())
    with Ledger.open(path, ManualClock()) as again:
        assert again.path == path


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replaced(path: Path) -> None:
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    copy.replace(path)


def log_deleted(path: Path) -> None:
    path.with_name(f"{path.name}-wal").unlink()


@pytest.mark.parametrize("harm", [deleted, moved, replaced, log_deleted], ids=lambda n: n.__name__)
async def test_nothing_is_written_once_the_path_leads_elsewhere(path: Path, harm: Callable[[Path], None]) -> None:
    with Ledger.open(path, ManualClock()) as ledger:
        ledger.record(plan(*"abc"))
        claims = await ledger.claim(1, 9, 0.0)
        assert await ledger.reserve(reservation(claims[0])) == 1
        harm(path)
        found = await asyncio.gather(
            *(ledger.reserve(reservation(each)) for each in claims[1:]), return_exceptions=True
        )
        assert ["was deleted, moved or replaced in mid-run" in str(error) for error in found] == [True] * 2


def test_killed_owner_leaves_no_lock_behind(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=hold, args=(path, there))
    process.start()
    here.recv()
    with pytest.raises(LedgerInUse):
        Ledger.open(path, ManualClock())
    process.kill()
    process.join()
    process.close()
    with Ledger.open(path, ManualClock()) as ledger:
        assert ledger.name


def test_open_refuses_what_is_no_ledger_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    letter, foreign = tmp_path / "letter.txt", tmp_path / "foreign.db"
    letter.write_text("dear ledger, " * 100)
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE task (id INTEGER)")
    connection.commit()
    connection.close()
    contents = letter.read_bytes(), foreign.read_bytes()
    for path, reason in (
        (letter, "not a batchgen ledger"),
        (foreign, "database of another program"),
        (tmp_path, "is a folder"),
        (letter / "ledger.db", "cannot be created"),
    ):
        with pytest.raises(LedgerError, match=reason):
            Ledger.open(path, ManualClock())
    assert contents == (letter.read_bytes(), foreign.read_bytes())


def test_open_gives_up_on_a_file_that_another_program_keeps_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Ledger.open(path, ManualClock()).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    connect, waits = sqlite3.connect, list[float]()

    def noted(*args: Any, timeout: float = 5.0, **options: Any) -> sqlite3.Connection:
        waits.append(timeout)
        return connect(*args, timeout=timeout, **options)

    monkeypatch.setattr(sqlite3, "connect", noted)
    with pytest.raises(LedgerError, match="locked by another program"):
        Ledger.open(path, ManualClock(), busy=0.01)
    assert set(waits) == {0.01}, "a look at the file waits longer for the lock than was asked"
    monkeypatch.undo()
    other.close()
    Ledger.open(path, ManualClock()).close()


def _open_as_nobody(path: Path, answer: Connection) -> None:
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        Ledger.open(path, ManualClock()).close()
    except LedgerError as error:
        answer.send(str(error))
    else:
        answer.send("")


def open_unprivileged(path: Path) -> str:
    """What opening a ledger says to a user whom file modes bind; root is not one."""
    forked = multiprocessing.get_context("fork")
    ours, theirs = forked.Pipe(duplex=False)
    process = forked.Process(target=_open_as_nobody, args=(path, theirs))
    process.start()
    theirs.close()
    said: str = ours.recv()
    process.join()
    ours.close()
    return said


def test_open_refuses_a_file_or_folder_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "ledger.db"
        Ledger.open(path, ManualClock()).close()
        if os.geteuid() == 0:
            for each in (folder, *folder.iterdir()):
                os.chown(each, 65534, 65534)
        assert open_unprivileged(path) == ""
        path.chmod(0o400)
        assert "cannot be written" in open_unprivileged(path)
        path.chmod(0o600)
        folder.chmod(0o500)
        assert "cannot be" in open_unprivileged(path)
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        ("attempt to write a readonly database", "cannot be written; check the permissions"),
        ("database or disk is full", "the disk is full"),
        ("database disk image is malformed", "is damaged; restore it"),
        ("something new", "refused a statement: something new"),
    ],
)
def test_database_errors_are_told_in_one_sentence(cause: str, sentence: str) -> None:
    error = OperationalError("SELECT 1", {}, sqlite3.OperationalError(cause))
    assert sentence in str(explain(Path("ledger.db"), error))
    assert "SELECT" not in str(explain(Path("ledger.db"), error))


async def test_locked_file_fails_every_verb_at_once_and_later_ones_succeed(path: Path) -> None:
    with Ledger.open(path, ManualClock(), busy=0.01) as ledger:
        ledger.record(plan(*"abc"))
        claims = await ledger.claim(1, 9, 0.0)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        found = await asyncio.gather(*(ledger.reserve(reservation(claim)) for claim in claims), return_exceptions=True)
        assert ["locked by another program" in str(error) for error in found] == [True] * 3
        other.execute("ROLLBACK")
        other.close()
        assert await ledger.reserve(reservation(claims[0])) == 1


async def test_full_disk_fails_the_verb_and_leaves_the_books_as_they_were(ledger: Ledger) -> None:
    claims = await ledger.claim(1, 9, 0.0)
    connection = ledger._database._connection
    pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
    connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    connection.rollback()
    long = [reservation(claim, request_hash="x" * 20_000) for claim in claims]
    found = await asyncio.gather(*(ledger.reserve(each) for each in long), return_exceptions=True)
    assert ["the disk is full" in str(error) for error in found] == [True] * 8
    assert query(ledger.path, "SELECT reserved, (SELECT count(*) FROM attempt) FROM job") == [(0, 0)]


async def test_faulty_verb_in_a_group_harms_nobody_else(ledger: Ledger) -> None:
    claims = await ledger.claim(1, 9, 0.0)
    wanted = [reservation(claim) for claim in claims]
    wanted[3] = reservation(claims[3], revision=9)
    found = await asyncio.gather(*(ledger.reserve(each) for each in wanted), return_exceptions=True)
    assert isinstance(found.pop(3), StaleClaim)
    assert len(set(found)) == 7
    bookings = [booking(attempt, Charge.BILLED) for attempt in found if isinstance(attempt, int)]
    done = await asyncio.gather(*(ledger.book(each) for each in [*bookings, booking(99)]), return_exceptions=True)
    assert done[:-1] == [None] * 7
    assert isinstance(done[-1], LedgerError)
    assert query(ledger.path, "SELECT billed, reserved FROM job") == [(7 * PRICE, 0)]


async def test_cancelled_waiter_never_loses_the_write(ledger: Ledger) -> None:
    claims = await ledger.claim(1, 9, 0.0)
    waiting = [asyncio.ensure_future(ledger.reserve(reservation(claim))) for claim in claims]
    await asyncio.sleep(0)
    for each in waiting:
        each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert all(each.cancelled() for each in waiting)
    found = await ledger.interrupted(1)
    assert [each.claim.task for each in found] == [claim.task for claim in claims]
    assert [each.attempt.reserved for each in found] == [PRICE] * 8


async def test_close_commits_what_still_waits_and_refuses_what_comes_later(path: Path) -> None:
    ledger = Ledger.open(path, ManualClock())
    ledger.record(plan(*"abc"))
    claims = await ledger.claim(1, 9, 0.0)
    waiting = [asyncio.ensure_future(ledger.reserve(reservation(claim))) for claim in claims]
    await asyncio.sleep(0)
    ledger.close()
    ledger.close()
    assert query(path, "SELECT count(*) FROM attempt") == [(3,)]
    assert await asyncio.gather(*waiting) == [1, 2, 3]
    with pytest.raises(LedgerError, match="is closed"):
        await ledger.settle(Settlement(claims[0].task, 1, TaskEvent.FAIL))


def test_write_reaches_the_file_although_its_loop_is_gone(ledger: Ledger) -> None:
    async def leave() -> None:
        (claim, *_) = await ledger.claim(1, 1, 0.0)
        attempt = await ledger.reserve(reservation(claim))
        task = asyncio.ensure_future(ledger.book_and_settle(booking(attempt or 0), completion(claim, attempt or 0)))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    ledger.record(plan(*"abcdefgh"))
    assert query(ledger.path, "SELECT state FROM task WHERE state <> 'available'") == [("completed",)]
