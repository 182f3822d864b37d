"""Whoever writes has the file from the first thing it reads: what it decides by cannot be old when it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from batchgen.ledger.connect import writing_engine
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.tables import job
from tests.conftest import ManualClock
from tests.support.ledger import plan


def test_second_writer_is_refused_from_the_first_read_on(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with Ledger.open(path, ManualClock()) as ledger:
        ledger.record(plan("a"))  # type: ignore[arg-type]
    engine = writing_engine(path, 0.01)
    with engine.connect() as first, engine.connect() as second:
        first.begin()
        assert first.execute(select(job.c.reserved)).scalars().all() == [0]
        with pytest.raises(OperationalError, match="locked"):
            second.begin()
        first.rollback()
        second.rollback()
        second.begin()
        second.rollback()
