"""`batchgen verify` finds whatever is done to files or books behind its back, and says where."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchgen.ledger.audit import Finding
from batchgen.report.proof import prove
from tests.chaos.promises import promise
from tests.support.shop import Shop, gateway

JOB = """
prompts:
  - {id: a, text: a mug}
  - {id: b, text: a jug}
  - {id: c, text: a cup}
  - {id: torn, text: "a mug [[sim:502,ok]]"}
  - {id: lost, text: "a mug [[sim:bad-image]]"}
  - {id: never, text: a forbidden mug}
sizes: ["1:1@1K"]
limits: {attempts: 3, unknown: 1, unknown_total: 99, budget: 5.00}
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job with images, a call that was tried again, one that was paid for nothing, and one that was refused."""
    shop = Shop(tmp_path_factory.mktemp("finished"))
    with gateway(shop):
        shop.run("run", shop.manifest(JOB), code=3)
    assert len(shop.images()) == 4
    return shop.folder


@pytest.fixture
def shop(finished: Path, tmp_path: Path) -> Shop:
    """A copy of it, which may be damaged."""
    folder = tmp_path / "shop"
    shutil.copytree(finished, folder)
    made = Shop(folder)
    edit(made, f"UPDATE job SET output = '{folder}/out/job'")
    return made


def edit(shop: Shop, *statements: str) -> None:
    """Change the books past every check of theirs, as a foreign program could."""
    with closing(sqlite3.connect(shop.folder / "batchgen.db")) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for each in statements:
            assert connection.execute(each).rowcount > 0
        connection.commit()


def findings(shop: Shop) -> list[Finding]:
    return prove(shop.folder / "batchgen.db", checksums=True).findings


def image(shop: Shop, name: str) -> Path:
    (found,) = (path for path in shop.images() if path.parent.name == name or path.name.startswith(f"{name}-"))
    return found


def flip(shop: Shop) -> None:
    data = bytearray(image(shop, "a").read_bytes())
    data[len(data) // 2] ^= 1
    image(shop, "a").write_bytes(data)


def swap(shop: Shop) -> None:
    one, other = image(shop, "a"), image(shop, "b")
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def replace_by(make: Callable[[Path], object]) -> Callable[[Shop], None]:
    def mutate(shop: Shop) -> None:
        path = image(shop, "a")
        path.unlink()
        make(path)

    return mutate


def sql(*statements: str) -> Callable[[Shop], None]:
    return lambda shop: edit(shop, *statements)


TASK_A = "(SELECT t.id FROM task t JOIN prompt p ON p.id = t.prompt_id WHERE p.key = 'a')"
TASK_NEVER = TASK_A.replace("'a'", "'never'")
TORN = f"FROM attempt WHERE task_id = {TASK_A.replace(chr(39) + 'a' + chr(39), chr(39) + 'torn' + chr(39))}"
GONE = "is gone"
BYTES = "its bytes are not those that were bought"
# what is done, and what must be said: where, and in which words
FILES: dict[str, tuple[Callable[[Shop], object], list[tuple[str, str]]]] = {
    "deleted": (lambda shop: image(shop, "a").unlink(), [("job: a", GONE)]),
    "truncated": (lambda shop: os.truncate(image(shop, "a"), 100), [("job: a", "100 bytes on disk")]),
    "flipped byte": (flip, [("job: a", BYTES)]),
    "swapped two images": (swap, [("job: a", "b"), ("job: b", "b")]),
    "added file": (lambda shop: shutil.copy(image(shop, "a"), shop.folder / "out/job/new.png"), [("new.png", "not in the books")]),
    "renamed": (lambda shop: image(shop, "a").rename(shop.folder / "out/job/z.png"), [("job: a", GONE), ("z.png", "not in the books")]),
    "emptied": (lambda shop: os.truncate(image(shop, "a"), 0), [("job: a", "0 bytes on disk")]),
    "longer by a byte": (lambda shop: os.truncate(image(shop, "a"), image(shop, "a").stat().st_size + 1), [("job: a", "bytes on disk")]),
    "a folder instead": (replace_by(Path.mkdir), [("job: a", "is a directory")]),
    "a pipe instead": (replace_by(os.mkfifo), [("job: a", "is not a regular file")]),
    "a dead link instead": (replace_by(lambda path: path.symlink_to("nowhere")), [("job: a", GONE)]),
    "the folder is gone": (lambda shop: shutil.rmtree(shop.folder / "out"), [("job: a", GONE), ("job: b", GONE)]),
}  # fmt: skip
ROWS: dict[str, tuple[Callable[[Shop], object], list[tuple[str, str]]]] = {
    "billed changed": (sql(f"UPDATE attempt SET billed = billed + 1 WHERE task_id = {TASK_A}"), [("job", "billed is")]),
    "attempt deleted": (sql(f"DELETE {TORN} AND charge = 'unknown'"), [("job torn/", "counts 2 calls"), ("job", "unknown is")]),
    "image row deleted": (sql(f"DELETE FROM image WHERE task_id = {TASK_A}"), [("job a/", "no image of revision 1"), ("a", "is not in the books")]),
    "task state changed": (sql(f"UPDATE task SET work = 'failed' WHERE id = {TASK_A}"), [("job a/", "but is failed")]),
    "sum changed": (sql("UPDATE job SET billed = billed - 30000"), [("job", "its attempts come to")]),
    "sha changed": (sql(f"UPDATE image SET sha256 = replace(sha256, 'a', 'b') || '' WHERE task_id = {TASK_A}", f"UPDATE image SET sha256 = '{'0' * 64}' WHERE task_id = {TASK_A}"), [("job: a", BYTES)]),
    "failed task said to be completed": (sql(f"UPDATE task SET work = 'completed' WHERE id = {TASK_NEVER}"), [("job never/", "no image of revision 1")]),
    "image of another attempt": (sql(f"UPDATE image SET attempt_id = (SELECT id {TORN} AND charge = 'unknown') WHERE task_id = {TASK_A}"), [("job a/", "not made for it")]),
    "image leads out": (sql(f"UPDATE image SET path = '../../products.csv' WHERE task_id = {TASK_A}"), [("products.csv", "not below the output folder")]),
    "image is absolute": (sql(f"UPDATE image SET path = '/etc/passwd' WHERE task_id = {TASK_A}"), [("/etc/passwd", "not below the output folder")]),
    "charge voided": (sql(f"UPDATE attempt SET charge = 'void' WHERE task_id = {TASK_A}"), [("job", "billed is"), ("", "ck_attempt_billed")]),
    "charge invented": (sql(f"UPDATE attempt SET charge = 'free' WHERE task_id = {TASK_A}"), [("", "ck_attempt_charge")]),
    "task deleted": (sql(f"DELETE FROM task WHERE id = {TASK_NEVER}"), [("", "refers to a row of task that is not there"), ("job", "tasks of its manifest")]),
    "prompt deleted": (sql("DELETE FROM prompt WHERE key = 'a'"), [("", "refers to a row of prompt")]),
    "calls changed": (sql(f"UPDATE task SET calls = 7 WHERE id = {TASK_A}"), [("job a/", "counts 7 calls")]),
    "task said to run": (sql(f"UPDATE task SET work = 'running', attempt_id = 999 WHERE id = {TASK_NEVER}"), [("job never/", "attempt 999")]),
}  # fmt: skip
TWELVE = [*list(FILES)[:6], *list(ROWS)[:6]]
ALL = {**FILES, **ROWS}


def test_what_nobody_touched_has_no_findings(shop: Shop) -> None:
    assert findings(shop) == []
    shop.run("verify")


@pytest.mark.parametrize("name", ALL)
def test_mutation_is_found_and_named(shop: Shop, name: str) -> None:
    mutate, expected = ALL[name]
    mutate(shop)
    found = findings(shop)
    for where, words in expected:
        assert any(where in each.where and words.lower() in each.detail.lower() for each in found), found


def test_twelve_mutations_are_told_on_the_command_line(finished: Path, tmp_path: Path) -> None:
    """Six done to files and six to rows, a command each time: exit 3, and the sentence that names it."""
    seen = 0
    for number, name in enumerate(TWELVE):
        copy = Shop(tmp_path / str(number))
        shutil.copytree(finished, copy.folder)
        edit(copy, f"UPDATE job SET output = '{copy.folder}/out/job'")
        mutate, expected = ALL[name]
        mutate(copy)
        said = copy.run("verify", code=3).stdout
        assert all(words.lower() in said.lower() for _, words in expected), (name, said)
        seen += 1
    promise(15, f"{seen} of {len(TWELVE)} mutations found and named")


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_damaged_ledger_is_never_called_sound(shop: Shop, part: float) -> None:
    path = shop.folder / "batchgen.db"
    data = bytearray(path.read_bytes())
    at = int(len(data) * part) // 4096 * 4096
    data[at : at + 4096] = b"\x5a" * 4096
    path.write_bytes(data)
    done = shop.run("verify", code=None)
    assert done.returncode in {1, 3}, done.stdout
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
