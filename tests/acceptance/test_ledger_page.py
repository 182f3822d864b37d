"""Every question of `docs/ledger.md` is put to a rehearsed ledger as it stands there, and answered."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from batchgen.ledger.tables import metadata
from tests.support.ledger import spoil
from tests.support.shop import Shop

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text(encoding="utf-8")
QUESTIONS = {found[0].strip(): found[1] for found in re.findall(r"\n([^\n]+\?)\n\n```sql\n(.*?)```", PAGE, re.DOTALL)}
ROUTE = "apiyi/gpt-image-2-vip"
JOB = f"""
version: 1
name: mugs
route: {ROUTE}
prompts:
  - {{id: plain, text: a mug, count: 2}}
  - {{id: changed, text: TEXT}}
  - {{id: refused, text: a forbidden mug}}
  - {{id: lost, text: "a mug [[sim:drop]]"}}
sizes: ["1:1@1K"]
limits: {{attempts: 1, unknown: 0, budget: 5.00}}
"""
PRICE = 0.03


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images, one that is outdated because its new text is refused, one that failed and one that was lost."""
    shop = Shop(tmp_path_factory.mktemp("ledger"))
    for text in ("a jug", "a forbidden jug"):
        shop.write("mugs.yaml", JOB.replace("TEXT", text))
        shop.run("run", "mugs.yaml", "--rehearse", code=3)
    path = shop.folder / "rehearsal" / "batchgen.db"
    spoil(path, "UPDATE image SET sha256 = (SELECT sha256 FROM image WHERE id = 1) WHERE id = 2")
    return path


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def test_page_asks_ten_questions() -> None:
    assert len(QUESTIONS) == len(re.findall("```sql", PAGE)) == 10


@pytest.mark.parametrize("question", QUESTIONS)
def test_question_is_answered(ledger: Path, question: str) -> None:
    sql = QUESTIONS[question].replace("'2026-11-27", "'2000-11-27").replace("'2026-11-28", "'2999-11-28")
    found = ask(ledger, sql)
    month = datetime.now().strftime("%Y-%m")  # noqa: DTZ005  local, as the months are
    attempts, billed = 6, round(5 * PRICE, 6)  # this gateway charges refusals
    answers: dict[str, list[tuple[Any, ...]]] = {
        "What did last night cost?": [("mugs", attempts, billed, PRICE)],
        "What does each route cost?": [(ROUTE, attempts, billed, PRICE)],
        "What was spent in each month?": [(month, attempts, billed, PRICE)],
    }
    names = {
        "And each SKU?": ["plain", "changed", "lost", "refused"],
        "What failed, and why?": ["changed", "refused", "lost"],
        "Which images are outdated?": ["changed"],
        "Which lost answers are open?": ["lost"],
        "Which are the dearest ten images?": ["plain", "plain", "changed", "refused", "lost"],
        "Which images were delivered between two times?": ["plain", "plain", "changed"],
    }
    if question in answers:
        assert found == answers[question]
    elif question in names:
        assert sorted(row[1] for row in found) == sorted(names[question])
    else:
        assert [(files, them.count("\n")) for _, files, them in found] == [(2, 1)]
        assert all(Path(file).name.endswith(".png") for file in found[0][2].split("\n"))


def test_images_says_all_of_an_image_without_a_join(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as connection:
        connection.row_factory = sqlite3.Row
        rows = {row["id"]: dict(row) for row in connection.execute("SELECT * FROM images WHERE sample = 1")}
    changed, lost = rows["changed"], rows["lost"]
    assert (changed["state"], changed["outdated"], changed["revision"], changed["calls"]) == ("completed", 1, 1, 2)
    assert (changed["billed_usd"], changed["maybe_usd"], changed["route"]) == (2 * PRICE, 0.0, ROUTE)
    assert changed["text"] == "a forbidden jug"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", changed["delivered_at"])
    assert (Path(changed["folder"]) / changed["file"]).stat().st_size == changed["bytes"]
    assert changed["request_id"]
    assert (lost["state"], lost["outdated"], lost["file"], lost["maybe_usd"]) == ("parked", 0, None, PRICE)


def test_image_that_is_no_longer_wanted_is_left_out_and_its_calls_stay(ledger: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(ledger.read_bytes())
    spoil(copy, "UPDATE task SET wanted = 0 WHERE id = 1")
    assert ask(copy, "SELECT count(*) FROM images") == [(4,)]
    assert ask(copy, "SELECT count(*) FROM spending") == [(6,)]


def test_every_table_and_column_is_told(ledger: Path) -> None:
    for table in metadata.tables:
        assert f"`{table}`" in PAGE.partition("## Tables")[2]
    for view in ("images", "spending"):
        part = PAGE.partition(f"`{view}` has a row")[2].partition("has a row")[0]
        for _, name, *_ in ask(ledger, f"PRAGMA table_info({view})"):
            assert f"`{name}`" in part, (view, name)
