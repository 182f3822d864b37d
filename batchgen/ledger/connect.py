"""How a ledger's file is opened: for its one writer, and for any number of readers."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Dialect, Engine, create_engine, event
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.util import LRUCache

from batchgen.domain.errors import LedgerError, LedgerFull, NotInLedger
from batchgen.ledger.tables import HEAD, metadata
from batchgen.ledger.views import VIEWS

FOREIGN = "foreign"
OLDEST_SQLITE = (3, 35)  # RETURNING, and UPDATE … FROM before it

_VERSION = (  # as Alembic makes it
    "CREATE TABLE alembic_version (\n\tversion_num VARCHAR(32) NOT NULL, \n\t"
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n)"
)
_READ_ONLY = "cannot be written; check the permissions of the file"
_REASONS = (
    ("file is not a database", "is not a batchgen ledger; give another --db"),
    ("database disk image is malformed", "is damaged; restore it from a backup, and keep the output folder as it is"),
    ("database is locked", "is locked by another program; close what has it open and run again"),
    ("readonly database", f"{_READ_ONLY}, of those beside it (-wal, -shm) and of its folder"),
    ("unable to open database file", "cannot be opened; check the permissions of the file and of its folder"),
    ("disk I/O error", "cannot be read or written: the disk reports an error; look at it before anything else"),
    ("no such table", "is not a batchgen ledger; give another --db"),
)


def explain(path: Path, error: DBAPIError) -> LedgerError:
    """A database error as one sentence about the ledger."""
    cause = str(error.orig)
    if "database or disk is full" in cause:
        return LedgerFull(f"the ledger {path} cannot grow: the disk is full; free some space and run again")
    for mark, reason in _REASONS:
        if mark in cause:
            return LedgerError(f"the ledger {path} {reason}")
    return LedgerError(f"the ledger {path} refused a statement: {cause}")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Let database errors pass as ledger errors only."""
    try:
        yield
    except DBAPIError as error:
        raise explain(path, error) from error


def create_file(path: Path) -> None:
    """Make the folder and an empty file that only its owner may read; SQLite gives its companions the same mode.

    Raises:
        LedgerError: it is a folder, or cannot be made or written.
    """
    if path.is_dir():
        raise LedgerError(f"the ledger {path} is a folder; give --db a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise LedgerError(f"the ledger {path} cannot be created: {error.strerror}") from error
    if not os.access(path, os.W_OK):  # SQLite would make its companions, as read-only as the file, and leave them
        raise LedgerError(f"the ledger {path} {_READ_ONLY}")


def writing_engine(path: Path, busy: float) -> Engine:
    """An engine for the one writer: every transaction is immediate and on disk when it is committed.

    Args:
        path: the database file.
        busy: seconds to wait for a lock that another program holds.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise LedgerError(f"batchgen needs SQLite 3.35 or newer; this Python has {sqlite3.sqlite_version}")

    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver begins nothing by itself, `_begin_immediate` does.
        connection = sqlite3.connect(path, timeout=busy, isolation_level=None, check_same_thread=False)
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise LedgerError(f"the ledger {path} is on a disk without shared memory; keep it on a local disk")
            for pragma in (
                "synchronous = FULL",  # rows are receipts for money: a power cut must not undo a commit
                "fullfsync = ON",
                "checkpoint_fullfsync = ON",
                "foreign_keys = ON",
                "temp_store = FILE",
                "cache_size = -32768",
                "journal_size_limit = 67108864",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = _engine(connect)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def reading_engine(path: Path, busy: float = 5.0) -> Engine:
    """An engine that cannot write the file; its temporary tables lie on disk.

    Args:
        path: the database file.
        busy: seconds to wait for a lock that another program holds.

    Raises:
        LedgerError: there is no such file.
    """
    if path.is_dir():
        raise LedgerError(f"the ledger {path} is a folder; give --db a file")
    if not path.exists():
        raise NotInLedger(f"there is no ledger at {path}; run a manifest first, or give --db")

    def connect() -> sqlite3.Connection:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(uri, uri=True, timeout=busy, isolation_level=None)
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute("PRAGMA cache_size = -32768")
        return connection

    engine = _engine(connect)
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def empty_ledger() -> Iterator[Connection]:
    """A nameless ledger without jobs, gone when it is closed."""
    engine = _engine(lambda: sqlite3.connect("", isolation_level=None))
    event.listen(engine, "begin", _begin)
    with engine.begin() as connection:
        make_tables(connection)
        yield connection


def make_tables(connection: Connection) -> None:
    """Make what the migrations come to, in the transaction of the given connection to an empty file."""
    for statement in _schema():
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))


@contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """One consistent view of a ledger of the present schema.

    Raises:
        LedgerError: it cannot be read, or its schema is not this program's.
    """
    engine = reading_engine(path)
    with explained(path), engine.begin() as connection:
        found = version(connection)
        if found != HEAD:
            raise LedgerError(_other_schema(path, found))
        yield connection


def version(connection: Connection) -> str | None:
    """The schema's revision; None for an empty file, `foreign` for another program's.

    Raises:
        DBAPIError: it is no database.
    """
    tables = set(connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars())
    if not tables:
        return None
    if not {"alembic_version", "ledger"} <= tables:
        return FOREIGN
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() or FOREIGN


def is_current(path: Path, busy: float = 5.0) -> bool:
    """Whether a file has this program's schema already, found without touching it.

    Args:
        path: the database file.
        busy: seconds to wait for a lock that another program holds.

    Raises:
        LedgerError: it belongs to something else, or to a newer batchgen.
    """
    _undo_half_made(path)
    with explained(path), reading_engine(path, busy).begin() as connection:
        found = version(connection)
    if found is None or found == HEAD:
        return found is not None
    from batchgen.ledger import migrate  # noqa: PLC0415  alembic costs a tenth of a second, and is rarely needed

    if found not in migrate.revisions():
        raise LedgerError(_other_schema(path, found))
    return False


def _undo_half_made(path: Path) -> None:
    """Have SQLite undo what a process left that died while it made the file, before it had its write-ahead log.

    A reader that cannot write could not read it. What keeps this from being done is said by whoever reads next.
    """
    if path.with_name(f"{path.name}-journal").exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _other_schema(path: Path, found: str | None) -> str:
    if found is None:
        return f"the ledger {path} is empty; run a manifest first, or give another --db"
    if found == FOREIGN:
        return f"{path} is a database of another program; give another --db"
    if found < HEAD:
        return f"the ledger {path} is of an older batchgen; `batchgen run` brings it up to date"
    return f"the ledger {path} is of a newer batchgen (schema {found}, this one knows {HEAD}); update batchgen"


def _engine(connect: Callable[[], sqlite3.Connection]) -> Engine:
    """An engine over connections that are made so; what is compiled for one serves all of this process."""
    dialect, url, compiled = _shared()
    engine = Engine(NullPool(connect, dialect=dialect), dialect, url)  # type: ignore[arg-type]  # DB-API, loosely
    engine.update_execution_options(compiled_cache=compiled)
    return engine


@cache
def _shared() -> tuple[Dialect, URL, LRUCache[Any, Any]]:
    """SQLAlchemy's knowledge of SQLite, and the statements it has compiled: most of the time a short command takes."""
    engine = create_engine("sqlite://")
    engine.connect().close()  # it asks for the version of SQLite then
    return engine.dialect, engine.url, LRUCache(1000)


@cache
def _schema() -> tuple[str, ...]:
    """The statements that make a ledger, compiled once."""
    tables = metadata.sorted_tables
    indexes = [index for table in tables for index in sorted(table.indexes, key=lambda each: str(each.name))]
    made: list[CreateTable | CreateIndex] = [*map(CreateTable, tables), *map(CreateIndex, indexes)]
    return (*(str(each.compile(dialect=_shared()[0])) for each in made), *VIEWS.values(), _VERSION)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
