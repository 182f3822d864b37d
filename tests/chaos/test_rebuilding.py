"""A rebuild is hurt: killed, out of room, beside another one, in a hostile folder. The next one is whole."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest

from batchgen.domain.clock import SystemClock
from batchgen.domain.lifecycle import Charge
from batchgen.domain.output_image import Delivered, Image
from batchgen.ledger.ledger import Ledger
from batchgen.store.layout import INDEX
from batchgen.store.output.image_index import write_line
from tests.chaos.promises import promise
from tests.chaos.site import Site
from tests.support.shop import Shop
from tests.support.store import ORIGIN

IMAGES = 1_000
PRICE = 30_000
KILLS = (0, 250, 500, 750)


def told(number: int, file: str, data: bytes) -> Delivered:
    """A line about an image; each has a prompt of its own."""
    origin = replace(ORIGIN, job="job", key=f"p{number}", revision=1, reserved_at=1_800_000_000.0 + number)
    image = Image(file, sha256(data).hexdigest(), len(data), 2048, 1152, "png")
    return Delivered(origin, image, (), number, (), Charge.BILLED, PRICE, 1_800_000_100.0)


def fill(folder: Path, count: int) -> None:
    """An output folder of a lost ledger."""
    (folder / "out").mkdir(parents=True)
    lines = []
    for number in range(1, count + 1):
        data = f"image {number}".encode()
        (folder / "out" / f"{number}.png").write_bytes(data)
        lines.append(write_line(told(number, f"{number}.png", data)))
    (folder / "out" / INDEX).write_bytes(b"".join(lines))


def dump(site: Site) -> list[object]:
    """Everything in a ledger but moments of the rebuild itself, and its random name."""
    tables = ("prompt", "variant", "attempt", "image", "month")
    task = "SELECT id, prompt_id, variant_id, work, revision, own, shared, calls, image_id, last_revision FROM task"
    sums = "SELECT name, billed, unknown, reserved, prompts, tasks FROM job"
    return [site.query(f"SELECT * FROM {name}") for name in tables] + [site.query(task), site.query(sums)]


def rebuild(site: Site, code: int | None = 0) -> subprocess.CompletedProcess[str]:
    return site.run("rebuild", "job", "--from", "out", code=code)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_killed_rebuild_is_whole_when_it_is_given_again(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, IMAGES)
    died = 0
    for more_than in KILLS:
        process = site.start("rebuild", "job", "--from", "out")
        site.wait_for_attempts(process, more_than, 60.0)
        died += site.kill(process)
    rebuild(site)
    hurt = dump(site)
    rebuild(site)
    assert dump(site) == hurt
    site.run("verify")
    for path in tmp_path.glob("batchgen.db*"):
        path.unlink()
    rebuild(site)
    assert dump(site) == hurt
    assert site.query("SELECT billed FROM job") == [(IMAGES * PRICE,)]
    assert died
    promise(3, "a lost ledger, its rebuild killed {died} times: whole, nothing twice", died=died)


def test_rebuild_without_room_says_so_and_is_whole_when_there_is_some(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, 600)
    process = subprocess.run(
        site.command("rebuild", "job", "--from", "out"),
        cwd=tmp_path,
        env=site.env(),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, (400_000, 400_000)),
    )
    assert process.returncode in {1, 4}, process.stderr
    assert "Traceback" not in process.stderr
    assert str(tmp_path / "batchgen.db") in process.stderr
    rebuild(site)
    assert site.query("SELECT count(*), sum(billed) FROM attempt") == [(600, 600 * PRICE)]
    site.run("verify")


def test_rebuild_beside_an_owner_of_the_ledger_is_refused(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, 3)
    with Ledger.open(tmp_path / "batchgen.db", SystemClock()):
        assert "is in use by" in rebuild(site, code=4).stderr
    rebuild(site)


def test_two_rebuilds_at_once_leave_one_whole_ledger(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, 400)
    both = [site.start("rebuild", "job", "--from", "out") for _ in range(2)]
    assert min(process.wait(60) for process in both) == 0
    rebuild(site)
    assert site.query("SELECT count(*) FROM image") == [(400,)]
    site.run("verify")


def test_hostile_index_enters_nothing_from_outside_and_crashes_nothing(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, 2)
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    out = tmp_path / "out"
    (out / "link.png").symlink_to(secret)
    (out / "way").symlink_to(tmp_path)
    os.mkfifo(out / "pipe.png")
    (out / "folder.png").mkdir()
    names = ("link.png", "way/secret.png", "pipe.png", "folder.png", "nowhere.png")
    lines = [write_line(told(10 + place, name, b"secret")) for place, name in enumerate(names)]
    record = json.loads(lines[0])
    strange = [{"file": str(secret)}, {"attempt": 2**70}, {"billed_micros": -5}, {"path": "{size.x}"}, {"own": 1}]
    lines += [json.dumps(record | each).encode() + b"\n" for each in strange]
    lines += [b"[" * 50_000 + b"\n", b'{"key":"' + b"x" * 10_000_000 + b"\n", b"\xff\xfe\n", b"\n"]
    twice = write_line(told(2, "2.png", b"image 2"))
    other = write_line(replace(told(99, "2.png", b"image 2"), origin=replace(told(99, "", b"").origin, job="\x1b[31m")))
    with (out / INDEX).open("ab") as index:
        index.write(b"".join([*lines, twice, other]))
    said = rebuild(site, code=3)
    assert site.query("SELECT path FROM image ORDER BY id") == [("1.png",), ("2.png",)]
    assert "Traceback" not in said.stderr
    assert "\x1b" not in said.stdout
    assert "14 cannot be entered" in said.stdout
    assert secret.read_bytes() == b"secret"
    site.run("verify", code=3)  # names the stranger's link, and agrees on everything else


def test_number_that_another_attempt_has_is_not_overwritten(site: Site, tmp_path: Path) -> None:
    """Two ledgers bought in one folder one after the other: both are entered, under numbers of their own."""
    fill(tmp_path, 2)
    rebuild(site)
    data = b"another"
    (tmp_path / "out" / "other.png").write_bytes(data)
    line = told(1, "other.png", data)
    with (tmp_path / "out" / INDEX).open("ab") as index:
        index.write(write_line(replace(line, origin=replace(line.origin, key="other"))))
    for _ in range(2):
        rebuild(site)
        assert site.query("SELECT id, path FROM image ORDER BY id") == [(1, "1.png"), (2, "2.png"), (3, "other.png")]
    site.run("verify")


def test_ledger_put_back_in_mid_run_stops_the_next_start(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, 2)
    rebuild(site)
    shutil.copy(tmp_path / "batchgen.db", tmp_path / "backup.db")
    data = b"image 3"
    (tmp_path / "out" / "3.png").write_bytes(data)
    with (tmp_path / "out" / INDEX).open("ab") as index:
        index.write(write_line(told(3, "3.png", data)))
    rebuild(site)
    shutil.move(tmp_path / "backup.db", tmp_path / "batchgen.db")
    shop = Shop(tmp_path)
    shop.write(
        "job.yaml",
        "version: 1\nname: job\nroute: apiyi/gpt-image-2-vip\nprompts: [{id: p1, text: x}]\nsizes: ['1:1@1K']\n"
        "output: {folder: out}\n",
    )
    assert "attempt 3 is there" in shop.run("plan", "job.yaml", code=2).stderr
    rebuild(site)
    shop.run("plan", "job.yaml")
    (tmp_path / "out" / ".batchgen" / "900-0.part").write_bytes(
        b"half"
    )  # it brought no image, so the spool alone knows
    assert "attempt 900 is there" in shop.run("plan", "job.yaml", code=2).stderr
    assert "batchgen rebuild" in shop.run("run", "job.yaml", "--yes", code=2).stderr
    rebuild(site)
    assert (tmp_path / "out" / ".batchgen" / "quarantine" / "900-0.part").read_bytes() == b"half"
    shop.run("plan", "job.yaml")


def test_folder_is_one_by_whatever_path_it_is_named(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, 2)
    (tmp_path / "way").symlink_to(tmp_path / "out")
    for name in ("way", "out/../out", "./out/"):
        site.run("rebuild", "job", "--from", name)
    text = "version: 1\nname: job\nroute: apiyi/gpt-image-2-vip\nprompts: [{id: p1, text: x}]\nsizes: ['1:1@1K']\n"
    site.write("job.yaml", text + "output: {folder: out}\n")
    site.run("rebuild", "job.yaml", "--from", "out")
    site.run("plan", "job.yaml")
    assert site.query("SELECT count(*) FROM image") == [(2,)]


def test_signal_in_a_rebuild_ends_it_without_a_traceback(site: Site, tmp_path: Path) -> None:
    fill(tmp_path, 1_500)
    process = site.start("rebuild", "job", "--from", "out")
    site.wait_for_attempts(process, 0, 60.0)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) in {0, 130}
    assert "Traceback" not in site.said
    rebuild(site)
    assert site.query("SELECT count(*) FROM image") == [(1_500,)]
