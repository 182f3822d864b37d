"""No lost answer is called free by a log that lacks rows, whatever it is that made them fall out."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from batchgen.domain.clock import stamp
from batchgen.domain.lifecycle import Charge
from batchgen.domain.log_row import LogRow
from batchgen.report.booked import SLACK, Booked
from batchgen.report.coverage import Coverage
from batchgen.report.log_file import read_log_file, read_zone
from batchgen.report.matching import match
from batchgen.report.reconciliation import ChargeVerdict, Comparison, compare

T = 1_800_000_000.0
HOUR = 3600.0
PRICES = {"2K": 30_000, "4K": 90_000}
SEEDS = range(3)


@dataclass(frozen=True)
class Night:
    """Six hours of calls, a few of them lost: `free` were not charged, `charged` were; `rows` are the gateway's own."""

    calls: list[Booked]
    rows: list[LogRow]
    charged: frozenset[int]
    free: frozenset[int]

    def compared(self, rows: Sequence[LogRow], coverage: Coverage | None = None) -> Comparison:
        times = [each.time for each in rows]
        return compare(1, self.calls, match(self.calls, rows), coverage or export(min(times), max(times)))


def export(first: float, last: float) -> Coverage:
    return Coverage(first, last, counted=False, read_at=T + 100 * HOUR)


def night(seed: int, *, ids: bool = True, models: int = 1, keys: int = 1) -> Night:
    chance = random.Random(seed)
    calls, rows = [], []
    charged, free = set(), set()
    for number in range(6 * 100):
        begun, took = T + number * 36, chance.uniform(30, 90)
        model, key = f"m{chance.randrange(models)}", f"k{chance.randrange(keys)}"
        price = PRICES[chance.choice(list(PRICES))]
        # Too far apart to be taken for one another; none at the ends, as a log must go on.
        lost = number % 15 == 8 and 30 < number < 570
        fate = chance.choice(["charged", "free"]) if lost else "answered"
        named = f"r{number}" if ids else ""
        charge = Charge.UNKNOWN if lost else Charge.BILLED
        calls.append(
            Booked(
                attempt=number,
                job=1,
                model=model,
                charge=charge,
                billed=price,
                most=price,
                ids=(named,) if named and not lost else (),
                begun=begun,
                heard=begun + took,
                ended=begun + took,
                latest=begun + (300 if lost else took),
                key=key,
                lost=lost,
            )
        )
        if fate != "free":
            rows.append(LogRow(str(number), float(int(begun + took)), model, price, named, key))
        if lost:
            (charged if fate == "charged" else free).add(number)
    return Night(calls, rows, frozenset(charged), frozenset(free))


def verdicts(found: Comparison) -> dict[int, ChargeVerdict]:
    return {each.call.attempt: each.verdict for each in found.calls}


def freed(found: Comparison) -> set[int]:
    return {each.call.attempt for each in found.of(ChargeVerdict.FREE)}


def answered(one: Night, rows: Sequence[LogRow]) -> bool:
    """Whether some row of an answered call is gone, so that the log can be seen to lack it."""
    there = {each.name for each in rows}
    return any(str(each.attempt) not in there for each in one.calls if each.charge is Charge.BILLED)


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_export_settles_every_lost_answer(seed: int) -> None:
    one = night(seed, models=2, keys=2)
    found = one.compared(one.rows)
    assert freed(found) == one.free
    assert {each.call.attempt for each in found.of(ChargeVerdict.CHARGED)} == one.charged
    assert found.agrees
    assert not found.lacking


@pytest.mark.parametrize("seed", SEEDS)
def test_whole_log_of_a_gateway_that_names_no_calls_settles_as_many_and_as_much(seed: int) -> None:
    one = night(seed, ids=False)
    rows = [replace(each, token="") for each in one.rows]
    found = one.compared(rows, Coverage(T - SLACK, T + 10 * HOUR, read_at=T + 10 * HOUR))
    assert len(found.of(ChargeVerdict.CHARGED)) == len(one.charged)
    assert found.logged == sum(each.amount for each in rows)
    assert freed(found) <= one.free
    assert len(freed(found)) > len(one.free) // 2


def dropped(share: float) -> Callable[[Night, random.Random], list[LogRow]]:
    def drop(one: Night, chance: random.Random) -> list[LogRow]:
        gone = set(chance.sample(range(len(one.rows)), max(2, round(share * len(one.rows)))))
        return [each for number, each in enumerate(one.rows) if number not in gone]

    return drop


def page_missing(one: Night, chance: random.Random) -> list[LogRow]:
    page = chance.randrange(1, len(one.rows) // 10 - 1)
    return [each for number, each in enumerate(one.rows) if number // 10 != page]


def doubled(one: Night, chance: random.Random) -> list[LogRow]:
    kept = dropped(0.1)(one, chance)
    return sorted(kept + chance.sample(kept, len(one.rows) - len(kept)), key=lambda row: row.time)


def shifted(hours: float) -> Callable[[Night, random.Random], list[LogRow]]:
    return lambda one, _chance: [replace(each, time=each.time + hours * HOUR) for each in one.rows]


DAMAGE: dict[str, Callable[[Night, random.Random], list[LogRow]]] = {
    "1 % dropped": dropped(0.01),
    "10 % dropped": dropped(0.1),
    "45 % dropped": dropped(0.45),
    "90 % dropped": dropped(0.9),
    "a page in the middle": page_missing,
    "the first hour": lambda one, _: [each for each in one.rows if each.time > T + HOUR],
    "the last hour": lambda one, _: [each for each in one.rows if each.time < T + 5 * HOUR],
    "a key": lambda one, _: [each for each in one.rows if each.token == "k0"],
    "a model": lambda one, _: [each for each in one.rows if each.model == "m0"],
    "small amounts": lambda one, _: [each for each in one.rows if each.amount >= 50_000],
    "large amounts": lambda one, _: [each for each in one.rows if each.amount < 50_000],
    "10 % dropped, as many doubled": doubled,
    "an hour later": shifted(1),
    "eight hours earlier": shifted(-8),
    "another day": shifted(24),
    "stops in the order of time": lambda one, _: one.rows[:400],
    "stops from the newest back": lambda one, _: one.rows[::-1][:400],
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no ids"])
@pytest.mark.parametrize("counted", [True, False], ids=["counted", "export"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_log_frees_no_charged_call(damage: str, counted: bool, ids: bool, seed: int) -> None:
    one = night(seed, ids=ids, models=2, keys=2)
    rows = DAMAGE[damage](one, random.Random(seed))
    assert answered(one, rows) or rows[0].time != one.rows[0].time
    if not ids:
        rows = [replace(each, token="") for each in rows]
    coverage = Coverage(T - SLACK, T + 10 * HOUR, read_at=T + 10 * HOUR) if counted else None
    found = one.compared(rows, coverage)
    assert not freed(found) & one.charged
    assert all(each.reason or each.rival for each in found.of(ChargeVerdict.OPEN))
    assert len(found.of(ChargeVerdict.OPEN)) >= len(one.free) // 2


@pytest.mark.parametrize("key", [{"keys": 2}, {"models": 2}])
def test_single_missing_row_leaves_all_open_with_the_reason(key: dict[str, int]) -> None:
    one = night(1, **key)
    gone = next(each for each in one.calls if each.charge is Charge.BILLED and each.begun > T + 3 * HOUR)
    found = one.compared([each for each in one.rows if each.name != str(gone.attempt)])
    assert not freed(found)
    assert verdicts(found)[gone.attempt] is ChargeVerdict.MISSING
    assert (found.lacking, found.charged) == (1, sum(each.charge is Charge.BILLED for each in one.calls))
    reasons = {each.reason for each in found.of(ChargeVerdict.OPEN)}
    assert f"the log lacks 1 of {found.charged} calls that were charged, the first of them of {stamp(gone.ended)}" in (
        reasons
    )
    assert any("of its" in each or "around it" in each for each in reasons)


def test_row_that_is_yet_to_be_written_is_no_gap() -> None:
    one = night(2)
    last = max(each.ended for each in one.calls)
    late = replace(
        one.calls[0], attempt=99_999, begun=last, heard=last + 60, ended=last + 60, latest=last + 60, ids=("z",)
    )
    calls = [*one.calls, late]
    coverage = Coverage(T - SLACK, last + 70, read_at=last + 70)
    assert freed(compare(1, calls, match(calls, one.rows), coverage)) == one.free
    later = replace(coverage, last=last + 400, read_at=last + 400)
    assert not freed(compare(1, calls, match(calls, one.rows), later))


@pytest.mark.parametrize(("number", "hours"), [(10, -30), (2, -30), (10, 0)])
def test_calls_of_another_account_are_no_gap_but_for_what_lies_near_them(number: int, hours: float) -> None:
    one = night(3)
    theirs = [
        replace(each, attempt=each.attempt + 10_000, key="theirs", ids=(), **moved(each, hours * HOUR))
        for each in one.calls[:number]
    ]
    calls = [*one.calls, *theirs]
    coverage = Coverage(T - 40 * HOUR, T + 10 * HOUR, read_at=T + 10 * HOUR)
    found = compare(1, calls, match(calls, one.rows), coverage)
    far = {each for each in one.free if one.calls[each].begun - theirs[-1].ended > HOUR + 3}
    assert freed(found) == (far if number == 10 else set())  # two may as well have fallen out


def moved(call: Booked, seconds: float) -> dict[str, float]:
    return {name: getattr(call, name) + seconds for name in ("begun", "heard", "ended", "latest")}


def test_model_of_which_nothing_else_was_charged_is_not_free() -> None:
    one = night(4)
    other = replace(one.calls[300], attempt=99_999, model="other", ids=(), charge=Charge.UNKNOWN, lost=True)
    calls = [*one.calls, other]
    found = compare(1, calls, match(calls, one.rows), export(T, T + 7 * HOUR))
    (open_one,) = found.of(ChargeVerdict.OPEN)
    assert open_one.call is other
    assert "shows 0 charged calls of its model, key and price" in open_one.reason


CSV = "id,time,model,cost,request_id,token_name\n"


def written(folder: Path, one: Night, digits: int) -> list[LogRow]:
    lines = [
        f"{each.name},{stamp(each.time)},{each.model},{each.amount / 1e6:.{digits}f},{each.request_id},{each.token}\n"
        for each in one.rows
    ]
    path = folder / "log.csv"
    path.write_text(CSV + "".join(lines))
    return read_log_file(path, read_zone("UTC"))


@pytest.mark.parametrize("digits", [6, 2, 1, 0])
@pytest.mark.parametrize("lost_id", [True, False])
def test_rounding_of_an_export_frees_nothing_that_was_charged(tmp_path: Path, digits: int, lost_id: bool) -> None:
    one = night(1)
    if lost_id:
        calls = [replace(each, ids=(f"r{each.attempt}",)) if each.lost else each for each in one.calls]
        one = replace(one, calls=calls)
    found = one.compared(written(tmp_path, one, digits))
    assert freed(found) == (one.free if digits >= 2 else set())


def test_export_that_repeats_itself_is_read_once(tmp_path: Path) -> None:
    one = night(1)
    written(tmp_path, one, 6)
    path = tmp_path / "log.csv"
    path.write_text(path.read_text() + path.read_text().partition("\n")[2])
    rows = read_log_file(path, read_zone("UTC"))
    assert rows == one.rows
    assert one.compared(rows).agrees


def test_numbers_of_rows_on_a_page_name_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("id,time,model,cost\n1,1800000000,m,1\n2,1800000000,m,1\n1,1800000000,m,1\n2,1800000005,m,1\n")
    assert len(read_log_file(path, read_zone("UTC"))) == 4
