from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from batchgen.domain.clock import next_time_of_day


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system sets no time zone for one process")
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-10-24T22:00:00+02:00", "2026-10-25T07:00:00+01:00"),
        ("2027-03-27T22:00:00+01:00", "2027-03-28T07:00:00+02:00"),
        ("2026-11-20T22:00:00+01:00", "2026-11-21T07:00:00+01:00"),
        ("2026-11-21T06:59:00+01:00", "2026-11-21T07:00:00+01:00"),
        ("2026-11-21T07:00:00+01:00", "2026-11-22T07:00:00+01:00"),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_seven_is_seven_also_when_the_clocks_change_before_it(start: str, end: str) -> None:
    assert (
        next_time_of_day(datetime.fromisoformat(start).timestamp(), 7 * 60) == datetime.fromisoformat(end).timestamp()
    )
