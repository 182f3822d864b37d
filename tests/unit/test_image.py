from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import popen_spawn_posix
from pathlib import Path

import pytest
from PIL import Image as Pillow

from batchgen.domain.errors import StoreError
from batchgen.store.checks import decode as decode_module
from batchgen.store.checks.decode import DecodePool
from batchgen.store.checks.image import BadImage, NotJudged, inspect
from tests.support.store import encoded, png


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    pool = DecodePool()
    yield pool
    pool.close()


def put(folder: Path, data: bytes) -> Path:
    path = folder / "picture.part"
    path.write_bytes(data)
    return path


def refused(folder: Path, data: bytes, pool: DecodePool) -> str:
    with pytest.raises(BadImage) as bad:
        inspect(put(folder, data), pool)
    return bad.value.reason


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_image_is_known_by_content_when_the_name_says_nothing(tmp_path: Path, pool: DecodePool, kind: str) -> None:
    facts = inspect(put(tmp_path, encoded(kind)), pool)
    assert (facts.format, facts.width, facts.height, facts.trailing) == (kind, 64, 48, 0)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_image_counts_what_follows_its_end(tmp_path: Path, pool: DecodePool, kind: str) -> None:
    assert inspect(put(tmp_path, encoded(kind) + b"\0trailer"), pool).trailing == 8


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
@pytest.mark.parametrize("part", [0.5, 0.95, 0.999])
def test_image_is_refused_when_cut(tmp_path: Path, pool: DecodePool, kind: str, part: float) -> None:
    data = encoded(kind, 300, 200)
    assert "cut off" in refused(tmp_path, data[: int(len(data) * part)], pool)


def test_jpeg_is_refused_when_the_only_end_mark_is_that_of_its_thumbnail(tmp_path: Path, pool: DecodePool) -> None:
    data, thumbnail = encoded("jpeg", 300, 200), encoded("jpeg", 16, 16)
    comment = b"\xff\xfe" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = data[:2] + comment + data[2:]
    assert inspect(put(tmp_path, whole), pool).width == 300
    assert "cannot be decoded" in refused(tmp_path, whole[: len(whole) // 2], pool)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_image_is_refused_when_what_follows_its_mark_is_nothing(tmp_path: Path, pool: DecodePool, kind: str) -> None:
    data = encoded(kind)
    assert "cannot be decoded" in refused(tmp_path, data[:20] + bytes(len(data) - 22) + data[-2:], pool)


def test_jpeg_is_refused_when_its_header_claims_too_many_pixels(tmp_path: Path, pool: DecodePool) -> None:
    data = bytearray(encoded("jpeg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\x1f\x40\x1f\x40"  # 8000 x 8000
    assert "40 megapixels" in refused(tmp_path, bytes(data), pool)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a single byte"),
        (b"GIF89a" + bytes(20), "a GIF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "text"),
        (b"<!DOCTYPE html><script>alert(1)</script>", "text"),
        (b'{"error": "no"}', "text"),
        (b"\n<html>\x1b[31m\xe2\x80\xae", r"\x1b[31m"),
        (b"\0\1\2\3", "begins with 00 01 02 03"),
        (b"RIFF\x10\0\0\0WAVE", "not a PNG"),
    ],
)
def test_image_is_refused_and_named_when_it_is_something_else(
    tmp_path: Path, pool: DecodePool, data: bytes, reason: str
) -> None:
    assert reason in refused(tmp_path, data, pool)


def test_inspect_raises_store_error_when_the_file_cannot_be_read(tmp_path: Path, pool: DecodePool) -> None:
    with pytest.raises(StoreError, match=r"gone\.png"):
        inspect(tmp_path / "gone.png", pool)


def test_pool_starts_no_process_when_all_images_are_png(tmp_path: Path) -> None:
    pool = DecodePool()
    assert inspect(put(tmp_path, png()), pool).format == "png"
    assert pool._pool is None
    pool.close()


def test_pool_gives_up_one_image_and_not_its_neighbours_when_a_decoder_hangs(tmp_path: Path) -> None:
    hangs = tmp_path / "hangs"
    os.mkfifo(hangs)
    good = put(tmp_path, encoded("jpeg"))
    pool = DecodePool(workers=1, seconds=0.7)
    with ThreadPoolExecutor(4) as threads:
        bad = threads.submit(pool.decode, str(hangs), "jpeg")
        with hangs.open("wb"):  # opens when the worker has begun to read, and then nothing comes
            neighbours = [threads.submit(pool.decode, str(good), "jpeg") for _ in range(3)]
            with pytest.raises(NotJudged, match="more time or memory"):
                bad.result()
        assert [neighbour.result() for neighbour in neighbours] == [(64, 48, False)] * 3
    assert pool.decode(str(good), "jpeg") == (64, 48, False)
    pool.close()


@contextmanager
def killer(most: int) -> Iterator[list[int]]:
    """Something ends our decoders as they appear, as the system does that has no memory left; so many at most."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        while not over.wait(0.002) and len(killed) < most:
            for process in multiprocessing.active_children():
                if process.pid is not None and process.pid not in killed and len(killed) < most:
                    os.kill(process.pid, signal.SIGKILL)
                    killed.append(process.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("deaths", [1, 3])
def test_image_whose_decoders_are_killed_is_decoded_once_they_are_left_alone(tmp_path: Path, deaths: int) -> None:
    image = put(tmp_path, encoded("jpeg"))
    pool = DecodePool(workers=1, pauses=(0, 0, 0))
    with killer(deaths) as killed:
        assert pool.decode(str(image), "jpeg") == (64, 48, False)
    assert len(killed) == deaths
    pool.close()


def test_image_is_left_as_it_is_when_every_decoder_is_killed(tmp_path: Path) -> None:
    image = put(tmp_path, encoded("jpeg"))
    pool = DecodePool(workers=1, pauses=(0, 0, 0))
    with (
        killer(4) as killed,
        pytest.raises(StoreError, match=r"no decoder comes to its end .*with -9.*; free some mem"),
    ):
        pool.decode(str(image), "jpeg")
    assert len(killed) == 4
    assert pool.decode(str(image), "jpeg") == (64, 48, False)
    pool.close()


@pytest.mark.parametrize("error", [OSError(errno.EAGAIN, "no process"), RuntimeError("can't start new thread")])
def test_image_is_left_as_it_is_when_no_decoder_can_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise error

    image = put(tmp_path, encoded("jpeg"))
    pool = DecodePool(pauses=(0, 0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(popen_spawn_posix.Popen, "__init__", refuse)
        with pytest.raises(StoreError, match="no decoder comes to its end"):
            pool.decode(str(image), "jpeg")
    assert pool.decode(str(image), "jpeg") == (64, 48, False)
    pool.close()


def test_image_that_takes_all_memory_of_a_decoder_is_not_judged(tmp_path: Path) -> None:
    file = tmp_path / "large.jpg"
    Pillow.new("RGB", (6300, 6300)).save(file)
    pool = DecodePool(memory=200 << 20, pauses=(0, 0, 0))
    with pytest.raises(NotJudged, match=r"more .*memory than any image of ours should"):
        pool.decode(str(file), "jpeg")
    pool.close()


def test_trouble_of_the_system_is_not_the_fault_of_an_image(tmp_path: Path) -> None:
    """As a disk that reports errors, or no descriptor left; here the file is not there."""
    pool = DecodePool(pauses=(0, 0, 0))
    with pytest.raises(StoreError, match="No such file"):
        pool.decode(str(tmp_path / "gone"), "jpeg")
    pool.close()


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_image_of_one_colour_is_told(tmp_path: Path, pool: DecodePool, kind: str) -> None:
    file = tmp_path / "flat"
    for mode, colour in (("RGB", (0, 0, 0)), ("RGB", (250, 10, 10)), ("L", 255)):
        Pillow.new(mode, (640, 480), colour).save(file, kind, quality=100)
        assert pool.decode(str(file), kind) == (640, 480, True), mode
    noise = put(tmp_path, encoded(kind))
    assert not pool.decode(str(noise), kind).blank


def test_pool_blames_no_image_for_a_sleep_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped worker finds its time over when it goes on, each time it was stopped."""
    hangs, slept = tmp_path / "hangs", itertools.count(0, 100)
    os.mkfifo(hangs)
    monkeypatch.setattr(decode_module.time, "monotonic", lambda: float(next(slept)))
    pool = DecodePool(workers=1, seconds=0.3, pauses=(0, 0, 0))
    with ThreadPoolExecutor(1) as threads:
        image = threads.submit(pool.decode, str(hangs), "jpeg")
        for content in (b"", b"", encoded("jpeg")):  # the shared worker, the first one alone, the second
            with hangs.open("wb") as worker:
                if content:
                    worker.write(content)
                else:
                    wait_for_end_of(worker.fileno())
        assert image.result() == (64, 48, False)
    pool.close()


def wait_for_end_of(pipe: int) -> None:
    """Until nobody reads it any more."""
    poll = select.poll()
    poll.register(pipe, select.POLLERR)
    poll.poll()


def test_pool_workers_hold_no_file_of_ours_and_leave_ctrl_c_to_us(tmp_path: Path) -> None:
    with (tmp_path / "ledger.db").open("wb") as ledger:
        os.set_inheritable(ledger.fileno(), True)  # even then
        pool = DecodePool()
        pool.decode(str(put(tmp_path, encoded("jpeg"))), "jpeg")
        started = pool._pool
        assert started is not None
        workers = list(started._processes)
        ignored = [
            int(line.split()[1], 16)
            for pid in workers
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("SigIgn")
        ]
        held = [str(fd.readlink()) for pid in workers for fd in Path(f"/proc/{pid}/fd").glob("*")]
        pool.close()
    assert held
    assert all(signals & 1 << signal.SIGINT - 1 for signals in ignored)
    assert not any("ledger.db" in path for path in held)


PARENT = """
import os, signal, sys
from batchgen.store.checks.decode import DecodePool
if __name__ == "__main__":
    pool = DecodePool()
    print(pool.decode(sys.argv[1], "jpeg")[:2], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_pool_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    image = put(tmp_path, encoded("jpeg"))
    with subprocess.Popen([sys.executable, script, image], stdout=subprocess.PIPE) as parent:
        # Workers share the parent's standard output: it ends when the last of them has.
        out, _ = parent.communicate(timeout=30)
    assert out == b"(64, 48)\n"
    assert parent.returncode == -signal.SIGKILL
