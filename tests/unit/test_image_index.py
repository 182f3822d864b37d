from __future__ import annotations

import json
import os
import resource
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.domain.errors import NoRoom, StoreError
from batchgen.domain.lifecycle import Charge
from batchgen.domain.output_image import Delivered, Image
from batchgen.store.layout import INDEX
from batchgen.store.output.image_index import ImageIndex
from tests.support.store import ORIGIN

IMAGE = Image("Größe/mug.png", "ab" * 32, 1234, 2048, 1152, "png")


def line(key: str = "MUG/01", charge: Charge = Charge.BILLED) -> Delivered:
    return Delivered(
        origin=replace(ORIGIN, key=key),
        image=IMAGE,
        flags=("downgraded",),
        attempt=57,
        request_ids=(("x-request-id", "req_1"), ("x-oneapi-request-id", "2")),
        charge=charge,
        billed=30_000,
        created=1_800_000_000.0,
    )


def lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(text) for text in (folder / INDEX).read_text("utf-8").splitlines()]


def test_index_has_one_line_per_image_with_all_there_is_to_say(tmp_path: Path) -> None:
    index = ImageIndex.open(tmp_path)
    index.add(line())
    index.add(line("two", Charge.UNKNOWN))
    index.close()
    first, second = lines(tmp_path)
    assert first == {
        "key": "MUG/01",
        "size": "2048x1152",
        "sample": 1,
        "revision": 2,
        "file": "Größe/mug.png",
        "sha256": "ab" * 32,
        "bytes": 1234,
        "width": 2048,
        "height": 1152,
        "format": "png",
        "route": "apiyi/gpt-image-2-vip",
        "model": "gpt-image-2",
        "attempt": 57,
        "request_id": "req_1",
        "cost": "0.03",
        "flags": ["downgraded"],
        "created": "2027-01-15T08:00:00Z",
        "charge": "billed",
        "billed_micros": 30_000,
        "request_ids": [["x-request-id", "req_1"], ["x-oneapi-request-id", "2"]],
        "job": "spring",
        "path": "Größe/{size}-{sample}",
        "own": "7fffffffffffffff",
        "shared": "0020000000000001",
        "images": 0,
        "provider": "apiyi",
        "group": "",
        "endpoint": "generations",
        "base_url": "https://api.example.com/v1",
        "size_sent": "2048x1152",
        "quality": "",
        "request_hash": "c" * 64,
        "billing_unit": "call",
        "key_fingerprint": "0badcafe",
        "reserved_micros": 30_000,
        "reserved_at": 1_799_999_990.25,
    }
    assert (second["key"], second["cost"]) == ("two", None)


def test_index_goes_on_when_opened_again(tmp_path: Path) -> None:
    for key in ("one", "two"):
        index = ImageIndex.open(tmp_path)
        index.add(line(key))
        index.close()
    assert [entry["key"] for entry in lines(tmp_path)] == ["one", "two"]


def test_index_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    ImageIndex.open(tmp_path).close()
    assert (tmp_path / INDEX).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key", ["line\nbreak", "\u2028", "emoji 🎈", "\ud800 alone", '"quoted"', "\x1b[31m"])
def test_index_line_is_one_line_of_json_when_the_key_is_odd(tmp_path: Path, key: str) -> None:
    index = ImageIndex.open(tmp_path)
    index.add(line(key))
    index.close()
    data = (tmp_path / INDEX).read_bytes()
    assert data.count(b"\n") == 1
    assert json.loads(data)["key"] == key


def test_index_loses_only_the_torn_line_when_killed_while_writing(tmp_path: Path) -> None:
    index = ImageIndex.open(tmp_path)
    index.add(line("one"))
    index.add(line("two"))
    index.close()
    whole = (tmp_path / INDEX).read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole)):
        (tmp_path / INDEX).write_bytes(whole[:length])
        index = ImageIndex.open(tmp_path)
        index.add(line("three"))
        index.close()
        assert [entry["key"] for entry in lines(tmp_path)] == ["one", "three"], length


@pytest.mark.parametrize("data", [b"my notes", b"one\ntwo", b"x" * 100_000, b"{}"])
def test_index_leaves_a_file_alone_when_it_is_not_ours(tmp_path: Path, data: bytes) -> None:
    (tmp_path / INDEX).write_bytes(data)
    with pytest.raises(StoreError, match="not an index"):
        ImageIndex.open(tmp_path)
    assert (tmp_path / INDEX).read_bytes() == data


def test_index_is_refused_when_it_is_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    (tmp_path / INDEX).symlink_to(elsewhere)
    with pytest.raises(StoreError, match=r"images\.jsonl"):
        ImageIndex.open(tmp_path)


def test_index_leaves_no_torn_line_when_the_disk_is_full(tmp_path: Path) -> None:
    index = ImageIndex.open(tmp_path)
    index.add(line("one"))
    size = os.stat(tmp_path / INDEX).st_size  # noqa: PTH116
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, hard))
    try:
        with pytest.raises(NoRoom, match="make room"):
            index.add(line("two"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    index.add(line("three"))
    index.close()
    assert [entry["key"] for entry in lines(tmp_path)] == ["one", "three"]


@pytest.mark.parametrize(
    "content",
    [
        b'{"key": "A-1", "name": "mug"}\n',
        b'{"key":"A-1"}\n{"key":"A-2"}\n',
        b'{"sku": "A-1"}\n',
        b"sku,name\n",
        b"\n",
        b"[" * 50_000 + b"\n",
        b'"key"\n',
        b"7\n",
    ],
)
def test_catalog_of_the_same_name_is_not_written_to(tmp_path: Path, content: bytes) -> None:
    (tmp_path / INDEX).write_bytes(content)
    with pytest.raises(StoreError, match="is not an index that batchgen wrote; move it away, or name another output"):
        ImageIndex.open(tmp_path)
    assert (tmp_path / INDEX).read_bytes() == content


def test_pipe_of_the_same_name_is_not_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / INDEX)
    with pytest.raises(StoreError, match="is not an index"):
        ImageIndex.open(tmp_path)


def test_index_of_an_earlier_run_is_gone_on_with(tmp_path: Path) -> None:
    for key in ("one", "two"):
        index = ImageIndex.open(tmp_path)
        index.add(line(key))
        index.close()
    assert [each["key"] for each in lines(tmp_path)] == ["one", "two"]
