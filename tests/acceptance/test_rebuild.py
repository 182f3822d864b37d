"""A ledger that is lost, or comes back from a backup, is brought up to what lies in the output folder: no second call."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.shop import Shop, gateway

JOB = """
prompts:
  - from: products.csv
    id: "{{ sku }}"
    text: "TEXT of {{ name }}"
sizes: ["1:1@1K"]
"""
PRICE = 30_000


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def job(shop: Shop, rows: int, text: str = "Photo", *, name: str = "job", first: int = 1) -> str:
    """A job of so many images, into `out`."""
    shop.catalog(rows, f"{name}.csv", first)
    wanted = JOB.replace("TEXT", text).replace("products", name)
    path = shop.manifest(f"{wanted}output: {{folder: out}}\n", name=f"{name}.yaml")
    file = shop.folder / path
    file.write_text(file.read_text().replace("name: job\n", f"name: {name}\n"))
    return path


def lose(shop: Shop, db: str = "batchgen.db") -> None:
    for path in shop.folder.glob(f"{db}*"):
        path.unlink()


def books(shop: Shop, db: str = "batchgen.db") -> dict[str, list[Any]]:
    """What a ledger knows of delivered images, and the sums; without its own numbers of tasks and prompts."""
    of = "JOIN task t ON t.id = {0}.task_id JOIN prompt p ON p.id = t.prompt_id JOIN job j ON j.id = t.job_id"
    return {
        "tasks": shop.query(
            "SELECT j.name, p.key, p.text, p.path, v.size, v.sample, t.work, t.state, t.wanted, t.revision, t.own, "
            "t.shared, t.quality, t.images, t.image_id, t.calls, t.last_revision FROM task t "
            "JOIN prompt p ON p.id = t.prompt_id JOIN variant v ON v.id = t.variant_id JOIN job j ON j.id = t.job_id "
            "ORDER BY 1, 2, 5, 6",
            db,
        ),
        "images": shop.query(
            "SELECT j.name, p.key, i.id, i.revision, i.path, i.sha256, i.bytes, i.width, i.height, i.format, i.flags, "
            f"i.own, i.shared FROM image i {of.format('i')} ORDER BY i.id",
            db,
        ),
        "attempts": shop.query(
            "SELECT j.name, p.key, a.id, a.revision, a.charge, a.outcome, a.reserved, a.billed, a.provider, a.route, "
            "a.group_name, a.model, a.endpoint, a.base_url, a.size_asked, a.size_sent, a.quality, a.request_hash, "
            "a.billing_unit, a.key_fingerprint, a.reserved_at, a.status, a.request_ids "
            f"FROM attempt a {of.format('a')} WHERE a.outcome = 'delivered' ORDER BY a.id",
            db,
        ),
        "sums": shop.query("SELECT name, billed, unknown, reserved, prompts, tasks FROM job ORDER BY name", db),
    }


def test_lost_ledger_costs_no_image_and_no_cent(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 30)
        shop.run("run", path, "--yes", "--limit", "20", code=4)
        before = books(shop)
        lose(shop)
        refused = shop.run("run", path, "--yes", code=2).stderr
        assert f"batchgen rebuild {shop.folder / path} --from {shop.folder / 'out'}" in refused
        assert not (shop.folder / "batchgen.db").exists()
        assert "attempt 20 is there" in shop.run("plan", path, code=2).stderr
        said = shop.run("rebuild", path, "--from", "out").stdout
        assert "job: 20 images entered" in said
        assert books(shop) == before
        assert set(shop.query("SELECT price_basis FROM attempt")) == {("told by images.jsonl",)}
        again = shop.json("rebuild", path, "--from", "out")
        assert (again["images"], again["known"], again["not_entered"]) == (0, 20, [])
        assert books(shop) == before
        assert len(shop.bill()) == 20
        shop.run("run", path, "--yes")
        assert len(shop.bill()) == 30
        assert shop.query("SELECT billed, unknown, reserved FROM job") == [(30 * PRICE, 0, 0)]
        shop.run("verify")


def test_ledger_is_rebuilt_by_a_name_alone_and_the_manifest_brings_the_rest(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 9)
        shop.run("run", path, "--yes", "--limit", "6", code=4)
        lose(shop)
        assert "it tells of: job" in shop.run("rebuild", "jib", "--from", "out", code=2).stderr
        shop.run("rebuild", "job", "--from", "out")
        assert shop.states() == {"completed": 6}
        shop.run("verify")
        shop.run("run", path, "--yes")
        assert len(shop.bill()) == 9
        assert shop.states() == {"completed": 9}
        assert {text for (text,) in shop.query("SELECT text FROM prompt")} == {
            f"Photo of thing {n}" for n in range(1, 10)
        }
        shop.run("verify")


def test_ledger_from_a_backup_is_refused_and_then_brought_up_to_date(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 12)
        shop.run("run", path, "--yes", "--limit", "4", code=4)
        shutil.copy(shop.folder / "batchgen.db", shop.folder / "backup.db")
        shop.run("run", path, "--yes", "--limit", "5", code=4)
        job(shop, 12, "Picture")  # the first four are bought anew, too
        shop.run("run", path, "--yes", "--only", "SKU-0001", code=4)
        before = books(shop)
        lose(shop)
        shutil.copy(shop.folder / "backup.db", shop.folder / "batchgen.db")
        calls = len(shop.bill())
        assert "is older than" in shop.run("run", path, "--yes", code=2).stderr
        assert "is older than" in shop.run("plan", path, code=2).stderr
        assert len(shop.bill()) == calls
        assert "6 images entered" in shop.run("rebuild", path, "--from", "out").stdout
        assert books(shop) == before
        shop.run("run", path, "--yes", "--rebuy")
        assert len(shop.bill()) == 10 + 11
        shop.run("verify")


def test_two_jobs_that_share_an_output_folder_are_rebuilt_one_after_the_other(shop: Shop) -> None:
    with gateway(shop):
        spring, autumn = job(shop, 4, name="spring"), job(shop, 4, name="autumn", first=100)
        for each in (spring, autumn):
            shop.run("run", each, "--yes", "--limit", "3", code=4)
        before = books(shop)
        lose(shop)
        said = shop.run("rebuild", spring, "--from", "out").stdout
        assert "3 of another job, autumn: batchgen rebuild autumn --from" in said
        assert "rebuild autumn --from" in shop.run("run", spring, "--yes", code=2).stderr
        for each in (autumn, spring):
            shop.run("rebuild", each, "--from", "out")
        assert books(shop) == before
        for each in (spring, autumn):
            shop.run("run", each, "--yes")
        assert len(shop.bill()) == 8
        shop.run("verify")


def test_all_revisions_are_entered_and_an_earlier_image_still_serves_again(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 3)
        shop.run("run", path, "--yes")
        job(shop, 3, "Picture")
        shop.run("run", path, "--yes", "--rebuy")
        before = books(shop)
        assert len(before["images"]) == 6
        lose(shop)
        shop.run("rebuild", path, "--from", "out")
        assert books(shop) == before
        job(shop, 3)
        shop.run("run", path, "--yes")
        assert len(shop.bill()) == 6
        assert shop.query("SELECT DISTINCT revision FROM task") == [(1,)]
        shop.run("verify")
        before = books(shop)
        lose(shop)
        shop.run("rebuild", path, "--from", "out")
        assert books(shop) == before


def test_images_that_came_smaller_or_over_another_route_are_what_they_were(shop: Shop) -> None:
    first, second = "apiyi/gpt-image-2-vip", "laozhang/gpt-image-2-vip"
    text = (
        f"version: 1\nname: job\nroute: {first}\nfallback: [{second}]\n"
        "prompts:\n  - {id: mug, text: a red mug, count: 3}\nsizes: ['16:9@4K', '1:1@2K']\n"
    )
    for more, flag in (("", "rerouted"), ("downgrade: true\n", "downgraded")):
        shop.write("job.yaml", text + more)
        shop.run("run", "job.yaml", "--rehearse", "--fault", "pictures=plain", "--fault", f"{first}:p500_4k=1")
        before = books(shop, "rehearsal/batchgen.db")
        assert flag in {row[10] for row in before["images"]}
        lose(shop, "rehearsal/batchgen.db")
        shop.run("rebuild", "job.yaml", "--from", "rehearsal/job", "--rehearse")
        after = books(shop, "rehearsal/batchgen.db")
        assert (after["images"], after["attempts"]) == (before["images"], before["attempts"])
        shop.run("verify", "--rehearse")
        calls = len(shop.bill("rehearsal/bill.jsonl"))
        shop.run("run", "job.yaml", "--rehearse")
        assert len(shop.bill("rehearsal/bill.jsonl")) == calls
        shutil.rmtree(shop.folder / "rehearsal")


def test_what_cannot_be_entered_is_listed_and_bought_again(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 6)
        shop.run("run", path, "--yes")
        index = shop.folder / "out" / "images.jsonl"
        lines = index.read_bytes().splitlines(keepends=True)
        gone, damaged, torn = (json.loads(line) for line in (lines[0], lines[1], lines[5]))
        (shop.folder / "out" / gone["file"]).unlink()
        (shop.folder / "out" / damaged["file"]).write_bytes(b"\0" * damaged["bytes"])
        older = json.dumps({name: value for name, value in json.loads(lines[2]).items() if name != "own"}).encode()
        index.write_bytes(b"".join([*lines[:2], older + b"\n", b"not ours\n", *lines[3:5], lines[5][:-40]]))
        lose(shop)
        found = shop.run("rebuild", path, "--from", "out", "--json", code=3)
        said = {each["what"]: each["why"] for each in json.loads(found.stdout)["not_entered"]}
        assert json.loads(found.stdout)["images"] == 2
        assert "is gone" in said[f"{gone['key']}/1280x1280/1"]
        assert "not those that were bought" in said[f"{damaged['key']}/1280x1280/1"]
        assert "hash of what was asked" in said["line 3 of images.jsonl"]
        assert {"line 4 of images.jsonl", "line 7 of images.jsonl"} < set(said)
        assert shop.query("SELECT billed FROM job") == [(4 * PRICE,)]  # what is gone was paid all the same
        shop.run("run", path, "--yes")
        assert len(shop.bill()) == 6 + 4
        assert torn["key"] in {line["key"] for line in map(json.loads, index.read_text().splitlines()[4:])}


def test_index_that_is_deleted_is_written_anew_from_the_ledger(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 2)
        shop.run("run", path, "--yes")
        job(shop, 2, "Picture")
        shop.run("run", path, "--yes", "--rebuy")
        job(shop, 2)
        shop.run("run", path, "--yes")  # the first images serve again
        index = shop.folder / "out" / "images.jsonl"
        assert "move it away" in shop.run("rebuild", path, "--from", "out", "--index", code=2).stderr
        was = sorted(index.read_text().splitlines())
        before = books(shop)
        index.unlink()
        shop.run("run", path, "--yes")
        assert index.read_bytes() == b""
        index.unlink()
        assert shop.json("rebuild", path, "--from", "out", "--index")["lines"] == 6
        assert sorted(index.read_text().splitlines()) == was
        lose(shop)
        shop.run("rebuild", path, "--from", "out")
        assert books(shop) == before


def test_dry_run_says_the_same_and_writes_nothing(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 4)
        shop.run("run", path, "--yes")
        lose(shop)
        before = {each: each.stat().st_mtime_ns for each in shop.folder.rglob("*")}
        for name in (path, "job"):
            assert "job: 4 images would be entered" in shop.run("rebuild", name, "--from", "out", "--dry-run").stdout
        after = {each: each.stat().st_mtime_ns for each in shop.folder.rglob("*")}
        assert {each for each in after if "simulator" not in each.parts} == {
            each for each in before if "simulator" not in each.parts
        }


def test_folder_of_a_ledger_that_is_there_is_not_taken(shop: Shop) -> None:
    with gateway(shop):
        path = job(shop, 2)
        shop.run("run", path, "--yes")
        refused = shop.run("rebuild", path, "--from", "out", "--db", "other.db", code=2).stderr
        assert f"run with --db {shop.folder / 'batchgen.db'}" in refused
        assert not (shop.folder / "other.db").exists()
        assert "give that as --from" in shop.run("rebuild", path, "--from", ".", code=2).stderr
        assert "there is no folder" in shop.run("rebuild", path, "--from", "nowhere", code=2).stderr
