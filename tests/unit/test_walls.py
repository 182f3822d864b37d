"""Amounts that people type, and which limit of money holds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from batchgen.app.approval import questions
from batchgen.app.planning import PlannedRun
from batchgen.app.run_options import RunOptions
from batchgen.app.spending_limits import dollars, monthly_by_environment, walls_of
from batchgen.cli.text.plan import headrooms_text
from batchgen.domain.clock import month_of
from batchgen.domain.errors import UsageError
from batchgen.domain.job import Ask, Difference, Limits
from batchgen.domain.size import Size
from batchgen.domain.walls import Wall, Walls
from batchgen.report.forecast import Forecast
from batchgen.report.headroom import Headroom, headrooms_of, nearest
from tests.support.ledger import plan

NOWHERE = Path("/nowhere/ledger.db")
BAD = {
    "-5": "not an amount of zero dollars or more",
    "five": "not an amount in dollars",
    "": "not an amount in dollars",
    "1e999": "more than 1,000,000,000 dollars",
    "99999999999999999999": "more than 1,000,000,000 dollars",
    "nan": "not an amount of zero dollars or more",
    "Infinity": "not an amount of zero dollars or more",
    "0.0000001": "finer than a millionth of a dollar",
    "1.0000000000000000000000000000000001": "finer than a millionth of a dollar",
    "1e-999": "finer than a millionth of a dollar",
    "0": "must be more than 0",
    "$5": "not an amount in dollars",
    "5,00": "not an amount in dollars",
}


@pytest.mark.parametrize("written", BAD)
def test_what_is_no_amount_is_one_sentence(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=f"^--max-cost: .*{BAD[written]}") as told:
        dollars(written, "--max-cost")
    assert len(str(told.value)) < 150
    monkeypatch.setenv("BATCHGEN_MONTHLY", written)
    with pytest.raises(UsageError, match=f"^BATCHGEN_MONTHLY.*({BAD[written]}|is empty; set it to an amount)"):
        monthly_by_environment()


@pytest.mark.parametrize(("written", "micros"), [("5", 5_000_000), (" 0.000001 ", 1), ("1e3", 10**9), ("1e9", 10**15)])
def test_amount_is_read_digit_by_digit(written: str, micros: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert dollars(written, "x") == micros
    monkeypatch.setenv("BATCHGEN_MONTHLY", written)
    assert monthly_by_environment() == micros


def test_lower_limit_holds_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(budget=9, budget_per_run=5)
    assert walls_of(NOWHERE, limits).most == {Wall.JOB: 9, Wall.RUN: 5}
    assert walls_of(NOWHERE, limits).named(Wall.RUN) == "limits.budget_per_run"
    assert walls_of(NOWHERE, limits, 4).named(Wall.RUN) == "--max-cost"
    assert walls_of(NOWHERE, limits, 6).named(Wall.RUN) == "limits.budget_per_run"
    assert walls_of(NOWHERE, Limits()).most == {}
    monkeypatch.setenv("BATCHGEN_MONTHLY", "0.000007")
    assert walls_of(NOWHERE, Limits()) == Walls(per_run_by="--max-cost", monthly=7, monthly_by="BATCHGEN_MONTHLY")


def test_nearest_wall_and_what_is_left_of_each() -> None:
    rooms = [
        Headroom(Wall.JOB, "limits.budget", 25_000_000, 1_000_000),
        Headroom(Wall.MONTH, "BATCHGEN_MONTHLY", 10, 30),
    ]
    assert nearest(rooms) == 0
    assert nearest([]) is None
    month = month_of(0.0)
    said = f"left to spend: $24.00 of $25.00 by limits.budget, $0.00 of $0.00001 by BATCHGEN_MONTHLY for {month}"
    assert headrooms_text(rooms, 0.0) == said
    assert headrooms_of(NOWHERE, "job", Walls(budget=3), 0.0) == [Headroom(Wall.JOB, "limits.budget", 3, 0)]


@pytest.mark.parametrize(
    ("wall", "sentence"),
    [
        (Wall.JOB, "the budget is reached"),
        (Wall.RUN, "--max-cost is reached ($5.00 for one run); run again, or raise it"),
        (
            Wall.MONTH,
            "the ledger's ceiling for 2026-11 is reached ($9.00 for all jobs, by `batchgen ceiling`); "
            "raise it, or run again next month",
        ),
    ],
)
def test_run_names_the_wall_and_the_way_on(wall: Wall, sentence: str) -> None:
    walls = Walls(1, 5_000_000, "--max-cost", 9_000_000, "`batchgen ceiling`")
    assert walls.reached(wall, "2026-11") == sentence


ROOM = Headroom(Wall.RUN, "--max-cost", 7_000_000, 0)


def costs(micros: int | None, calls: int = 10) -> Forecast:
    return Forecast(calls, micros, micros, micros, micros, micros or 0, 1.0, 1.0)


def asked(whole: Forecast, again: Forecast, *rooms: Headroom) -> list[str]:
    """What a person is asked, with what agrees to it."""
    difference = Difference(buy={Ask(Size(1024, 1024)): whole.calls}, paid=30_000)
    manifest: Any = SimpleNamespace(variants=())
    planned = PlannedRun(manifest, plan("a").job, difference, whole, again, None, rooms)
    return [f"{each.text} [{each.option}{each.other}]" for each in questions(planned, RunOptions(), rehearse=False)]


@pytest.mark.parametrize(
    "room", [ROOM, Headroom(Wall.MONTH, "BATCHGEN_MONTHLY", 9, 0), Headroom(Wall.JOB, "limits.budget", 9, 0)]
)
def test_nobody_is_asked_about_the_cost_where_there_is_a_limit(room: Headroom) -> None:
    (question,) = asked(costs(50_000_000), costs(0, 0))
    assert "up to $50.00 and there is no `limits.budget` [--yes, or --max-cost USD" in question
    assert asked(costs(50_000_000), costs(0, 0), room) == []


def test_question_about_images_that_are_bought_again_is_cut_at_the_nearest_wall() -> None:
    again, _ = asked(costs(50_000_000), costs(50_000_000))
    assert "may be bought again for up to $50.00; $0.03 was paid for the 10 there are [--rebuy changed]" in again
    (again,) = asked(costs(50_000_000), costs(50_000_000), ROOM, Headroom(Wall.JOB, "limits.budget", 90_000_000, 0))
    assert "may be bought again for up to $7.00" in again
    assert asked(costs(50_000_000), costs(50_000_000), Headroom(Wall.JOB, "limits.budget", 5_000_000, 1_000_000)) == []


def test_limit_that_the_manifest_does_not_know_needs_a_price() -> None:
    with pytest.raises(
        UsageError, match=r"nobody can say what every call of spring costs at most, so --max-cost cannot"
    ):
        asked(costs(None), costs(0, 0), ROOM)
    assert asked(costs(None), costs(0, 0), Headroom(Wall.JOB, "limits.budget", 9, 0)) == []  # `check` has seen to that
