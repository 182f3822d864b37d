"""References on their way from the user's folder to a call: read once, kept by content, and never mixed up."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from batchgen.app.input_check import look_at_inputs
from batchgen.cli.output import told_now_and_then
from batchgen.contracts.contract import References
from batchgen.domain.errors import NoRoom, StoreError
from batchgen.domain.inputs import InputFile, InputImage, Inputs, InputUse
from batchgen.store.folder import Folder
from batchgen.store.inputs import copies as copies_module
from batchgen.store.inputs import input_store as inputs_module
from batchgen.store.inputs import shrink
from batchgen.store.inputs.input_store import InputStore
from batchgen.store.inputs.memory_budget import PixelBudget
from batchgen.store.spool.leftovers import sweep
from tests.support.manifest import HEAD, planned
from tests.support.photos import encoded, mask, noise, opened, picture, save
from tests.support.shop import Shop, gateway

LIMITS = References(advised_bytes=1_500_000, max_bytes=10_000_000, total_bytes=6_000_000)
SMALL = References(advised_bytes=90_000)
ONE = frozenset({1})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[InputStore]:
    made = new_store(tmp_path)
    yield made
    made.close()


def new_store(folder: Path) -> InputStore:
    return InputStore(folder / "job", folder / "out/.batchgen/inputs")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every opening of a user's file: the place where it lies."""
    found: list[str] = []
    real = inputs_module.read_user_file

    async def counted(state: object, executor: object) -> object:
        found.append(Path(state.path).name)  # type: ignore[attr-defined]
        return await real(state, executor)  # type: ignore[arg-type]

    monkeypatch.setattr(inputs_module, "read_user_file", counted)
    return found


def photo(folder: Path, name: str = "a.jpg", data: bytes | None = None) -> bytes:
    data = encoded(picture()) if data is None else data
    save(folder / "job" / name, data)
    return data


def cached(folder: Path) -> list[Path]:
    return sorted((folder / "out/.batchgen/inputs").glob("*"))


@dataclass
class Looked:
    files: dict[str, InputFile] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)


async def look(
    store: InputStore, *uses: InputUse, known: Looked | None = None, keep: References | None = LIMITS
) -> Looked:
    found = Looked()
    async for looked in store.examine_inputs(uses, known.files.values() if known else [], keep):
        if looked.file is None:
            found.wrong[looked.place] = looked.wrong
        else:
            found.files[looked.place] = looked.file
    return found


def image_of(looked: Looked, place: str) -> InputImage:
    file = looked.files[place]
    return InputImage(place, file.sha256, file.width, file.height)


# --- looking


async def test_looking_tells_content_and_size_and_keeps_a_copy(tmp_path: Path, store: InputStore) -> None:
    data = photo(tmp_path, "photos/a.jpg")
    found = await look(store, InputUse("photos/a.jpg", ONE))
    stat = (tmp_path / "job/photos/a.jpg").stat()
    digest = sha256(data).hexdigest()
    assert found == Looked({"photos/a.jpg": InputFile("photos/a.jpg", len(data), stat.st_mtime_ns, digest, 640, 480)})
    (copy,) = cached(tmp_path)
    assert copy.name == f"{digest[:32]}-1500000.jpg"
    assert copy.read_bytes() == data
    assert copy.stat().st_mode & 0o777 == 0o600
    assert copy.parent.stat().st_mode & 0o777 == 0o700


async def test_looking_without_keeping_writes_nothing(tmp_path: Path, store: InputStore) -> None:
    photo(tmp_path)
    photo(tmp_path, "big.png", encoded(noise(900, 900), "PNG"))
    found = await look(store, InputUse("a.jpg", ONE), InputUse("big.png", ONE), keep=None)
    assert set(found.files) == {"a.jpg", "big.png"}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [LIMITS, None])
async def test_every_file_that_cannot_be_used_is_told_with_why(
    tmp_path: Path, store: InputStore, keep: References | None
) -> None:
    photo(tmp_path)
    photo(tmp_path, "b.heic", b"\0\0\0\x18ftypheic" + bytes(100))
    photo(tmp_path, "cut.jpg", encoded(picture())[:-3000])
    photo(tmp_path, "flat.png", encoded(picture(), "PNG"))
    uses = [InputUse(name, ONE) for name in ("a.jpg", "b.heic", "cut.jpg", "gone.jpg")]
    found = await look(store, *uses, InputUse("flat.png", mask=True), keep=keep)
    assert set(found.files) == {"a.jpg"}
    assert found.wrong["b.heic"] == "is a HEIC photo, which no gateway takes; export it as JPEG"
    assert found.wrong["cut.jpg"].startswith("is cut off or damaged")
    assert found.wrong["gone.jpg"] == "there is no such file"
    assert found.wrong["flat.png"].startswith("has no alpha channel")


async def test_known_files_are_not_read_again(tmp_path: Path, store: InputStore, reads: list[str]) -> None:
    for name in "abc":
        photo(tmp_path, f"{name}.jpg", encoded(picture(seed=ord(name))))
    uses = [InputUse(f"{name}.jpg", ONE) for name in "abc"]
    first = await look(store, *uses)
    assert sorted(reads) == ["a.jpg", "b.jpg", "c.jpg"]
    reads.clear()
    assert (await look(store, *uses, known=first)).files == first.files
    assert reads == []
    photo(tmp_path, "b.jpg", encoded(picture(seed=7)))
    os.utime(tmp_path / "job/c.jpg", ns=(1, 1))
    second = await look(store, *uses, known=first)
    assert sorted(reads) == ["b.jpg", "c.jpg"]
    assert second.files["c.jpg"].sha256 == first.files["c.jpg"].sha256
    assert second.files["c.jpg"].changed == 1
    assert second.files["b.jpg"].sha256 != first.files["b.jpg"].sha256


async def test_known_reference_that_becomes_a_mask_is_looked_at_as_one(
    tmp_path: Path, store: InputStore, reads: list[str]
) -> None:
    photo(tmp_path, "a.png", encoded(picture(), "PNG"))
    first = await look(store, InputUse("a.png", ONE))
    second = await look(store, InputUse("a.png", ONE, mask=True), known=first)
    assert "has no alpha channel" in second.wrong["a.png"]
    photo(tmp_path, "m.png", encoded(mask(), "PNG"))
    third = await look(store, InputUse("m.png", mask=True))
    reads.clear()
    await look(store, InputUse("m.png", mask=True), known=third)
    assert reads == []


async def test_same_content_twice_is_prepared_once(
    tmp_path: Path, store: InputStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "b.png"):
        photo(tmp_path, name, encoded(noise(900, 900), "PNG"))
    await look(store, InputUse("a.png", ONE))
    monkeypatch.setattr(shrink, "fit", None)
    found = await look(store, InputUse("b.png", ONE))
    assert set(found.files) == {"b.png"}
    assert len(cached(tmp_path)) == 1


async def test_file_that_is_written_to_is_not_taken(
    tmp_path: Path, store: InputStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path)
    real = os.fstat

    def moving(fd: int) -> object:
        found = real(fd)
        with (tmp_path / "job/a.jpg").open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr("batchgen.store.inputs.user_file.os.fstat", moving)
    found = await look(store, InputUse("a.jpg", ONE))
    assert found.wrong["a.jpg"] == "changed while it was read; start again when nothing writes to it"


async def test_too_large_a_file_is_refused_unread(tmp_path: Path, store: InputStore) -> None:
    photo(tmp_path)
    os.truncate(tmp_path / "job/a.jpg", 100_000_001)
    assert "100 MB are the most" in (await look(store, InputUse("a.jpg", ONE))).wrong["a.jpg"]


async def test_full_disk_stops_the_looking(tmp_path: Path, store: InputStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        photo(tmp_path, f"{number}.jpg", encoded(picture(seed=number)))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies_module, "write_all", full)
    with pytest.raises(NoRoom):
        await look(store, *(InputUse(f"{number}.jpg", ONE) for number in range(20)))
    store.close()  # what had begun has ended
    assert cached(tmp_path) == []


async def test_every_file_is_told_of(tmp_path: Path, store: InputStore) -> None:
    photo(tmp_path)
    uses = [InputUse("a.jpg", ONE), InputUse("gone.jpg", ONE)]
    told = {looked.place: looked.wrong async for looked in store.examine_inputs(uses, [], None)}
    assert (told["a.jpg"], "gone.jpg" in told) == ("", True)


# --- preparing


async def test_calls_use_the_copy_and_nobody_reads_the_reference(
    tmp_path: Path, store: InputStore, reads: list[str]
) -> None:
    data = encoded(noise(1300, 1300), "PNG")
    photo(tmp_path, "a.png", data)
    looked = await look(store, InputUse("a.png", ONE))
    reads.clear()
    (tmp_path / "job/a.png").unlink()  # not even needed
    prepared = await store.prepare(Inputs((image_of(looked, "a.png"), InputImage("https://x.example/b.jpg"))), LIMITS)
    first, second = prepared.references
    assert (first.name, first.media, first.width, first.height) == ("reference-1.jpg", "image/jpeg", 1300, 1300)
    assert first.file is not None
    sent = Path(first.file.path).read_bytes()
    assert (first.file.size, first.file.sha256) == (len(sent), sha256(sent).hexdigest())
    assert Path(first.file.path).is_absolute()
    assert opened(sent).size == (1300, 1300)
    assert (second.name, second.media, second.url, second.file) == ("reference-2", "", "https://x.example/b.jpg", None)
    assert prepared.mask is None
    assert reads == []


async def test_another_run_uses_the_same_copies(tmp_path: Path, store: InputStore, reads: list[str]) -> None:
    photo(tmp_path, "a.png", encoded(noise(900, 900), "PNG"))
    photo(tmp_path, "r.png", encoded(picture(), "PNG"))
    photo(tmp_path, "m.png", encoded(mask(), "PNG"))
    uses = (InputUse("a.png", ONE), InputUse("r.png", exact=True), InputUse("m.png", mask=True))
    looked = await look(store, *uses)
    plain = Inputs((image_of(looked, "a.png"),))
    masked = Inputs((image_of(looked, "r.png"),), image_of(looked, "m.png"))
    before = [await store.prepare(each, LIMITS) for each in (plain, masked)]
    assert before[1].mask is not None
    assert (before[1].mask.name, before[1].mask.media) == ("mask.png", "image/png")
    assert before[1].references[0].name == "reference-1.png"
    reads.clear()
    again = new_store(tmp_path)
    try:
        assert (await look(again, *uses, known=looked)).files == looked.files
        assert [await again.prepare(each, LIMITS) for each in (plain, masked)] == before
    finally:
        again.close()
    assert reads == []


async def test_missing_copy_is_made_once_for_many_calls(tmp_path: Path, store: InputStore, reads: list[str]) -> None:
    photo(tmp_path, "a.png", encoded(noise(900, 900), "PNG"))
    looked = await look(store, InputUse("a.png", ONE), keep=None)
    reads.clear()
    inputs = Inputs((image_of(looked, "a.png"),))
    found = await asyncio.gather(*(store.prepare(inputs, LIMITS) for _ in range(32)))
    assert reads == ["a.png"]
    assert found == [found[0]] * 32
    cached(tmp_path)[0].unlink()
    await store.prepare(inputs, LIMITS)  # somebody tidied up while it runs
    await store.prepare(inputs, LIMITS)
    await store.prepare(inputs, SMALL)  # a route that takes less
    assert reads == ["a.png"] * 3
    os.truncate(cached(tmp_path)[0], 100)
    assert await store.prepare(inputs, LIMITS) == found[0]
    assert reads == ["a.png"] * 4
    assert [path.name.split("-")[1] for path in cached(tmp_path)] == ["1500000.jpg", "90000.jpg"]


async def test_call_that_is_given_up_leaves_the_others_their_copy(tmp_path: Path, store: InputStore) -> None:
    photo(tmp_path, "a.png", encoded(noise(900, 900), "PNG"))
    looked = await look(store, InputUse("a.png", ONE), keep=None)
    inputs = Inputs((image_of(looked, "a.png"),))
    first, second = (asyncio.create_task(store.prepare(inputs, LIMITS)) for _ in range(2))
    while not store._making:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).references[0].file is not None
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_changed_file_is_not_sent_for_the_recorded_one(tmp_path: Path, store: InputStore) -> None:
    photo(tmp_path)
    looked = await look(store, InputUse("a.jpg", ONE), keep=None)
    photo(tmp_path, data=encoded(picture(seed=8)))
    inputs = Inputs((image_of(looked, "a.jpg"),))
    with pytest.raises(StoreError, match=r"^a.jpg has changed since the plan was recorded; run again$"):
        await store.prepare(inputs, LIMITS)
    (tmp_path / "job/a.jpg").unlink()
    with pytest.raises(StoreError, match=r"^a.jpg: there is no such file"):
        await store.prepare(inputs, LIMITS)
    photo(tmp_path)
    assert (await store.prepare(inputs, LIMITS)).references[0].file is not None
    assert cached(tmp_path)


@pytest.mark.parametrize("damage", [b"", b"\0" * 5000, None])
async def test_copy_that_a_power_failure_left_half_is_made_anew(
    tmp_path: Path, store: InputStore, damage: bytes | None
) -> None:
    data = photo(tmp_path)
    looked = await look(store, InputUse("a.jpg", ONE))
    (copy,) = cached(tmp_path)
    copy.write_bytes(data[:-100] + bytes(100) if damage is None else damage)
    again = new_store(tmp_path)
    try:
        prepared = await again.prepare(Inputs((image_of(looked, "a.jpg"),)), LIMITS)
    finally:
        again.close()
    assert copy.read_bytes() == data
    assert prepared.references[0].file is not None
    assert prepared.references[0].file.sha256 == sha256(data).hexdigest()


async def test_many_references_share_what_all_may_take(tmp_path: Path, store: InputStore, reads: list[str]) -> None:
    names = [f"{number}.png" for number in range(8)]
    for number, name in enumerate(names):
        photo(tmp_path, name, encoded(noise(1000, 1000, seed=number), "PNG"))
    looked = await look(store, *(InputUse(name, frozenset({8})) for name in names))
    reads.clear()
    inputs = Inputs(tuple(image_of(looked, name) for name in names))
    prepared = await store.prepare(inputs, LIMITS)
    assert sum(each.file.size for each in prepared.references if each.file) <= LIMITS.total_bytes
    assert [each.name for each in prepared.references] == [f"reference-{number}.jpg" for number in range(1, 9)]
    assert reads == []


async def test_nothing_is_prepared_for_nothing(tmp_path: Path, store: InputStore) -> None:
    prepared = await store.prepare(Inputs(), LIMITS)
    assert (prepared.references, prepared.mask) == ((), None)
    only = await store.prepare(Inputs((InputImage("https://x.example/a"),), InputImage("https://x.example/m")), LIMITS)
    assert only.mask is not None
    assert (only.mask.name, only.mask.url) == ("mask", "https://x.example/m")
    assert not (tmp_path / "out").exists()


async def test_what_was_being_written_is_tidied_away(tmp_path: Path, store: InputStore) -> None:
    save(tmp_path / "out/.batchgen/inputs/77-3.tmp", b"half")
    photo(tmp_path)
    await look(store, InputUse("a.jpg", ONE))
    assert [path.suffix for path in cached(tmp_path)] == [".jpg"]


async def test_tidying_the_spool_leaves_copies_alone(tmp_path: Path, store: InputStore) -> None:
    photo(tmp_path)
    await look(store, InputUse("a.jpg", ONE))
    with Folder.open(tmp_path / "out/.batchgen") as spool:
        assert sweep(spool, set()) == []
    assert len(cached(tmp_path)) == 1


async def test_budget_lets_in_what_fits_in_order_and_a_large_one_alone() -> None:
    budget, inside, most = PixelBudget(10), 0, 0
    order: list[int] = []

    async def work(number: int, units: int) -> None:
        nonlocal inside, most
        async with budget.hold(units):
            order.append(number)
            inside += min(units, 10)
            most = max(most, inside)
            await asyncio.sleep(0.002)
            inside -= min(units, 10)

    await asyncio.gather(*(work(number, units) for number, units in enumerate([4, 4, 25, 1, 9, 3, 3, 3])))
    assert order == list(range(8))
    assert most == 10


async def test_person_is_told_how_far_the_looking_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("A", "B", "C"):
        save(tmp_path / f"photos/{name}.jpg", encoded(picture(seed=ord(name))))
    text = HEAD + 'prompts: [{from: p.csv, id: "{{ sku }}", text: x, references: ["photos/{{ sku }}.jpg"]}]\n'
    plan, made = planned(tmp_path, text, p_csv="sku\nA\nB\nC\n"), InputStore(tmp_path, tmp_path / "cache")
    await look_at_inputs(plan, made, [], None, told_now_and_then)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("batchgen.cli.output._EVERY", 0.0)
    await look_at_inputs(plan, made, [], None, told_now_and_then)
    assert "looked at 3 of 3 reference files\n" in capsys.readouterr().err
    assert [prompt.inputs.references[0].width for prompt in plan.prompts()] == [640] * 3
    made.close()


async def test_what_is_decoded_at_the_same_time_is_bounded(
    tmp_path: Path, store: InputStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store._pixels = PixelBudget(1)
    inside, most, real = 0, 0, shrink.fit

    def counted(*args: Any) -> Any:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        return real(*args)

    monkeypatch.setattr(shrink, "fit", counted)
    for number in range(8):
        photo(tmp_path, f"{number}.jpg", encoded(picture(seed=number)))
    found = await look(store, *(InputUse(f"{number}.jpg", ONE) for number in range(8)), keep=LIMITS)
    assert (len(found.files), most) == (8, 1)
    both = [Inputs((image_of(found, f"{number}.jpg"),)) for number in range(8)]
    await asyncio.gather(*(store.prepare(each, SMALL) for each in both))
    assert most == 1


# --- memory


_MEASURE = """
import asyncio, re, sys
from pathlib import Path
from batchgen.contracts.contract import References
from batchgen.domain.inputs import InputUse
from batchgen.store.inputs.input_store import InputStore
import batchgen.app.session

async def main():
    folder = Path(sys.argv[1])
    store = InputStore(folder, folder / "cache")
    names = sorted(path.name for path in folder.glob("*.*"))
    uses = [InputUse(name, frozenset({1})) for name in names]
    found = [looked async for looked in store.examine_inputs(uses, [], References())]
    store.close()
    assert not any(looked.wrong for looked in found), found
    peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())  # getrusage counts who started us
    print(len(found), int(peak[1]) // 1024)

asyncio.run(main())
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="tells peaks of memory on Linux")
def test_memory_stays_bounded_over_many_large_photos(tmp_path: Path) -> None:
    """60 photos of 12 megapixels, and some of 24 and of other kinds: the worst of them alone."""
    rough = noise(250, 188).resize((4000, 3000))
    data = encoded(rough, quality=80)
    assert len(data) > 1_500_000
    heavy = [
        ("large.jpg", encoded(rough.resize((6000, 4000)), quality=80)),
        ("progressive.jpg", encoded(rough, quality=80, progressive=True)),
        ("cmyk.jpg", encoded(rough.convert("CMYK"), quality=80)),
        ("large.png", encoded(rough, "PNG", compress_level=1)),
    ]
    for number in range(60):
        (tmp_path / f"{number}.jpg").write_bytes(data + bytes([number]) + b"\xff\xd9")
    for name, each in heavy:
        (tmp_path / name).write_bytes(each)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path)], capture_output=True, text=True, timeout=280, check=False
    )
    shutil.rmtree(tmp_path)
    assert done.returncode == 0, done.stderr
    looked, peak = map(int, done.stdout.split())
    assert looked == 64
    assert peak < 250, f"{peak} MB"


# --- commands


JOB = """
prompts:
  - from: products.csv
    id: "{{ sku }}"
    text: "Photo of {{ name }}"
    references: ["photos/{{ sku }}.jpg"]
sizes: ["1:1@1K"]
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    made = Shop(tmp_path)
    made.catalog(3)
    for number in range(1, 4):
        save(tmp_path / f"photos/SKU-{number:04d}.jpg", encoded(picture(seed=number)))
    made.manifest(JOB, route="apiyi/gpt-image-2-vip")
    return made


def test_check_tells_bad_photos_with_row_and_key(shop: Shop) -> None:
    assert "ok, 3 prompts" in shop.run("check", "job.yaml").stdout
    save(shop.folder / "photos/SKU-0002.jpg", b"\0\0\0\x18ftypheic" + bytes(100))
    save(shop.folder / "photos/SKU-0003.jpg", encoded(picture())[:-4000])
    found = shop.run("check", "job.yaml", code=2).stdout.splitlines()
    assert found[0] == (
        "products.csv:3: prompts.0.references.0: photos/SKU-0002.jpg: is a HEIC photo, which no gateway takes; "
        "export it as JPEG"
    )
    assert found[1].startswith("products.csv:4: prompts.0.references.0: photos/SKU-0003.jpg: is cut off or damaged")
    assert not (shop.folder / "out").exists()
    (shop.folder / "photos/SKU-0001.jpg").unlink()
    assert "photos/SKU-0001.jpg: there is no such file" in shop.run("plan", "job.yaml", code=2).stderr


def test_plan_counts_what_references_ask_and_writes_nothing(shop: Shop) -> None:
    assert shop.json("plan", "job.yaml")["new"] == 3
    assert not (shop.folder / "out").exists()
    assert not (shop.folder / "batchgen.db").exists()


def test_one_changed_photo_buys_one_row_and_a_renamed_one_nothing(shop: Shop) -> None:
    with gateway(shop):
        job = shop.manifest(JOB)
        shop.run("run", job)
        assert shop.states() == {"completed": 3}
        assert len(shop.bill()) == 3
        assert len(list((shop.folder / "out/job/.batchgen/inputs").iterdir())) == 3
        assert "0 calls" in shop.run("run", job).stdout

        save(shop.folder / "photos/SKU-0002.jpg", encoded(picture(seed=22)))
        plan = shop.json("plan", job)
        assert (plan["changed"], plan["unchanged"], plan["new"]) == (1, 2, 0)
        shop.run("run", job)
        assert len(shop.bill()) == 4
        assert len(list((shop.folder / "out/job/SKU-0002").glob("*.png"))) == 2

        (shop.folder / "photos").rename(shop.folder / "pictures")
        shop.manifest(JOB.replace("photos/", "pictures/"))
        plan = shop.json("plan", job)
        assert (plan["changed"], plan["unchanged"], plan["calls"]) == (0, 3, 0)
        shop.run("run", job)
        assert len(shop.bill()) == 4
        shop.run("verify")


def test_run_tells_bad_photos_before_anything_is_recorded_or_bought(shop: Shop) -> None:
    save(shop.folder / "photos/SKU-0003.jpg", encoded(picture())[:-4000])
    done = shop.run("run", "job.yaml", "--rehearse", code=2)
    assert "products.csv:4: prompts.0.references.0: photos/SKU-0003.jpg: is cut off or damaged" in done.stderr
    assert shop.query("SELECT count(*) FROM task", "rehearsal/batchgen.db") == [(0,)]


def test_photos_go_to_the_gateway_in_a_rehearsal(shop: Shop) -> None:
    shop.run("run", "job.yaml", "--rehearse")
    assert shop.states("rehearsal/batchgen.db") == {"completed": 3}
    assert not (shop.folder / "out").exists()
