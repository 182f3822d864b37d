from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from batchgen.domain.clock import SystemClock, month_of
from batchgen.domain.errors import LedgerError
from batchgen.domain.lifecycle import Charge, TaskEvent
from batchgen.domain.model import Settlement
from batchgen.ledger import database, migrate
from batchgen.ledger.connect import empty_ledger, reading_engine, writing_engine
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.ledger.records import MonthRow
from batchgen.ledger.tables import HEAD, metadata
from tests.support.ledger import PRICE, booking, deliver, plan, reservation, spoil


@pytest.fixture
def migrated(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with writing_engine(path, 1.0).connect() as connection:
        migrate.to_head(connection)
    return path


def shape(connection: Connection) -> dict[str, object]:
    """All that a schema consists of, whatever the order it was written in."""
    found = inspect(connection)
    tables = [table for table in found.get_table_names() if table != "alembic_version"]
    columns = {
        table: [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in found.get_columns(table)]
        for table in tables
    }
    checks = {table: sorted((c["name"], c["sqltext"]) for c in found.get_check_constraints(table)) for table in tables}
    unique = {
        table: sorted((c["name"], *c["column_names"]) for c in found.get_unique_constraints(table)) for table in tables
    }
    keys = {
        table: sorted(
            (c["name"], *c["constrained_columns"], c["referred_table"]) for c in found.get_foreign_keys(table)
        )
        for table in tables
    }
    primary = {table: found.get_pk_constraint(table)["name"] for table in tables}
    indexes = sorted(
        connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").scalars()
    )
    views = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'view' ORDER BY name").all()
    return {
        "views": views,
        "columns": columns,
        "checks": checks,
        "unique": unique,
        "keys": keys,
        "primary": primary,
        "indexes": indexes,
    }


def test_upgrade_from_empty_makes_exactly_the_tables_of_the_program(migrated: Path) -> None:
    with reading_engine(migrated).connect() as ours, empty_ledger() as theirs:
        assert compare_metadata(MigrationContext.configure(ours), metadata) == []
        assert shape(ours) == shape(theirs)


def test_every_constraint_has_a_name() -> None:
    for table in metadata.tables.values():
        for constraint in table.constraints:
            assert constraint.name, (table.name, constraint)


def test_head_is_the_last_migration_and_there_is_one_line_of_them() -> None:
    scripts = ScriptDirectory(str(migrate.folder()))
    assert scripts.get_heads() == [HEAD]
    assert migrate.revisions() == {script.revision for script in scripts.walk_revisions()}


def test_downgrade_of_the_first_migration_leaves_nothing(migrated: Path) -> None:
    alembic_to(migrated, "downgrade", "base")
    connection = sqlite3.connect(migrated)
    assert (
        connection.execute("SELECT name FROM sqlite_master WHERE name <> 'alembic_version' AND sql <> ''").fetchall()
        == []
    )
    connection.close()


def test_open_of_a_current_ledger_does_not_import_alembic(migrated: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom batchgen.domain.clock import SystemClock\n"
        "from batchgen.ledger.ledger import Ledger\n"
        f"Ledger.open(Path({str(migrated)!r}), SystemClock()).close()\n"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_newer_schema_is_refused_and_left_untouched(migrated: Path) -> None:
    spoil(migrated, "UPDATE alembic_version SET version_num = '9999'")
    before = migrated.read_bytes()
    with pytest.raises(LedgerError, match=r"newer batchgen .*9999.*update batchgen"):
        Ledger.open(migrated, SystemClock())
    with pytest.raises(LedgerError, match="newer batchgen"), Reader(migrated):
        pass
    assert migrated.read_bytes() == before


def test_new_ledger_is_made_without_a_migration_and_is_what_they_come_to(migrated: Path, tmp_path: Path) -> None:
    made = tmp_path / "new.db"
    script = (
        "import sys\nfrom pathlib import Path\nfrom batchgen.domain.clock import SystemClock\n"
        "from batchgen.ledger.ledger import Ledger\n"
        f"Ledger.open(Path({str(made)!r}), SystemClock()).close()\n"
        "sys.exit('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    with reading_engine(made).connect() as ours, reading_engine(migrated).connect() as theirs:
        assert shape(ours) == shape(theirs)
        version = "SELECT sql, version_num FROM sqlite_master JOIN alembic_version WHERE name = 'alembic_version'"
        kept = [connection.exec_driver_sql(version).all() for connection in (ours, theirs)]
    assert kept[0] == kept[1] != []


def test_interrupted_making_leaves_an_empty_file_that_is_made_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    with monkeypatch.context() as patch:
        patch.setattr(database, "make_tables", half_made)
        with pytest.raises(RuntimeError, match="power cut"):
            Ledger.open(path, SystemClock())
    assert sqlite_tables(path) == []
    Ledger.open(path, SystemClock()).close()
    assert "task" in sqlite_tables(path)


def half_made(connection: Connection) -> None:
    connection.exec_driver_sql("CREATE TABLE half (id INTEGER)")
    raise RuntimeError("power cut")


def test_interrupted_migration_leaves_the_ledger_as_it_was(migrated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alembic_to(migrated, "downgrade", "0001")
    before = sqlite_tables(migrated)
    with monkeypatch.context() as patch:
        patch.setattr(migrate.command, "upgrade", half_upgrade)
        with pytest.raises(RuntimeError, match="power cut"):
            Ledger.open(migrated, SystemClock())
    assert sqlite_tables(migrated) == before
    Ledger.open(migrated, SystemClock()).close()
    assert "batch" in sqlite_tables(migrated)


def half_upgrade(config, _target: str) -> None:  # type: ignore[no-untyped-def]
    config.attributes["connection"].exec_driver_sql("CREATE TABLE half (id INTEGER)")
    raise RuntimeError("power cut")


def sqlite_tables(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    finally:
        connection.close()


def alembic_to(path: Path, *words: str) -> None:
    root = migrate.folder().parent
    command = [sys.executable, "-m", "alembic", "-c", str(root / "pyproject.toml"), "-x", f"db={path}", *words]
    subprocess.run(command, check=True, capture_output=True, cwd=root)


async def test_upgrade_counts_what_earlier_months_have_cost(tmp_path: Path) -> None:
    path, moments = tmp_path / "ledger.db", (1_795_000_000.0, 1_795_000_001.0, 1_790_000_000.0)
    with Ledger.open(path, SystemClock()) as ledger:
        ledger.record(plan("a", "b", "c"))
        a, b, c = await ledger.claim(1, 9, 0.0)
        await deliver(ledger, a, reserved_at=moments[0])
        await ledger.reserve(reservation(b, reserved_at=moments[1]))
        await ledger.reserve(reservation(c, reserved_at=moments[2]))
        await ledger.book_and_settle(booking(3, Charge.UNKNOWN), Settlement(c.task, 3, TaskEvent.PARK))
    alembic_to(path, "downgrade", "0002")
    Ledger.open(path, SystemClock()).close()
    with Reader(path) as reader:
        assert reader.check() == []
        assert reader.month(month_of(moments[0])) == MonthRow(month_of(moments[0]), PRICE, 0, PRICE)
        assert reader.month(month_of(moments[2])) == MonthRow(month_of(moments[2]), 0, PRICE, 0)
