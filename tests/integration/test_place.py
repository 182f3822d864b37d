from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import NoReturn

import pytest

from batchgen.domain.errors import StoreError
from batchgen.domain.output_image import Damaged, Image
from batchgen.store.folder import Folder
from batchgen.store.output.place import Spooled, Spot, place, place_within
from tests.support.store import PillowHere, encoded, png


class Output:
    """An output folder with a spool in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "out"
        self.spool = self.folder / ".batchgen"
        self.spool.mkdir(parents=True)

    def spooled(self, data: bytes, attempt: int = 57) -> Path:
        part = self.spool / f"{attempt}-0.part"
        part.write_bytes(data)
        part.chmod(0o600)
        return part

    def place(self, data: bytes, path: str = "mug", revision: int = 1, attempt: int = 57) -> Image | Damaged:
        return place(self.spooled(data, attempt), self.folder, path, revision, attempt, PillowHere())

    def again(self, path: str = "mug", revision: int = 1, attempt: int = 57) -> Image | Damaged:
        return place(self.spool / f"{attempt}-0.part", self.folder, path, revision, attempt, PillowHere())

    @property
    def files(self) -> dict[str, bytes]:
        """What is in the output folder, but for the spool."""
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.is_symlink() and self.spool not in path.parents
        }


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


def no_links(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


@pytest.fixture(params=["links", "no links"])
def any_output(request: pytest.FixtureRequest, output: Output, monkeypatch: pytest.MonkeyPatch) -> Output:
    """On a file system with hard links, and on one without."""
    if request.param == "no links":
        monkeypatch.setattr(os, "link", no_links)
    return output


def test_place_gives_the_image_its_name_and_says_what_it_is(any_output: Output) -> None:
    data = png(20, 10)
    assert any_output.place(data, "mugs/MUG%2F01-20x10") == Image(
        "mugs/MUG%2F01-20x10.png", sha256(data).hexdigest(), len(data), 20, 10, "png"
    )
    assert any_output.files == {"mugs/MUG%2F01-20x10.png": data}
    assert (any_output.spool / "57-0.part").exists(), "the spool keeps it until it is cleared"


@pytest.mark.parametrize(("kind", "ending"), [("jpeg", "jpg"), ("webp", "webp")])
def test_place_takes_the_ending_from_the_content(output: Output, kind: str, ending: str) -> None:
    placed = output.place(encoded(kind))
    assert isinstance(placed, Image)
    assert (placed.path, placed.format) == (f"mug.{ending}", kind)


def test_place_writes_a_new_revision_beside_the_old_image(output: Output) -> None:
    old, new = png(seed=1), png(seed=2)
    output.place(old)
    output.place(new, revision=2, attempt=58)
    assert output.files == {"mug.png": old, "mug-r2.png": new}


def test_place_shares_the_bytes_with_the_spool_when_there_are_links(output: Output) -> None:
    output.place(png())
    assert (output.folder / "mug.png").samefile(output.spool / "57-0.part")


def test_place_adopts_its_own_image_when_an_earlier_try_died_before_it_was_booked(any_output: Output) -> None:
    first = any_output.place(png())
    assert any_output.again() == first
    assert list(any_output.files) == ["mug.png"]


def test_place_never_overwrites_a_file_of_somebody_else(any_output: Output) -> None:
    (any_output.folder / "mug.png").write_bytes(b"mine")
    data = png()
    placed = any_output.place(data)
    assert isinstance(placed, Image)
    assert placed.path == "mug-a57.png"
    assert any_output.again() == placed, "the other name is always the same"
    assert any_output.files == {"mug.png": b"mine", "mug-a57.png": data}


def test_place_takes_the_next_name_when_the_other_name_is_taken_too(any_output: Output) -> None:
    (any_output.folder / "mug.png").write_bytes(b"mine")
    (any_output.folder / "mug-a57.png").write_bytes(png(seed=9))
    placed = any_output.place(png())
    assert isinstance(placed, Image)
    assert placed.path == "mug-a57-2.png"


def test_place_gives_up_with_a_sentence_when_every_name_is_taken(output: Output) -> None:
    for number in range(100):
        (output.folder / f"mug{'' if not number else '-a57' if number == 1 else f'-a57-{number}'}.png").touch()
    with pytest.raises(StoreError, match="every name for mug"):
        output.place(png())


def test_place_replaces_only_the_link_and_not_its_target_when_its_name_is_a_link(
    any_output: Output, tmp_path: Path
) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (any_output.folder / "mug.png").symlink_to(target)
    placed = any_output.place(png())
    assert isinstance(placed, Image)
    assert placed.path == "mug-a57.png"
    assert target.read_bytes() == b"precious"


def test_place_goes_to_another_name_when_a_link_as_long_as_the_image_has_it(output: Output) -> None:
    data = png(1, 1)
    (output.folder / "mug.png").symlink_to("x" * len(data))
    placed = output.place(data)
    assert isinstance(placed, Image)
    assert placed.path == "mug-a57.png"


def test_place_goes_to_another_name_when_a_pipe_or_a_folder_has_it(any_output: Output) -> None:
    os.mkfifo(any_output.folder / "mug.png")
    (any_output.folder / "mug-a57.png").mkdir()
    placed = any_output.place(png())
    assert isinstance(placed, Image)
    assert placed.path == "mug-a57-2.png"


@pytest.mark.parametrize("kind", ["link", "file"])
def test_place_refuses_when_a_folder_on_the_way_is_something_else(output: Output, tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (output.folder / "a").mkdir()
    if kind == "link":
        (output.folder / "a" / "b").symlink_to(elsewhere)
    else:
        (output.folder / "a" / "b").touch()
    with pytest.raises(StoreError, match=r"a/b is not a folder of its own .* run again"):
        output.place(png(), "a/b/mug")
    assert not list(elsewhere.iterdir())
    assert (output.spool / "57-0.part").exists()


@pytest.mark.parametrize(
    "path", ["../../mug", "/etc/mug", "a/../../../mug", ".batchgen/57", "./mug", "a\\..\\mug", "con", "\0", ""]
)
def test_place_stays_below_the_output_folder_when_the_path_is_hostile(
    output: Output, tmp_path: Path, path: str
) -> None:
    placed = output.place(png(), path)
    assert isinstance(placed, Image)
    assert (output.folder / placed.path).resolve().is_relative_to(output.folder)
    assert list(output.files) == [placed.path]
    assert {entry.name for entry in tmp_path.iterdir()} == {"out"}
    assert {entry.name for entry in output.spool.iterdir()} == {"57-0.part"}


def test_place_keeps_damaged_bytes_in_quarantine_and_says_why(output: Output) -> None:
    data = png()[:-5]
    damaged = output.place(data)
    assert isinstance(damaged, Damaged)
    assert damaged.kept == "quarantine/57-0.part"
    assert "cut off" in damaged.reason
    assert (output.spool / damaged.kept).read_bytes() == data
    assert (output.spool / "quarantine").stat().st_mode & 0o777 == 0o700
    assert output.files == {}


def test_place_says_the_same_again_when_a_kill_came_after_the_quarantine(output: Output) -> None:
    assert output.again() == Damaged("its bytes are no longer in the spool", "")
    first = output.place(b"<html>")
    assert output.again() == first


def test_quarantine_overwrites_nothing(output: Output) -> None:
    output.place(b"<html>one")
    second = output.place(b"<html>two")
    assert isinstance(second, Damaged)
    kept = output.spool / "quarantine"
    assert {entry.name: entry.read_bytes() for entry in kept.iterdir()} == {
        "57-0.part": b"<html>one",
        "57-0.part.2": b"<html>two",
    }
    assert second.kept == "quarantine/57-0.part.2"


def test_place_goes_on_when_a_kill_left_its_claim_on_a_name_without_links(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    (output.folder / "mug.png").touch()
    (output.folder / ".batchgen-57.part").write_bytes(b"half a cop")
    data = png()
    output.place(data)
    assert output.files == {"mug.png": data}


def test_place_leaves_no_copy_when_another_file_has_the_name_and_there_are_no_links(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    (output.folder / "mug.png").write_bytes(b"mine")
    output.place(png())
    assert list(output.files) == ["mug-a57.png", "mug.png"]


def test_place_keeps_every_image_when_many_threads_want_one_name(any_output: Output) -> None:
    images = {attempt: png(seed=attempt) for attempt in range(40)}
    parts = {attempt: any_output.spooled(data, attempt) for attempt, data in images.items()}
    with ThreadPoolExecutor(8) as threads:
        placed = list(
            threads.map(lambda it: place(it[1], any_output.folder, "new/mug", 1, it[0], PillowHere()), parts.items())
        )
    found = {image.path: any_output.files[image.path] for image in placed if isinstance(image, Image)}
    assert sorted(found.values()) == sorted(images.values())
    assert sorted(any_output.files) == sorted(found)


def test_place_does_not_take_the_claim_of_another_thread_for_one_of_the_dead(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    one, two = png(seed=1), png(seed=2)
    parts = [output.spooled(one, 1), output.spooled(two, 2)]
    rename = Folder.rename
    others: list[Thread] = []

    def slow(folder: Folder, name: str, to: str) -> None:
        if not others:  # the first has claimed its name; now the second comes
            others.append(Thread(target=place, args=(parts[1], output.folder, "mug", 1, 2, PillowHere())))
            others[0].start()
            others[0].join(0.3)
        rename(folder, name, to)

    monkeypatch.setattr(Folder, "rename", slow)
    place(parts[0], output.folder, "mug", 1, 1, PillowHere())
    others[0].join()
    assert output.files == {"mug.png": one, "mug-a2.png": two}


def test_place_makes_every_name_on_the_way_durable_also_when_a_dead_process_made_the_folder(
    output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def record(fd: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{fd}").readlink().relative_to(output.folder)))
        fsync(fd)

    def placed(path: str) -> list[str]:
        for part in output.spool.iterdir():  # a new file, not new bytes in the last image
            part.unlink()
        file = output.spooled(png()).name
        synced.clear()
        place_within(Spooled(spool, file), root, Spot(path, 1, 57), PillowHere())
        return synced

    monkeypatch.setattr(os, "fsync", record)
    (output.folder / "old").mkdir()
    with Folder.open(output.spool) as spool, Folder.open(output.folder) as root:
        assert placed("old/new/newer/mug") == ["old/new/newer", "old/new", "old", "."]
        assert placed("old/new/newer/mug2") == ["old/new/newer"]
        assert placed("old/mug") == ["old"]
        monkeypatch.setattr(os, "link", no_links)
        assert placed("old/mug2") == ["old/.batchgen-57.part", "old"]


def test_place_says_which_folder_when_it_cannot_be_written(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StoreError, match=rf"{output.folder}/new: Permission denied"):
        output.place(png(), "new/mug")
    assert (output.spool / "57-0.part").exists()


def test_place_says_so_when_the_output_folder_is_gone(output: Output, tmp_path: Path) -> None:
    part = output.spooled(png())
    with pytest.raises(StoreError, match="gone"):
        place(part, tmp_path / "gone", "mug", 1, 57, PillowHere())
