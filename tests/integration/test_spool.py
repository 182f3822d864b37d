from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.domain.clock import Clock
from batchgen.domain.errors import Exit, ForeignOutput, NoRoom, StoreError
from batchgen.domain.output_image import Damaged, Image
from batchgen.domain.wire import Answer, ApiError, CallEnd, Picture, Usage
from batchgen.store.folder import Folder
from batchgen.store.spool.ballast import Ballast
from batchgen.store.spool.spool import Spool, SpoolSink
from batchgen.store.spool.threads import DiskThreads
from tests.support.store import NoDecoder, png

BIG = 700_000  # more than two pieces


class Stores:
    """Opens spools of one output folder, and closes what a test leaves open."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.output = folder / "out"
        self.folder = self.output / ".batchgen"
        self.ledger = folder / "batchgen.db"
        self.clock = clock
        self._open: list[Spool] = []

    def open(self, **options: Any) -> Spool:
        self.bury()
        spool = Spool.open(self.output, self.ledger, "one", clock=self.clock, decoder=NoDecoder(), **options)
        self._open.append(spool)
        return spool

    def close(self) -> None:
        while self._open:
            self._open[-1].close()
            self._open.pop()

    def bury(self) -> None:
        """Free what the system frees when a process dies that had these spools open."""
        for spool in self._open:
            for folder in (spool._root, spool._folder):
                if folder.fd is not None:
                    fcntl.flock(folder.fd, fcntl.LOCK_UN)

    @property
    def spooled(self) -> list[str]:
        """Files of attempts in the spool."""
        return sorted(entry.name for entry in self.folder.iterdir() if entry.name not in {"owner.json", "lock"})

    @property
    def images(self) -> dict[str, bytes]:
        return {entry.name: entry.read_bytes() for entry in sorted(self.output.iterdir()) if entry.is_file()}


@pytest.fixture
def stores(tmp_path: Path, clock: Clock) -> Iterator[Stores]:
    stores = Stores(tmp_path, clock)
    yield stores
    stores.close()


def answer_with(sink: SpoolSink, attempt: int = 57) -> Answer:
    return Answer(
        attempt,
        CallEnd.COMPLETE,
        200,
        is_json=True,
        request_ids=(("x-request-id", "req_1"),),
        pictures=(Picture(sink.name, sink.size),),
        error=ApiError(),
        usage=Usage(1, 2, 3),
        sent_at=1.5,
    )


def receipts(spool: Spool) -> list[int]:
    """The attempts whose answer is complete."""
    return [int(path.stem) for path in (spool.output / ".batchgen").glob("*.json") if path.stem.isdecimal()]


async def deliver(spool: Spool, data: bytes, attempt: int = 57, step: int = 100_000) -> Answer:
    """An answer as the gateway delivers it, in pieces."""
    sink = spool.sink(attempt, 0)
    for at in range(0, len(data), step):
        await sink.write(memoryview(data)[at : at + step])
    answer = answer_with(sink, attempt)
    await spool.finish(answer, [sink])
    return answer


# Whose spool it is


def test_spool_is_closed_to_other_users(stores: Stores) -> None:
    stores.output.mkdir()
    stores.folder.mkdir(mode=0o755)
    stores.open()
    assert stores.folder.stat().st_mode & 0o777 == 0o700
    assert (stores.folder / "owner.json").stat().st_mode & 0o777 == 0o600


async def test_spool_files_are_private(stores: Stores) -> None:
    spool = stores.open()
    await deliver(spool, b"x" * BIG)
    assert {(stores.folder / name).stat().st_mode & 0o777 for name in stores.spooled} == {0o600}


def test_spool_makes_the_output_folder_when_there_is_none(stores: Stores) -> None:
    stores.output = stores.output / "deeper" / "still"
    stores.open()
    assert (stores.output / ".batchgen" / "owner.json").exists()


def test_spool_whose_name_could_not_be_synced_is_synced_by_the_next_start(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut takes the folder with every paid answer in it, however well these were synced."""
    synced, real, failing = list[str](), Folder.sync, True

    def sync(folder: Folder) -> None:
        if failing and Path(folder.path) == stores.output:
            raise OSError(errno.EIO, "Input/output error")
        real(folder)
        synced.append(folder.path)

    monkeypatch.setattr(Folder, "sync", sync)
    with pytest.raises(StoreError, match="Input/output error"):
        stores.open()
    assert stores.folder.is_dir()
    failing = False
    stores.open()
    assert str(stores.output) in synced


def test_spool_of_another_ledger_is_refused_and_names_its_database(stores: Stores, tmp_path: Path) -> None:
    stores.ledger.touch()
    stores.open()
    stores.bury()
    with pytest.raises(ForeignOutput, match=f"run with --db {stores.ledger}") as refusal:
        Spool.open(stores.output, tmp_path / "other.db", "two", clock=stores.clock)
    assert refusal.value.exit_code is Exit.USAGE
    assert stores.spooled == []


def test_spool_of_a_ledger_that_was_replaced_at_its_path_is_refused_without_naming_a_useless_option(
    stores: Stores,
) -> None:
    stores.open()
    stores.bury()
    with pytest.raises(ForeignOutput, match="put that ledger back") as refusal:
        Spool.open(stores.output, stores.ledger, "two", clock=stores.clock)
    assert "--db" not in str(refusal.value)


def test_spool_follows_its_ledger_when_that_has_moved(stores: Stores, tmp_path: Path) -> None:
    stores.open()
    stores.ledger = tmp_path / "moved.db"
    stores.ledger.touch()
    stores.open()
    stores.bury()
    with pytest.raises(ForeignOutput, match=r"--db .*moved\.db"):
        Spool.open(stores.output, tmp_path / "other.db", "two", clock=stores.clock)
    assert stores.spooled == []


def test_spool_of_a_ledger_that_is_gone_names_the_way_to_take_it_over_and_is_taken_over(
    stores: Stores, tmp_path: Path
) -> None:
    stores.open()
    stores.bury()
    with pytest.raises(ForeignOutput, match=f"batchgen rebuild JOB --from {stores.output}"):
        Spool.open(stores.output, tmp_path / "other.db", "two", clock=stores.clock)
    Spool.open(stores.output, tmp_path / "other.db", "two", clock=stores.clock, take_over=True).close()
    Spool.open(stores.output, tmp_path / "other.db", "two", clock=stores.clock).close()


def test_spool_of_a_ledger_that_is_there_is_never_taken_over(stores: Stores, tmp_path: Path) -> None:
    stores.ledger.touch()
    stores.open()
    stores.bury()
    with pytest.raises(ForeignOutput, match=f"run with --db {stores.ledger}"):
        Spool.open(stores.output, tmp_path / "other.db", "two", clock=stores.clock, take_over=True)


@pytest.mark.parametrize("broken", [(DiskThreads, "close"), (Folder, "remove"), (Ballast, "close")])
async def test_output_folder_is_free_again_however_the_closing_of_its_spool_ends(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, broken: tuple[type, str]
) -> None:
    """A process that lives on after Ctrl-C, as a notebook does, would be kept out of its own folder by itself."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    spool = Spool.open(stores.output, stores.ledger, "one", clock=stores.clock, decoder=NoDecoder())
    await deliver(spool, png())
    spool.clear(57)
    with monkeypatch.context() as patch:
        patch.setattr(*broken, interrupted)
        with pytest.raises(KeyboardInterrupt):
            spool.close()
    Spool.open(stores.output, stores.ledger, "one", clock=stores.clock, decoder=NoDecoder()).close()


async def test_sweep_leaves_what_the_ledger_does_not_know(stores: Stores) -> None:
    spool = stores.open()
    await deliver(spool, b"paid", 1)
    for name in ("2-0.part", "3-0.part", "3-0.whole", "4.tmp"):
        (stores.folder / name).write_bytes(b"x")
    assert spool.attempts() == {1, 2, 3, 4}
    spool.sweep(set())
    assert stores.spooled == ["1-0.part", "1.json", "2-0.part", "3-0.part", "3-0.whole", "4.tmp"]


@pytest.mark.parametrize("owner", [b"", b"[]", b'{"ledger": "x"', b'{"ledger": "x"}'])
def test_spool_is_refused_when_it_does_not_say_whose_it_is(stores: Stores, owner: bytes) -> None:
    stores.folder.mkdir(parents=True)
    (stores.folder / "owner.json").write_bytes(owner)
    with pytest.raises(StoreError, match=r"owner\.json does not say"):
        stores.open()


@pytest.mark.parametrize("owner", [b"", b"[" * 100_000, b'{"ledger": 1}', b'{"id": NaN', b"\xff", "a folder", "a link"])
def test_owner_that_says_nothing_is_set_aside_where_the_books_know_the_folder(
    stores: Stores, owner: bytes | str
) -> None:
    stores.folder.mkdir(parents=True)
    path = stores.folder / "owner.json"
    if owner == "a folder":
        path.mkdir()
    elif owner == "a link":
        path.symlink_to("nowhere")
    else:
        assert isinstance(owner, bytes)
        path.write_bytes(owner)
    with pytest.raises(StoreError, match=r"owner\.json does not say"):
        stores.open()
    spool = stores.open(known=True)
    assert spool.notes == [f"{path} could not be used and was set aside: quarantine/owner.json"]
    stores.open()


def test_spool_is_refused_when_it_is_a_link_or_a_file(stores: Stores, tmp_path: Path) -> None:
    stores.output.mkdir()
    (tmp_path / "elsewhere").mkdir()
    stores.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="not a folder of its own"):
        stores.open()
    stores.folder.unlink()
    stores.folder.touch()
    with pytest.raises(StoreError, match="not a folder of its own"):
        stores.open()


def test_spool_is_refused_when_another_user_made_it(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.folder.mkdir(parents=True)
    owner = Folder.owner

    def somebody_else(folder: Folder) -> os.stat_result:
        found = list(owner(folder))
        found[4] = 4711 if folder.path.endswith(".batchgen") else found[4]
        return os.stat_result(found)

    monkeypatch.setattr(Folder, "owner", somebody_else)
    with pytest.raises(StoreError, match="another user"):
        stores.open()


# Answers


@pytest.mark.parametrize("size", [0, 1000, 262_143, 262_144, BIG])
async def test_finished_answer_is_whole_when_it_is_read_by_the_next_process(stores: Stores, size: int) -> None:
    data = os.urandom(size)
    answer = await deliver(stores.open(), data)
    stores.close()
    again = stores.open()
    assert receipts(again) == [57]
    assert again.read_receipt(57) == answer
    assert (stores.folder / answer.pictures[0].file).read_bytes() == data
    assert again.read_receipt(58) is None


async def test_finished_answer_needs_no_picture(stores: Stores) -> None:
    spool = stores.open()
    answer = Answer(3, CallEnd.COMPLETE, 200, urls=("https://example.com/a.png",))
    await spool.finish(answer)
    assert spool.read_receipt(3) == answer


async def test_small_answer_touches_no_file_before_it_is_finished(stores: Stores) -> None:
    sink = stores.open().sink(57, 0)
    await sink.write(b"x" * 200_000)
    assert stores.spooled == []
    assert sink.size == 200_000


async def test_large_answer_is_not_held_in_memory(stores: Stores) -> None:
    spool = stores.open()
    sink = spool.sink(57, 0)
    for _ in range(60):
        await sink.write(b"x" * 65_536)
        assert len(sink._memory) < 262_144
    assert (stores.folder / sink.name).stat().st_size == 60 * 65_536
    spool.discard([sink])


async def test_discarded_answer_leaves_nothing(stores: Stores) -> None:
    spool = stores.open()
    small, big = spool.sink(1, 0), spool.sink(1, 1)
    await small.write(b"x")
    await big.write(b"x" * BIG)
    spool.discard([small, big])
    stores.close()
    assert stores.spooled == []


async def test_finish_discards_the_pictures_that_the_answer_does_not_name(stores: Stores) -> None:
    spool = stores.open()
    named, other = spool.sink(57, 0), spool.sink(57, 1)
    await named.write(b"x" * BIG)
    await other.write(b"x" * BIG)
    await spool.finish(answer_with(named), [named, other])
    stores.close()
    assert stores.spooled == ["57-0.part", "57.json"]


async def test_discard_leaves_a_complete_answer_alone(stores: Stores) -> None:
    spool = stores.open()
    sink = spool.sink(57, 0)
    await sink.write(b"x" * BIG)
    await spool.finish(answer_with(sink), [sink])
    spool.discard([sink])
    stores.close()
    assert stores.spooled == ["57-0.part", "57.json"]


async def test_discard_waits_for_the_thread_when_a_write_was_cancelled(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = stores.open()
    sink = spool.sink(57, 0)
    begun, go_on = threading.Event(), threading.Event()
    create = Folder.create

    def slow(folder: Folder, name: str) -> int:
        begun.set()
        go_on.wait()
        return create(folder, name)

    monkeypatch.setattr(Folder, "create", slow)
    write = asyncio.ensure_future(sink.write(b"x" * BIG))
    await asyncio.to_thread(begun.wait)
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    spool.discard([sink])
    go_on.set()
    assert sink._spilling is not None
    await sink._spilling
    await asyncio.sleep(0)
    stores.close()
    assert stores.spooled == []


async def begin_to_keep(spool: Spool, size: int, begun: threading.Event) -> tuple[SpoolSink, asyncio.Future[None]]:
    """An answer on its way to the disk, as far as a step that waits; and who is cancelled while he waits for that."""
    sink = spool.sink(57, 0)
    await sink.write(b"x" * size)
    finish = asyncio.ensure_future(spool.finish(answer_with(sink), [sink]))
    await asyncio.to_thread(begun.wait)
    finish.cancel()
    return sink, finish


@pytest.mark.parametrize("size", [1000, BIG], ids=["small", "big"])
async def test_cancelled_finish_still_lands_and_cannot_be_discarded(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(fd: int) -> None:
        begun.set()
        go_on.wait()

    spool = stores.open()
    monkeypatch.setattr(os, "fsync", slow)
    sink, finish = await begin_to_keep(spool, size, begun)
    with pytest.raises(asyncio.CancelledError):
        await finish
    spool.discard([sink])
    closing = asyncio.ensure_future(asyncio.to_thread(stores.close))
    go_on.set()
    await closing
    assert stores.spooled == ["57-0.part", "57.json"]
    assert (stores.folder / "57-0.part").stat().st_size == size


@pytest.mark.parametrize("size", [1000, BIG], ids=["small", "big"])
async def test_sweep_waits_for_what_a_cancelled_caller_left_to_a_thread(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    rename = Folder.rename

    def slow(folder: Folder, name: str, to: str) -> None:
        begun.set()
        go_on.wait()
        rename(folder, name, to)

    spool = stores.open()
    monkeypatch.setattr(Folder, "rename", slow)
    await begin_to_keep(spool, size, begun)
    sweeping = asyncio.ensure_future(asyncio.to_thread(spool.sweep, set()))
    go_on.set()
    await sweeping
    assert stores.spooled == ["57-0.part", "57.json"]


@pytest.mark.parametrize("number", range(8))
def test_spool_says_that_there_are_no_more_threads_before_anything_is_paid(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    left = [number]
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("can't start new thread")
        start(thread)

    descriptors, threads = len(list(Path("/dev/fd").iterdir())), threading.active_count()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StoreError, match=r"no more threads .*`ulimit -u`"):
            stores.open()
    assert (len(list(Path("/dev/fd").iterdir())), threading.active_count()) == (descriptors, threads)
    stores.open()


async def test_a_new_picture_never_writes_into_an_image_that_was_placed(stores: Stores) -> None:
    spool = stores.open()
    data = png()
    answer = await deliver(spool, data)
    await spool.place(answer.pictures[0].file, "mug", 1, 57)
    await deliver(spool, png(seed=2))  # the same attempt again, as after an old copy of the ledger was put back
    assert stores.images == {"mug.png": data}


async def test_spool_makes_pictures_durable_before_what_calls_them_whole(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = stores.open()
    done: list[str] = []
    fsync, replace, create = os.fsync, os.replace, Folder.create

    def record_fsync(fd: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{fd}').readlink().name}")
        fsync(fd)

    def record_replace(source: str, target: str, **options: int) -> None:
        done.append(f"rename {source} {target}")
        replace(source, target, **options)

    def record_create(folder: Folder, name: str) -> int:
        done.append(f"create {name}")
        return create(folder, name)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    monkeypatch.setattr(Folder, "create", record_create)
    await deliver(spool, b"x")
    written, synced = ["create 57-0.part", "create 57.tmp"], ["sync 57-0.part", "sync 57.tmp"]
    assert done == [*written, *synced, "rename 57.tmp 57.json", "sync .batchgen"]
    done.clear()
    await spool.finish_download(spool.sink(57, 1000))
    assert done == ["create 57-1000.part", "sync 57-1000.part", "create 57-1000.whole", "sync .batchgen"]


async def test_spool_takes_many_answers_at_once(stores: Stores) -> None:
    spool = stores.open()
    pictures = {attempt: png(seed=attempt) for attempt in range(1, 101)}

    async def buy(attempt: int) -> Image | Damaged:
        answer = await deliver(spool, pictures[attempt], attempt)
        image = await spool.place(answer.pictures[0].file, f"{attempt % 7}/{attempt}", 1, attempt)
        spool.clear(attempt)
        return image

    images = await asyncio.gather(*map(buy, pictures))
    stores.close()
    assert stores.spooled == []
    for attempt, image in zip(pictures, images, strict=True):
        assert isinstance(image, Image)
        assert (stores.output / image.path).read_bytes() == pictures[attempt]
    assert spool.notes == []


async def test_spool_works_alike_where_the_system_has_no_folder_descriptors(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchgen.store.folder._BY_HANDLE", False)
    spool = stores.open()
    spool.check_room(1)
    data = png(500, 400)
    answer = await deliver(spool, data)
    assert spool.read_receipt(57) == answer
    image = await spool.place("57-0.part", "a/mug", 1, 57)
    assert isinstance(image, Image)
    assert (stores.output / image.path).read_bytes() == data
    (stores.output / "link").symlink_to(tmp_path)
    with pytest.raises(StoreError, match="not a folder of its own"):
        await spool.place("57-0.part", "link/mug", 1, 57)
    spool.clear(57)
    stores.close()
    assert stores.spooled == []


async def test_clear_forgets_an_answer_that_only_an_earlier_process_knew(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await deliver(stores.open(), b"x")
    await deliver(stores.open(), b"x", 5)
    stores.close()
    sink = stores.open().sink(57, 1000)
    await stores._open[0].finish_download(sink)
    stores.close()
    gone: list[str] = []
    remove = Folder.remove
    monkeypatch.setattr(Folder, "remove", lambda folder, name: (gone.append(name), remove(folder, name))[1])
    spool = stores.open()
    gone.clear()
    spool.clear(57)
    stores.close()
    assert gone == ["57.json", "57-1000.whole", "57-0.part", "57-1000.part"], "what says whole goes first"
    assert stores.spooled == ["5-0.part", "5.json"]


async def test_clear_notes_what_it_cannot_remove(stores: Stores) -> None:
    spool = stores.open()
    await deliver(spool, b"x")
    (stores.folder / "57-0.part").unlink()
    (stores.folder / "57-0.part").mkdir()
    spool.clear(57)
    stores.close()
    assert len(spool.notes) == 1
    assert "cannot tidy" in spool.notes[0]


async def test_quarantine_keeps_a_picture_that_was_not_base64(stores: Stores) -> None:
    spool = stores.open()
    await deliver(spool, b"half")
    kept = await spool.quarantine("57-0.part", "stray text at 7")
    assert kept == Damaged("stray text at 7", "quarantine/57-0.part")
    spool.clear(57)
    stores.close()
    assert stores.spooled == ["quarantine"]
    assert (stores.folder / kept.kept).read_bytes() == b"half"


# Downloads


async def test_download_is_found_by_the_next_process_when_it_was_finished(stores: Stores) -> None:
    spool = stores.open()
    await spool.finish(Answer(57, CallEnd.COMPLETE, 200, urls=("https://example.com/a.png",)))
    sink = spool.sink(57, 1000)
    await sink.write(b"x" * BIG)
    picture = await spool.finish_download(sink)
    assert picture == Picture("57-1000.part", BIG)
    stores.close()
    again = stores.open()
    assert again.downloaded(57) == picture
    assert again.downloaded(5) is None
    again.read_receipt(57)
    again.clear(57)
    stores.close()
    assert stores.spooled == []


async def test_download_is_not_found_when_it_was_cut(stores: Stores) -> None:
    spool = stores.open()
    sink = spool.sink(57, 1000)
    await sink.write(b"x" * BIG)
    assert spool.downloaded(57) is None
    spool.discard([sink])


@pytest.mark.parametrize("size", [10, BIG])
async def test_download_that_begins_anew_is_not_taken_for_the_whole_old_one(stores: Stores, size: int) -> None:
    spool = stores.open()
    first = spool.sink(57, 1000)
    await first.write(b"old")
    await spool.finish_download(first)
    second = spool.sink(57, 1000)
    await second.write(b"n" * BIG)
    assert spool.downloaded(57) is None
    await second.write(b"n" * size)
    assert await spool.finish_download(second) == Picture("57-1000.part", BIG + size)
    assert spool.downloaded(57) == Picture("57-1000.part", BIG + size)


# What a dead process left


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b'{"attempt": 58, "ending": "complete"}',
        b'{"attempt": 57, "ending": "complete", "pictures": [["../../secret", 3, ""]]}',
        b'{"attempt": 57, "ending": "complete", "pictures": [["58-0.part", 3, ""]]}',
    ],
)
async def test_receipt_is_kept_aside_with_its_pictures_when_it_cannot_be_used(stores: Stores, damage: bytes) -> None:
    await deliver(stores.open(), b"picture")
    (stores.folder / "57.json").write_bytes(damage)
    stores.close()
    spool = stores.open()
    assert spool.read_receipt(57) is None
    assert "the receipt of attempt 57 cannot be used" in spool.notes[0]
    assert receipts(spool) == []
    spool.sweep({57})
    kept = stores.folder / "quarantine"
    assert {entry.name: entry.read_bytes() for entry in kept.iterdir()} == {
        "57-0.part": b"picture",
        "57.json": damage,
    }


async def test_sweep_removes_what_is_no_answer_and_leaves_the_live(stores: Stores) -> None:
    spool = stores.open()
    await deliver(spool, b"live", 1)
    for name in ("1.tmp", "2-0.part", "2.tmp", "3-0.part", "4-0.whole"):
        (stores.folder / name).write_bytes(b"x")
    spool.sweep({2, 4})
    assert stores.spooled == ["1-0.part", "1.json", "1.tmp", "3-0.part"]
    assert spool.notes == []


async def test_sweep_removes_an_answer_that_was_placed_and_settled(stores: Stores) -> None:
    spool = stores.open()
    data = png()
    answer = await deliver(spool, data)
    await spool.place(answer.pictures[0].file, "mug", 1, 57)
    spool.sweep({57})
    assert stores.spooled == []
    assert spool.notes == []
    assert stores.images == {"mug.png": data}


@pytest.mark.parametrize("how", ["inline", "download"])
async def test_sweep_keeps_paid_bytes_that_are_nowhere_else(stores: Stores, how: str) -> None:
    spool = stores.open()
    if how == "inline":
        await deliver(spool, b"paid")
    else:
        sink = spool.sink(57, 0)
        await sink.write(b"paid")
        await spool.finish_download(sink)
    spool.sweep({57})
    assert stores.spooled == ["quarantine"]
    assert (stores.folder / "quarantine" / "57-0.part").read_bytes() == b"paid"
    assert "attempt 57" in spool.notes[0]


# No room, and other trouble


def _holds_nothing(*_: object) -> None:
    """Where the disk of the test is made up, nothing is taken of the real one."""


def test_room_is_refused_before_a_call_when_the_disk_could_not_hold_its_answer(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = stores.open(ballast=50)
    monkeypatch.setattr(Ballast, "hold", _holds_nothing)
    monkeypatch.setattr(Folder, "free", lambda _: 1050)
    spool.check_room(1000)
    with pytest.raises(NoRoom, match=rf"{stores.output} has .* free"):
        spool.check_room(1001)


def test_room_is_looked_at_again_when_time_has_passed_or_it_was_refused(
    stores: Stores, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [1000]
    looks = []

    def look(_: Folder) -> int:
        looks.append(1)
        return free[0]

    monkeypatch.setattr(Ballast, "hold", _holds_nothing)
    monkeypatch.setattr(Folder, "free", look)
    spool = stores.open(ballast=0)
    looks.clear()
    for _ in range(1000):
        spool.check_room(1000)
    assert len(looks) == 1
    free[0] = 10
    clock.elapsed += 1.0
    with pytest.raises(NoRoom):
        spool.check_room(1000)
    free[0] = 1000
    spool.check_room(1000)


def test_room_on_this_machine_is_more_than_nothing(stores: Stores) -> None:
    stores.open(ballast=0).check_room(1)
    with pytest.raises(NoRoom):
        stores.open().check_room(1 << 60)


@contextlib.contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_sink_says_no_room_when_the_disk_is_full_while_the_answer_comes(stores: Stores) -> None:
    spool = stores.open()
    sink = spool.sink(57, 0)
    with file_size_limit(300_000), pytest.raises(NoRoom, match=r"57-0\.part: File too large; make room"):
        await sink.write(b"x" * BIG)
    assert (stores.folder / sink.name).stat().st_size + len(sink._memory) == BIG, "nothing is lost yet"
    spool.discard([sink])
    stores.close()
    assert stores.spooled == []


async def test_finish_says_no_room_and_leaves_no_receipt_when_the_disk_is_full(stores: Stores) -> None:
    spool = stores.open()
    sink = spool.sink(57, 0)
    await sink.write(b"x" * 100_000)
    with file_size_limit(50_000), pytest.raises(NoRoom, match=r"57\.tmp"):
        await spool.finish(answer_with(sink), [sink])
    assert receipts(spool) == []
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    await deliver(spool, b"x", 58)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors, "every file was closed"


async def test_finish_says_store_error_when_the_disk_fails(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = stores.open()

    def broken(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StoreError, match="Input/output error") as error:
        await deliver(spool, b"x")
    assert not isinstance(error.value, NoRoom)
    assert receipts(spool) == []


# A kill at any moment


class Kill(BaseException):
    """The process ends here."""


WRITES = ("open", "write", "fsync", "replace", "link", "unlink", "mkdir", "ftruncate", "fchmod")


class Killer:
    """Ends the process at its n-th change of the file system, as far as these tests can tell: nothing works after it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path, at: int) -> None:
        self.left = at
        self._root = str(root)
        for name in WRITES:
            monkeypatch.setattr(os, name, self._wrap(getattr(os, name), name))

    def _wrap(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def change(*args: Any, **options: Any) -> Any:
            reads = name == "open" and not args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
            if not reads:
                self.left -= 1
                if self.left < 0:
                    raise Kill
            return call(*args, **options)

        return change


async def one_life(stores: Stores, data: bytes, said: list[str]) -> None:
    """Buy one image from an open door to a cleared spool; says what the caller was told."""
    spool = stores.open()
    answer = await deliver(spool, data, step=300_000)
    said.append("finished")
    image = await spool.place(answer.pictures[0].file, "a/mug", 1, 57)
    assert isinstance(image, Image)
    said.append("placed")
    spool.clear(57)
    stores.close()
    said.append("cleared")


async def killed_at(stores: Stores, data: bytes, at: int) -> list[str]:
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        killer = Killer(patch, stores.output, at)
        with contextlib.suppress(Kill, BaseExceptionGroup):
            await one_life(stores, data, said)
        killer.left = 1_000_000
    return said


def _no_links(*_: object, **__: object) -> None:
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


def _whole_or_absent(stores: Stores, data: bytes) -> None:
    """Without links a name that was only just claimed may be empty."""
    assert {path.read_bytes() for path in stores.output.rglob("*.png")} <= {data, b""}


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("big", [False, True], ids=["small", "big"])
async def test_a_kill_at_any_change_of_the_disk_loses_no_answer_that_was_finished(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, big: bool, links: bool
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    data = png(500, 400) if big else png()
    assert (len(data) > 524_288) is big
    for at in range(10_000):
        stores = Stores(tmp_path / str(at), clock)
        said = await killed_at(stores, data, at)
        stores.bury()
        stores._open.clear()  # a dead process closes nothing in order
        _whole_or_absent(stores, data)
        await _recovery(stores, data, said)
        if said[-1:] == ["cleared"]:
            break
    assert at > 15, "there were so many moments to die at"


async def _recovery(stores: Stores, data: bytes, said: list[str]) -> None:
    spool = stores.open()
    answer = spool.read_receipt(57)
    if "finished" in said and "placed" not in said:
        assert answer is not None, "what was finished stays"
    if answer is not None:
        image = await spool.place(answer.pictures[0].file, "a/mug", 1, 57)
        assert isinstance(image, Image)
        spool.clear(57)
    spool.sweep({57})
    stores.close()
    assert stores.spooled == []
    assert spool.notes == []
    found = {str(path.relative_to(stores.output)): path.read_bytes() for path in stores.output.rglob("*.png")}
    if answer is not None or "placed" in said:
        assert found == {"a/mug.png": data}
    else:
        assert found == {}


# What is no file, in the place of one


def in_place_of(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that can never be read has that name."""
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
        (path / "x").touch()
    elif kind == "link":
        path.symlink_to("nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.touch()
        read = Folder.read

        def refused(folder: Folder, name: str) -> int:
            if name == path.name:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
            return read(folder, name)

        monkeypatch.setattr(Folder, "read", refused)


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "not ours"])
async def test_start_goes_on_when_a_receipt_is_no_file(
    stores: Stores, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = stores.open()
    await deliver(spool, png(), 57)
    await deliver(spool, png(), 58)
    in_place_of(stores.folder / "57.json", kind, monkeypatch)
    descriptors = len(list(Path("/dev/fd").iterdir()))
    assert spool.read_receipt(57) is None
    assert spool.read_receipt(58) is not None
    assert len(list(Path("/dev/fd").iterdir())) == descriptors
    assert "the receipt of attempt 57 cannot be used" in spool.notes[0]
    assert (stores.folder / "quarantine" / "57-0.part").read_bytes() == png(), "its bytes are kept"


@pytest.mark.parametrize("kind", ["folder", "link", "pipe", "not ours"])
async def test_picture_that_is_no_file_is_not_placed_and_not_met_again(
    stores: Stores, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = stores.open()
    await deliver(spool, png(), 57)
    in_place_of(stores.folder / "57-0.part", kind, monkeypatch)
    damaged = await spool.place("57-0.part", "mug", 1, 57)
    assert isinstance(damaged, Damaged)
    assert damaged.reason.startswith("it cannot be read: ")
    assert damaged.kept == "quarantine/57-0.part"


@pytest.mark.parametrize("kind", ["folder", "link"])
async def test_download_that_is_no_file_is_fetched_again(
    stores: Stores, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = stores.open()
    sink = spool.sink(57, 1000)
    await sink.write(b"x" * 100)
    await spool.finish_download(sink)
    in_place_of(stores.folder / sink.name, kind, monkeypatch)
    assert stores.open().downloaded(57) is None


@pytest.mark.parametrize("name", ["57.json", "57-0.part", "57-1000.whole", "57.tmp", "ballast-0"])
@pytest.mark.parametrize("kind", ["folder", "link", "pipe"])
def test_start_is_not_stopped_by_what_is_no_file(
    stores: Stores, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.open()
    stores.close()
    in_place_of(stores.folder / name, kind, monkeypatch)
    spool = stores.open()
    spool.sweep(set())
    spool.check_room(1)
    stores.close()


def test_quarantine_that_is_a_file_is_moved_away(stores: Stores) -> None:
    spool = stores.open()
    (stores.folder / "quarantine").write_text("mine")
    (stores.folder / "57.json").write_text("{")
    assert spool.read_receipt(57) is None
    assert (stores.folder / "quarantine" / "57.json").read_text() == "{"
    assert (stores.folder / "quarantine.2").read_text() == "mine"
