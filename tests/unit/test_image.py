from __future__ import annotations

import itertools
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from batchgen.domain.errors import StoreError
from batchgen.store import decode as decode_module
from batchgen.store.decode import DecodePool
from batchgen.store.image import BadImage, inspect
from tests.store_help import encoded, png


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
            with pytest.raises(BadImage, match="more time or memory"):
                bad.result()
        assert [neighbour.result() for neighbour in neighbours] == [(64, 48)] * 3
    assert pool.decode(str(good), "jpeg") == (64, 48)
    pool.close()


def test_pool_blames_no_image_for_a_sleep_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped worker finds its time over when it goes on, each time it was stopped."""
    hangs, slept = tmp_path / "hangs", itertools.count(0, 100)
    os.mkfifo(hangs)
    monkeypatch.setattr(decode_module.time, "monotonic", lambda: float(next(slept)))
    pool = DecodePool(workers=1, seconds=0.3)
    with ThreadPoolExecutor(1) as threads:
        image = threads.submit(pool.decode, str(hangs), "jpeg")
        for content in (b"", b"", encoded("jpeg")):  # the shared worker, the first one alone, the second
            with hangs.open("wb") as worker:
                if content:
                    worker.write(content)
                else:
                    wait_for_end_of(worker.fileno())
        assert image.result() == (64, 48)
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
from batchgen.store.decode import DecodePool
if __name__ == "__main__":
    pool = DecodePool()
    print(pool.decode(sys.argv[1], "jpeg"), flush=True)
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
