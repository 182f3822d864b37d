"""What is held back for answers under way, and given up for them: blocks, inodes, descriptors. Real files and limits."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from batchgen.domain.clock import Clock
from batchgen.domain.errors import NoRoom, StoreError
from batchgen.store.folder import Folder
from batchgen.store.spool import disk_space as room_module
from batchgen.store.spool.ballast import MOST, PIECE, Ballast
from batchgen.store.spool.disk_space import FreeSpace
from batchgen.store.spool.spool import Spool
from tests.integration.test_spool import answer_with
from tests.support.store import NoDecoder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with Folder.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def room(folder: Folder, clock: Clock) -> Iterator[FreeSpace]:
    made = FreeSpace(folder, folder, clock, 0)
    yield made
    made.close()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    opened = Spool.open(tmp_path / "out", tmp_path / "batchgen.db", "one", clock=clock, decoder=NoDecoder(), ballast=0)
    yield opened
    opened.close()


def blocks(folder: Path) -> int:
    """Bytes of the disk that the ballast below a folder really takes."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("ballast-*"))


def full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Blocks


def test_ballast_takes_real_blocks_and_gives_them_back(folder: Folder, tmp_path: Path) -> None:
    ballast = Ballast(folder)
    ballast.hold(2 * PIECE - 1)
    assert ballast.held == 2 * PIECE
    assert blocks(tmp_path) >= 2 * PIECE
    assert ballast.give()
    assert PIECE <= blocks(tmp_path) < 2 * PIECE
    ballast.close()
    assert list(tmp_path.iterdir()) == []
    assert not ballast.give()


def test_ballast_of_a_dead_run_is_taken_over_but_not_a_half_made_file(folder: Folder, tmp_path: Path) -> None:
    Ballast(folder).hold(PIECE)
    (tmp_path / "ballast-7").write_bytes(b"x")
    with (tmp_path / "ballast-8").open("wb") as hollow:
        hollow.truncate(PIECE)
    found = Ballast(folder)
    assert found.held == PIECE
    found.hold(2 * PIECE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ballast-0", "ballast-1"]
    found.close()


def test_ballast_leaves_no_half_made_file_when_there_is_no_room(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise full()

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    ballast = Ballast(folder)
    with pytest.raises(OSError, match="No space left"):
        ballast.hold(PIECE)
    assert list(tmp_path.iterdir()) == []


def test_ballast_is_written_where_blocks_cannot_be_taken_otherwise(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    ballast = Ballast(folder)
    ballast.hold(PIECE)
    assert (tmp_path / "ballast-0").stat().st_size == PIECE
    ballast.close()


def test_ballast_has_a_bound(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: None)
    ballast = Ballast(folder)
    ballast.hold(1 << 50)
    assert ballast.held == MOST
    ballast.close()


def test_room_is_what_is_free_and_what_is_held_but_not_twice(room: FreeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = 3 * PIECE
    monkeypatch.setattr(Folder, "free", lambda _: disk - room._ballast.held)
    room.check(2 * PIECE, 1)
    room.check(3 * PIECE, 1)
    with pytest.raises(NoRoom, match="MB free"):
        room.check(3 * PIECE + 1, 1)


def test_step_is_done_again_while_there_is_ballast_to_give_up(room: FreeSpace, tmp_path: Path) -> None:
    room.check(2 * PIECE, 1)
    failures = iter([full(), OSError(errno.EDQUOT, "quota"), None])

    def step() -> str:
        if (error := next(failures)) is not None:
            raise error
        return "kept"

    assert room.insist(step) == "kept"
    assert blocks(tmp_path) == 0


def test_step_fails_when_nothing_is_left_to_give_up(room: FreeSpace) -> None:
    room.check(PIECE, 1)
    tried = []

    def step() -> None:
        tried.append(1)
        raise full()

    with pytest.raises(OSError, match="No space left"):
        room.insist(step)
    assert len(tried) == 2


def test_step_that_fails_otherwise_is_not_repeated(room: FreeSpace) -> None:
    tried = []

    def step() -> None:
        tried.append(1)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        room.insist(step)
    assert tried == [1]


def test_no_call_is_made_until_ballast_can_be_made_again(room: FreeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    room.check(PIECE, 1)
    assert room.give_up_for(full())

    def refuse(*_: object) -> None:
        raise full()

    with monkeypatch.context() as disk:
        disk.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(NoRoom, match="make room there, then run again"):
            room.check(PIECE, 1)
    room.check(PIECE, 1)
    assert room._ballast.held == PIECE


def test_books_find_room_when_answers_land_on_a_disk_that_is_nearly_full(
    room: FreeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.check(2 * PIECE, 1)
    room.leave_some_for_the_books()
    assert room._ballast.held == 2 * PIECE
    monkeypatch.setattr(Folder, "free", lambda _: 100_000 + (2 * PIECE - room._ballast.held))
    room.leave_some_for_the_books()
    assert room._ballast.held == PIECE


def test_start_on_a_full_disk_gives_up_what_a_dead_run_held(
    folder: Folder, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Ballast(folder).hold(2 * PIECE)
    monkeypatch.setattr(Folder, "free", lambda _: 2 * PIECE - blocks(tmp_path))
    room = FreeSpace(folder, folder, clock, 0)
    assert blocks(tmp_path) == room._ballast.held == PIECE
    room.close()


def test_answer_stays_kept_when_nobody_can_say_how_full_the_disk_is(
    room: FreeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: Folder) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    room._ballast.hold(2 * PIECE)
    monkeypatch.setattr(Folder, "free", fails)
    room.leave_some_for_the_books()
    assert room._ballast.held == 2 * PIECE


def test_no_call_is_made_where_no_file_may_become_as_large_as_an_answer(room: FreeSpace) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
    try:
        with pytest.raises(NoRoom, match=r"no file may grow beyond 2\.0 MB here.*ulimit -f"):
            room.check(32 << 20, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    room.check(32 << 20, 1)


# Inodes


def test_no_call_is_made_without_inodes_for_its_files(room: FreeSpace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Folder, "free_files", lambda _: 64 + 4 * 10)
    room.check(1, 10)
    with pytest.raises(NoRoom, match=r"room for 104 more files.*may need 108; remove files there"):
        room.check(1, 11)


def test_inodes_are_not_counted_where_the_file_system_does_not(
    room: FreeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Uncounted:
        f_bavail, f_frsize, f_files, f_favail = 1 << 30, 4096, 0, 0

    monkeypatch.setattr(os, "statvfs", lambda _: Uncounted)
    room.check(1, 500)


# The folders themselves


@pytest.mark.parametrize("what", ["out", "out/.batchgen"])
@pytest.mark.parametrize("how", ["gone", "another"])
def test_no_call_is_made_once_a_folder_is_not_what_it_was(
    tmp_path: Path, spool: Spool, clock: Any, what: str, how: str
) -> None:
    spool.check_room(1)
    shutil.rmtree(tmp_path / what)
    if how == "another":  # as an empty mount point that comes to light when its drive goes
        (tmp_path / "out" / ".batchgen").mkdir(parents=True)
    clock.elapsed += 1.0
    with pytest.raises(StoreError, match="no longer the folder that the run began with"):
        spool.check_room(1)


# Descriptors


@contextmanager
def all_taken() -> Iterator[list[int]]:
    """Every descriptor that this process may have is taken; the list may be emptied to give some back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(int(path.name) for path in Path("/dev/fd").iterdir()) + 20, hard))
    taken: list[int] = []
    try:
        while True:
            try:
                taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError as error:
                if error.errno != errno.EMFILE:
                    raise
                break
        yield taken
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("size", [1000, 700_000], ids=["small", "in pieces"])
async def test_answer_is_kept_when_no_descriptor_is_left(spool: Spool, size: int) -> None:
    sink = spool.sink(57, 0)
    with all_taken():
        await sink.write(b"x" * size)
        await spool.finish(answer_with(sink), [sink])
    assert spool.read_receipt(57) == answer_with(sink)
    assert (spool.output / ".batchgen" / sink.name).stat().st_size == size


async def test_download_is_kept_when_no_descriptor_is_left(spool: Spool) -> None:
    sink = spool.sink(57, 1000)
    with all_taken():
        await sink.write(b"x" * 1000)
        await spool.finish_download(sink)
    assert spool.downloaded(57) is not None


def test_descriptor_is_waited_for_when_the_spare_ones_are_given_up(
    room: FreeSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with all_taken() as taken:
        mine = [room.insist(lambda: os.open(os.devnull, os.O_RDONLY)) for _ in range(8)]
        before = len(taken)
        monkeypatch.setattr(room_module.time, "sleep", lambda _: os.close(taken.pop()))  # a call beside ends
        mine.append(room.insist(lambda: os.open(os.devnull, os.O_RDONLY)))
        assert len(taken) == before - 1
        taken.extend(mine)


def test_no_call_is_made_until_descriptors_are_held_back_again(room: FreeSpace) -> None:
    with all_taken() as taken:
        taken.append(room.insist(lambda: os.open(os.devnull, os.O_RDONLY)))
        with pytest.raises(NoRoom, match=r"Too many open files.*ulimit -n"):
            room.check(0, 1)
        while len(taken) > 5:
            os.close(taken.pop())
        room.check(0, 1)
    assert room._spare.full
