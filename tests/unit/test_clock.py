from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from batchgen.domain.clock import next_time_of_day


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


BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
KOLKATA, LORD_HOWE, APIA = "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    if not hasattr(time, "tzset"):
        pytest.skip("this system sets no time zone for one process")

    def live_in(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield live_in
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("name", "now", "until", "then"),
    [
        (BERLIN, "2026-10-25T01:50:00+02:00", "02:30", "2026-10-25T02:30:00+02:00"),
        (BERLIN, "2026-10-25T02:45:00+02:00", "02:30", "2026-10-25T02:30:00+01:00"),
        (BERLIN, "2026-10-25T02:30:00+02:00", "02:30", "2026-10-25T02:30:00+01:00"),
        (BERLIN, "2026-10-25T02:15:00+01:00", "02:30", "2026-10-25T02:30:00+01:00"),
        (BERLIN, "2026-10-25T02:30:00+01:00", "02:30", "2026-10-26T02:30:00+01:00"),
        (BERLIN, "2026-10-25T02:10:00+02:00", "03:00", "2026-10-25T03:00:00+01:00"),
        (BERLIN, "2027-03-28T01:50:00+01:00", "02:30", "2027-03-29T02:30:00+02:00"),
        (BERLIN, "2027-03-27T22:00:00+01:00", "02:30", "2027-03-29T02:30:00+02:00"),
        (BERLIN, "2027-03-28T01:50:00+01:00", "03:00", "2027-03-28T03:00:00+02:00"),
        (NEW_YORK, "2026-11-01T01:45:00-04:00", "01:30", "2026-11-01T01:30:00-05:00"),
        (NEW_YORK, "2026-11-01T01:45:00-05:00", "01:30", "2026-11-02T01:30:00-05:00"),
        (NEW_YORK, "2027-03-14T00:00:00-05:00", "02:00", "2027-03-15T02:00:00-04:00"),
        (KOLKATA, "2026-10-25T02:30:00+05:30", "02:30", "2026-10-26T02:30:00+05:30"),
        (KOLKATA, "2026-10-25T02:29:59+05:30", "02:30", "2026-10-25T02:30:00+05:30"),
        (LORD_HOWE, "2026-04-05T01:50:00+11:00", "01:45", "2026-04-05T01:45:00+10:30"),
        (LORD_HOWE, "2026-10-04T01:50:00+10:30", "02:15", "2026-10-05T02:15:00+11:00"),
        (APIA, "2011-12-29T23:00:00-10:00", "22:00", "2011-12-31T22:00:00+14:00"),
    ],
)
def test_time_of_day_is_the_next_that_the_clock_shows(
    zone: Callable[[str], None], name: str, now: str, until: str, then: str
) -> None:
    zone(name)
    hours, minutes = until.split(":")
    found = next_time_of_day(datetime.fromisoformat(now).timestamp(), int(hours) * 60 + int(minutes))
    assert datetime.fromtimestamp(found, ZoneInfo(name)).isoformat() == then


@pytest.mark.parametrize("name", [BERLIN, NEW_YORK, LORD_HOWE, KOLKATA])
def test_time_of_day_is_found_as_if_every_minute_were_looked_at(zone: Callable[[str], None], name: str) -> None:
    zone(name)
    for day in ("2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31", "2027-03-13", "2027-03-27"):
        start = datetime.fromisoformat(f"{day}T22:00:00").replace(tzinfo=ZoneInfo(name)).timestamp()
        shown = [datetime.fromtimestamp(start + 60 * minute, ZoneInfo(name)) for minute in range(4 * 1440)]
        of_day = [moment.hour * 60 + moment.minute for moment in shown]
        for now in range(0, 8 * 60, 13):
            for minutes in range(0, 5 * 60, 7):
                right = of_day.index(minutes, now + 1)
                assert next_time_of_day(start + 60 * now, minutes) == start + 60 * right, (shown[now], minutes)


def test_time_of_day_is_never_now(zone: Callable[[str], None]) -> None:
    zone(BERLIN)
    now = datetime.fromisoformat("2026-11-21T07:00:00+01:00").timestamp()
    assert next_time_of_day(now + 0.001, 7 * 60) == now + timedelta(days=1).total_seconds()
    assert next_time_of_day(now - 0.001, 7 * 60) == now
