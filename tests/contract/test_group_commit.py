"""Verbs that share a commit: one that fails fails alone, a file that fails fails for all and is not tried again."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import LedgerFull
from batchgen.ledger import verbs
from batchgen.ledger.connect import create_file
from batchgen.ledger.database import Database, Verb

ORDER: list[Verb[Any, Any]] = []
"""The verbs of these tests, in the order in which those of one commit are run."""


def verb(run: Any) -> Verb[Any, Any]:
    """A verb that is run after all before it."""
    ORDER.append(Verb(run))
    return ORDER[-1]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    create_file(tmp_path / "batchgen.db")
    opened = Database(tmp_path / "batchgen.db", SystemClock(), 1.0, lambda: None, ORDER)
    opened.call(verb(lambda connection, payloads, _: [connection.execute(text("CREATE TABLE note (text TEXT)"))]), 0)
    yield opened
    opened.close()


def together(database: Database, *wanted: tuple[Verb[Any, Any], str]) -> list[BaseException | None]:
    """What callers get who all wait while something else is written, so that their verbs share a commit."""
    busy, go = threading.Event(), threading.Event()

    def hold(_: Connection, payloads: Sequence[int], __: float) -> list[int]:
        busy.set()
        go.wait()
        return list(payloads)

    with ThreadPoolExecutor() as callers:
        callers.submit(database.call, verb(hold), 0)
        busy.wait()
        waiting = [callers.submit(database.call, *each) for each in wanted]
        while database._queue.qsize() < len(wanted):
            threading.Event().wait(0.001)
        go.set()
        return [each.exception() for each in waiting]


def notes(tmp_path: Path) -> list[str]:
    connection = sqlite3.connect(tmp_path / "batchgen.db")
    found = [note for (note,) in connection.execute("SELECT text FROM note ORDER BY text")]
    connection.close()
    return found


def test_one_faulty_verb_fails_alone(database: Database, tmp_path: Path) -> None:
    tried: list[list[str]] = []

    def write(connection: Connection, payloads: Sequence[str], _: float) -> list[None]:
        tried.append(sorted(payloads))
        for payload in payloads:
            connection.execute(text("INSERT INTO note VALUES (:text)"), {"text": payload})
            if payload == "bad":
                raise LookupError(payload)
        return [None for _ in payloads]

    writing = verb(write)
    answers = together(database, *((writing, each) for each in ("a", "bad", "c")))
    assert [type(answer) for answer in answers] == [type(None), LookupError, type(None)]
    assert tried[0] == ["a", "bad", "c"]
    assert notes(tmp_path) == ["a", "c"]


def test_file_that_cannot_be_written_fails_for_all_and_is_not_tried_again(database: Database, tmp_path: Path) -> None:
    tried: list[list[str]] = []

    def write(connection: Connection, payloads: Sequence[str], _: float) -> list[None]:
        tried.append(sorted(payloads))
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        for payload in payloads:
            size = 1_000_000 if payload == "large" else 1
            connection.execute(text("INSERT INTO note VALUES (:text)"), {"text": payload * size})
        return [None for _ in payloads]

    writing = verb(write)
    answers = together(database, *((writing, each) for each in ("a", "large", "c")))
    assert [type(answer) for answer in answers] == [LedgerFull] * 3
    assert tried == [["a", "c", "large"]]
    assert notes(tmp_path) == []


def test_verbs_of_one_commit_are_run_in_their_order_whatever_came_first(database: Database) -> None:
    done: list[str] = []

    def noting(word: str) -> Verb[Any, Any]:
        return verb(lambda _connection, payloads, _now: [done.append(word) for _ in payloads])

    first, second = noting("first"), noting("second")
    assert together(database, (second, ""), (first, ""), (second, "")) == [None] * 3
    assert done == ["first", "second", "second"]


def test_every_verb_has_its_place_in_the_order() -> None:
    there_are = [each for each in vars(verbs).values() if isinstance(each, Verb)]
    assert len(verbs.ORDER) == len(set(verbs.ORDER)) == len(there_are)
    assert set(verbs.ORDER) == set(there_are)
    assert verbs.ORDER[:5] == (verbs.BOOK, verbs.BOOK_AND_SETTLE, verbs.SETTLE, verbs.GIVE_BACK, verbs.RESERVE)
