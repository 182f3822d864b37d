"""Matching of booked calls with the rows of a log: one to one, as many as possible, the right ones first."""

from __future__ import annotations

import dataclasses
from itertools import permutations
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.domain.model import OutcomeKind
from batchgen.ledger.records import TaskAttempt
from batchgen.report.booked import SLACK, Booked, Noted, noted_row, reach, row_note
from batchgen.report.matching import ROUNDING, Matching, match
from batchgen.report.reconciliation import ChargeVerdict, Comparison, Coverage, compare
from batchgen.report.refunds import refunds_of

T = 1_800_000_000.0
CENTS = 30_000


def call(
    attempt: int, *, charge: Charge = Charge.BILLED, at: float = 0.0, took: float = 60.0, **more: object
) -> Booked:
    begun, ended = T + at, T + at + took
    lost = charge is Charge.UNKNOWN
    values: dict[str, object] = {
        "job": 1,
        "model": "m",
        "billed": 0 if charge is Charge.VOID else CENTS,
        "most": CENTS,
        "ids": (),
        "begun": begun,
        "heard": ended,
        "ended": ended,
        "latest": begun + 300 if lost else ended,
        "key": "k",
    }
    return Booked(attempt=attempt, charge=charge, **(values | more))  # type: ignore[arg-type]


def row(name: str, at: float, amount: int = CENTS, **more: str) -> LogRow:
    return LogRow(name, T + at, more.pop("model", "m"), amount, **more)


def pairs(found: Matching) -> dict[int, str]:
    return {attempt: each.name for attempt, each in found.rows.items()}


def judged(calls: list[Booked], rows: list[LogRow], covers: Coverage | None = None) -> Comparison:
    return compare(1, calls, match(calls, rows), covers or Coverage())


def verdicts(found: Comparison) -> dict[int, ChargeVerdict]:
    return {each.call.attempt: each.verdict for each in found.calls}


# --- matching -------------------------------------------------------------------------------------------------------


def test_request_id_wins_over_time_and_amount() -> None:
    calls = [call(1, ids=("a",)), call(2, ids=("b", "c"))]
    found = match(calls, [row("x", 60, 77, request_id="c"), row("y", 60, request_id="a")])
    assert pairs(found) == {1: "y", 2: "x"}


def test_row_that_names_another_request_is_not_taken_by_time() -> None:
    calls = [
        call(1, ids=("a",)),
        call(2, at=5, ids=("b",)),
        call(3, charge=Charge.UNKNOWN, at=1, ids=("c",)),
        call(4, charge=Charge.UNKNOWN, at=2),
    ]
    rows = [row("a", 60, request_id="a"), row("b", 65, request_id="b"), row("z", 64, request_id="z")]
    found = judged(calls, rows)
    assert verdicts(found) == {
        1: ChargeVerdict.AGREES,
        2: ChargeVerdict.AGREES,
        3: ChargeVerdict.FREE,
        4: ChargeVerdict.CHARGED,
    }
    lacking = judged(calls, [rows[0], rows[2]])  # the row of an answered call fell out: its place is not another's
    assert verdicts(lacking) == {
        1: ChargeVerdict.AGREES,
        2: ChargeVerdict.MISSING,
        3: ChargeVerdict.OPEN,
        4: ChargeVerdict.CHARGED,
    }


def test_id_from_a_header_that_the_log_does_not_know_tells_nothing() -> None:
    calls = [call(1, ids=("a", "1"), headers=("request-id", "cf-ray")), call(2, at=1, ids=("2",), headers=("cf-ray",))]
    assert pairs(match(calls, [row("a", 60, request_id="a"), row("z", 61, request_id="z")])) == {1: "a", 2: "z"}


def test_second_row_of_a_request_is_nobody_elses() -> None:
    calls = [call(1, ids=("a",)), call(2, charge=Charge.UNKNOWN, at=1)]
    found = judged(calls, [row("a", 60, request_id="a"), row("a again", 60, request_id="a")])
    assert verdicts(found) == {1: ChargeVerdict.AGREES, 2: ChargeVerdict.FREE}
    assert [each.name for each in found.strangers] == ["a again"]


def test_without_ids_the_nearest_in_time_of_the_right_amount_is_taken() -> None:
    calls = [call(1, at=0), call(2, at=30), call(3, at=60, billed=20_000)]
    found = match(calls, [row("c", 120, 20_000), row("b", 90), row("a", 59.5)])
    assert pairs(found) == {1: "a", 2: "b", 3: "c"}
    assert not found.strangers


@pytest.mark.parametrize("off", [-2, -1, 0, 1, 2])
def test_rounding_of_quota_units_is_no_difference(off: int) -> None:
    found = judged([call(1, billed=5931)], [row("a", 60, 5931 + off)])
    assert found.agrees
    assert (found.booked, found.logged) == (5931, 5931)


def test_more_than_rounding_is_a_difference() -> None:
    assert verdicts(judged([call(1, billed=5931)], [row("a", 60, 5934)])) == {1: ChargeVerdict.DIFFERS}


def test_row_goes_to_the_call_that_ended_with_it_when_another_is_not_in_the_log() -> None:
    assert pairs(match([call(1), call(2, at=30)], [row("a", 90)])) == {2: "a"}


def test_model_must_be_the_same() -> None:
    found = match([call(1)], [row("a", 60, model="other")])
    assert not found.rows
    assert [each.name for each in found.strangers] == ["a"]


def test_as_many_as_possible_are_matched_also_where_the_nearest_first_would_leave_one_over() -> None:
    calls = [call(1, at=0, took=60), call(2, at=178, took=2)]
    assert pairs(match(calls, [row("b", 62), row("a", 50)])) == {1: "a", 2: "b"}


def test_lost_answer_takes_the_row_that_no_answered_call_accounts_for() -> None:
    calls = [call(1, charge=Charge.UNKNOWN, took=0), call(2, at=1)]
    assert pairs(match(calls, [row("a", 61), row("b", 200)])) == {2: "a", 1: "b"}


def test_lost_answer_that_was_settled_finds_its_row_again_however_late_that_was() -> None:
    dropped = call(1, took=5, latest=T + 300)
    assert judged([dropped], [row("a", 280)]).agrees


def test_lost_answer_does_not_take_more_than_it_may_have_cost() -> None:
    calls = [call(1, charge=Charge.UNKNOWN, most=10_000), call(2, charge=Charge.UNKNOWN, most=0)]
    found = match(calls, [row("a", 100, 20_000)])
    assert pairs(found) == {2: "a"}  # nobody knows what that one may have cost


@pytest.mark.parametrize("at", [-10.0, 300 + SLACK + 1])
def test_lost_answer_does_not_take_a_row_outside_of_its_time(at: float) -> None:
    assert not match([call(1, charge=Charge.UNKNOWN)], [row("a", at)]).rows


def test_row_of_a_key_that_is_known_to_be_another_is_not_a_lost_answers() -> None:
    calls = [call(1), call(2, charge=Charge.UNKNOWN, at=5)]
    found = match(calls, [row("a", 60, token="shop"), row("b", 70, token="somebody")])
    assert pairs(found) == {1: "a"}
    assert found.is_foreign(found.strangers[0])
    assert not found.is_foreign(row("c", 60))
    unseen = Matching(tokens={"k": {"shop"}, "never seen in the log": set()})
    assert not unseen.is_foreign(found.strangers[0])
    calls.append(call(3, charge=Charge.UNKNOWN, at=5, key="never seen in the log"))
    assert pairs(match(calls, [row("a", 60, token="shop"), row("b", 70, token="somebody")])) == {1: "a", 3: "b"}


def test_result_does_not_depend_on_the_order_of_the_rows() -> None:
    calls = [call(1), call(2, at=2), call(3, charge=Charge.UNKNOWN), call(4, charge=Charge.VOID, at=3)]
    rows = [row("a", 60), row("b", 62), row("c", 100), row("d", 64)]
    assert len({tuple(sorted(pairs(match(calls, list(order))).items())) for order in permutations(rows)}) == 1


CALLS = st.lists(
    st.builds(
        lambda charge, at, took, billed, ident: (charge, at, took, billed, ident),
        st.sampled_from([Charge.BILLED, Charge.UNKNOWN, Charge.VOID, Charge.RESERVED]),
        st.integers(0, 500),
        st.integers(0, 100),
        st.sampled_from([0, 10_000, CENTS, CENTS + 1]),
        st.sampled_from(["", "a", "b", "c"]),
    ),
    max_size=12,
)
ROWS = st.lists(
    st.tuples(
        st.integers(-50, 1200), st.sampled_from([0, 9_999, 10_000, CENTS, 50_000]), st.sampled_from(["", "a", "b", "z"])
    ),
    max_size=12,
)


def guess(charge: Charge, billed: int) -> dict[str, int]:
    """What the ledger can have of such a call: what is void, or under way, has no amount."""
    return {"billed": billed if charge in {Charge.BILLED, Charge.UNKNOWN} else 0}


@given(CALLS, ROWS)
def test_no_row_and_no_call_is_matched_twice_and_nothing_is_lost(
    asked: list[tuple[Charge, int, int, int, str]], logged: list[tuple[int, int, str]]
) -> None:
    calls = [
        call(number, charge=charge, at=at, took=took, ids=(ident,) if ident else (), **guess(charge, billed))
        for number, (charge, at, took, billed, ident) in enumerate(asked)
    ]
    rows = [row(str(number), at, amount, request_id=ident) for number, (at, amount, ident) in enumerate(logged)]
    found = match(calls, rows)
    taken = [each.name for each in found.rows.values()]
    left = [each.name for each in found.strangers]
    assert len(taken) == len(set(taken))
    assert not set(taken) & set(left)
    assert {each.name for each in rows if each.amount} <= set(taken) | set(left)
    result = compare(1, calls, found, Coverage())
    billed = sum(each.billed for each in calls if each.charge is Charge.BILLED)
    assert result.booked >= billed
    assert result.agrees <= (abs(result.booked - result.logged) <= ROUNDING * len(calls))


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 60)), max_size=30), st.randoms())
def test_every_call_finds_its_row_in_a_log_that_is_a_second_off(
    asked: list[tuple[int, int]], shuffle: st.random_module
) -> None:
    calls = [call(number, at=at, took=took) for number, (at, took) in enumerate(asked)]
    rows = [row(str(number), at + took - number % 2) for number, (at, took) in enumerate(asked)]
    shuffle.shuffle(rows)  # type: ignore[attr-defined]
    assert judged(calls, rows).agrees


# --- other jobs -----------------------------------------------------------------------------------------------------


def lost(attempt: int, **more: object) -> Booked:
    """An answer dropped at once, whose row may be from any time until the deadline."""
    at = more.pop("at", 0.0)
    assert isinstance(at, float | int)
    return call(attempt, at=at, took=0.0, **({"lost": True, "latest": T + at + 300} | more))  # type: ignore[arg-type]


def two_jobs(gap: float, **evening: object) -> list[Booked]:
    """An evening's lost answer and its repetition, and the same in a later job, a gap apart."""
    return [
        lost(1, job=2, at=0, **evening),
        call(2, job=2, at=2, took=1, ids=("e",)),
        lost(3, at=gap, charge=Charge.UNKNOWN),
        call(4, at=gap + 2, took=1, ids=("l",)),
    ]


def log_of_two(gap: float) -> list[LogRow]:
    return [
        row("1", 0),
        row("2", 3, request_id="e"),
        row("3", gap),
        row("4", gap + 3, request_id="l"),
    ]


@pytest.mark.parametrize("gap", [1, 50, 119, 121, 130, 300, 419, 421, 1000])
@pytest.mark.parametrize("settled", [{"noted": Noted("1", T)}, {"noted": Noted("of another log", T)}, {}])
def test_lost_answer_of_an_earlier_job_does_not_take_a_later_jobs_row(gap: float, settled: dict[str, object]) -> None:
    calls, rows = two_jobs(gap, **settled), log_of_two(gap)
    since, until = reach(calls, (calls[2].begun - SLACK, calls[2].latest + SLACK))
    kept = [each for each in rows if since <= each.time <= until]
    booked = [each for each in calls if each.wide[1] >= since and each.wide[0] <= until]
    found = judged(booked, kept)
    assert verdicts(found) == {3: ChargeVerdict.CHARGED, 4: ChargeVerdict.AGREES}
    assert found.agrees


@pytest.mark.parametrize("gap", [125, 300, 419])
def test_settled_answer_keeps_off_though_its_own_row_is_left_out(gap: float) -> None:
    found = judged(two_jobs(gap, noted=Noted("1", T)), log_of_two(gap)[2:])
    assert verdicts(found) == {3: ChargeVerdict.CHARGED, 4: ChargeVerdict.AGREES}


@pytest.mark.parametrize("charge", [Charge.BILLED, Charge.UNKNOWN, Charge.RESERVED])
def test_nothing_is_free_while_a_row_in_its_time_went_to_a_lost_answer_of_another_job(charge: Charge) -> None:
    calls = two_jobs(130, charge=charge)
    found = judged(calls, log_of_two(130)[1:])
    assert verdicts(found) == {3: ChargeVerdict.OPEN, 4: ChargeVerdict.AGREES}
    assert [each.rival.attempt for each in found.calls if each.rival] == [1]
    assert found.calls[0].amount == CENTS
    assert not found.agrees


def test_row_that_another_job_is_known_to_have_is_no_doubt() -> None:
    named = two_jobs(130, noted=Noted("3", T + 130))
    assert verdicts(judged(named, log_of_two(130)[1:])) == {3: ChargeVerdict.FREE, 4: ChargeVerdict.AGREES}
    cheaper = [dataclasses.replace(each, most=CENTS - 100) if each.attempt == 3 else each for each in two_jobs(130)]
    assert verdicts(judged(cheaper, log_of_two(130)[1:]))[3] is ChargeVerdict.FREE  # it cannot have cost that much


@pytest.mark.parametrize("job", [1, 2])
@pytest.mark.parametrize(("at", "verdict"), [(63, ChargeVerdict.FREE), (101, ChargeVerdict.OPEN)])
def test_answered_call_with_a_row_at_another_time_than_its_own_makes_a_doubt(
    job: int, at: float, verdict: ChargeVerdict
) -> None:
    calls = [call(1, job=job, at=0, took=60), lost(2, at=61, charge=Charge.UNKNOWN), call(3, at=102, ids=("a",))]
    assert verdicts(judged(calls, [row("1", at), row("2", 162, request_id="a")]))[2] is verdict


def test_settled_call_finds_its_own_row_among_equals() -> None:
    calls = [lost(number, noted=Noted(str(number), T + 10 * (5 - number))) for number in range(5)]
    rows = [row(str(number), 10 * (5 - number)) for number in range(5)]
    assert pairs(match(calls, rows)) == {number: str(number) for number in range(5)}
    assert match(calls, rows).sure == set(range(5))


def test_note_of_a_row_is_read_back() -> None:
    for name in ("17", "line 3", "x of 2026-01-01T00:00:00Z in the y", "gpt 4\n"):
        noted = noted_row(row_note(LogRow(name, T + 0.7, "m", 1), "log of apiyi"))
        assert noted == Noted(name, T)
    assert noted_row("") is None
    assert noted_row("reconcile: no charge in the log of apiyi up to 2026-01-01T00:00:00Z") is None
    assert noted_row("reconcile: row 1 of 2026-13-77T00:00:00Z in the log") is None


WINDOWS = st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 600)), max_size=30)


@given(WINDOWS, st.integers(0, 20_000), st.integers(1, 2000))
def test_reach_is_crossed_by_no_window_and_is_no_wider_than_it_must_be(
    asked: list[tuple[int, int]], at: int, length: int
) -> None:
    calls = [call(number, at=at, took=took) for number, (at, took) in enumerate(asked)]
    core = T + at, T + at + length
    first, last = reach(calls, core)
    assert first <= core[0]
    assert last >= core[1]
    inside = [each for each in calls if each.wide[1] >= first and each.wide[0] <= last]
    assert all(first <= each.wide[0] and each.wide[1] <= last for each in inside)
    assert {first, last} <= {*core, *(end for each in inside for end in each.wide)}


# --- verdicts -------------------------------------------------------------------------------------------------------


def test_every_verdict() -> None:
    calls = [
        call(1),
        call(2, at=1000, billed=20_000),
        call(3, charge=Charge.UNKNOWN, at=2000),
        call(4, charge=Charge.UNKNOWN, at=4000),
        call(5, at=5000),
        call(6, charge=Charge.VOID, at=6000),
        call(7, charge=Charge.VOID, at=7000),
        call(8, charge=Charge.UNKNOWN, at=8000),
        call(9, at=9000),
        call(10, charge=Charge.RESERVED, at=9000),
        call(11, job=2, at=2500),
    ]
    rows = [row("1", 60), row("2", 1060), row("3", 2200), row("6", 6061), row("11", 2560), row("?", 3000, 99)]
    found = judged(calls, rows, Coverage(T - 1000, T + 8200, read_at=T + 8200))
    assert verdicts(found) == {
        1: ChargeVerdict.AGREES,
        2: ChargeVerdict.DIFFERS,
        3: ChargeVerdict.CHARGED,
        4: ChargeVerdict.OPEN,  # the log lacks what is missing, so it may lack this one
        5: ChargeVerdict.MISSING,
        6: ChargeVerdict.DIFFERS,
        7: ChargeVerdict.AGREES,
        8: ChargeVerdict.OPEN,
        9: ChargeVerdict.OUTSIDE,
    }
    assert found.under_way == 1
    assert [each.name for each in found.strangers] == ["?"]
    assert not found.agrees
    assert (found.lacking, found.charged) == (1, 4)
    assert found.booked == 30_000 + 20_000 + 30_000 + 30_000 + 30_000
    assert found.logged == 4 * 30_000 + 99


def test_only_what_the_log_does_not_deny_is_claimed() -> None:
    calls = [call(1), call(2, at=1000), call(3, at=2000), call(4, at=9000), call(5, at=9500)]
    kinds = {
        1: OutcomeKind.EMPTY,
        2: OutcomeKind.DAMAGED,
        3: OutcomeKind.DELIVERED,
        4: OutcomeKind.CUT,
        5: OutcomeKind.DELIVERED,
    }
    found = judged(calls, [row("1", 60)], Coverage(T - 1000, T + 8200))
    assert [each.verdict for each in found.calls[1:]] == [ChargeVerdict.MISSING] * 2 + [ChargeVerdict.OUTSIDE] * 2
    problems = {each: SimpleNamespace(attempt=SimpleNamespace(outcome=kind)) for each, kind in kinds.items()}
    claims = refunds_of(found.calls, cast(dict[int, TaskAttempt], problems))
    assert [(each.judged.call.attempt, each.amount, each.reason) for each in claims] == [
        (1, CENTS, "charged, and the answer holds no image"),
        (4, CENTS, "charged, and the answer ended early; by the books alone, as the log does not cover it"),
    ]


def test_row_of_nothing_frees_a_lost_answer() -> None:
    found = judged([call(1, charge=Charge.UNKNOWN, ids=("a",))], [row("x", 60, 0, request_id="a")])
    assert verdicts(found) == {1: ChargeVerdict.FREE}
    assert found.agrees


def test_amount_of_the_books_is_kept_within_the_rounding_of_the_log() -> None:
    found = judged([call(1, charge=Charge.UNKNOWN, billed=5931, most=9000)], [row("x", 60, 5932)])
    assert [each.amount for each in found.calls] == [5931]


def test_log_without_anything_of_ours_frees_nothing() -> None:
    assert verdicts(judged([call(1, charge=Charge.UNKNOWN)], [])) == {1: ChargeVerdict.OPEN}


@pytest.mark.parametrize("last", [300 + SLACK - 1, 300 + SLACK])
def test_lost_answer_is_free_only_when_all_its_time_is_covered(last: float) -> None:
    calls = [call(1), call(2, charge=Charge.UNKNOWN)]
    found = judged(calls, [row("a", 60)], Coverage(T - 3, T + last))
    assert verdicts(found)[2] is (ChargeVerdict.FREE if last >= 300 + SLACK else ChargeVerdict.OPEN)


def test_log_says_nothing_of_what_is_yet_to_come_unless_it_is_closed() -> None:
    calls, rows = [call(1), call(2, charge=Charge.UNKNOWN)], [row("a", 60)]
    assert verdicts(judged(calls, rows, Coverage(T - 3, T + 70)))[2] is ChargeVerdict.OPEN
    assert verdicts(judged(calls, rows, Coverage(T - 3, T + 70, closed=True)))[2] is ChargeVerdict.FREE
    assert verdicts(judged(calls, rows, Coverage(T - 2, T + 70, closed=True)))[2] is ChargeVerdict.OPEN


def test_a_night_of_calls_is_matched_in_no_time() -> None:
    calls = [call(number, at=number / 10, billed=5_000 + 2 * number, most=99_000) for number in range(20_000)]
    lost = [dataclasses.replace(each, attempt=each.attempt + 50_000, charge=Charge.UNKNOWN) for each in calls[::20]]
    rows = [row(str(each.attempt), each.ended - T, each.billed) for each in (*calls, *lost)]
    assert len(match([*calls, *lost], rows).rows) == len(rows)
