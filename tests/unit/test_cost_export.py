"""OpenAI's costs, by day and line item, as its API and its console give them, against the calls of a ledger."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path

import pytest

from batchgen.domain.errors import UsageError
from batchgen.domain.lifecycle import Charge
from batchgen.report.booked import Booked
from batchgen.report.cost_export import CostExport
from batchgen.report.cost_reconciliation import SumVerdict, compare_costs
from batchgen.report.log_file import read_log_file

DAY = 86_400
MONDAY = 1_799_971_200  # 2027-01-15 00:00:00 UTC
MODEL = "gpt-image-2"
HEAD = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"


def read(path: Path) -> CostExport:
    found = read_log_file(path, UTC)
    assert isinstance(found, CostExport)
    return found


def bucket(day: int, *items: tuple[object, str | None]) -> dict[str, object]:
    first = MONDAY + day * DAY
    results = [
        {"object": "organization.costs.result", "amount": {"value": value, "currency": "usd"}, "line_item": item}
        for value, item in items
    ]
    return {"object": "bucket", "start_time": first, "end_time": first + DAY, "results": results}


def pages(folder: Path, *buckets: dict[str, object], more: bool = False) -> Path:
    path = folder / "costs.json"
    path.write_text(json.dumps({"object": "page", "data": list(buckets), "has_more": more, "next_page": None}))
    return path


def table(folder: Path, *rows: str, encoding: str = "utf-8") -> Path:
    path = folder / "costs.csv"
    path.write_text(HEAD + "".join(f"{row}\n" for row in rows), encoding=encoding)
    return path


def row(day: int, amount: str, item: str) -> str:
    first = MONDAY + day * DAY
    return f'{first},{first + DAY},2027,2027,{amount},{"usd" if amount else ""},"{item}",'


@pytest.mark.parametrize("form", ["json", "list", "csv", "utf-16"])
def test_json_and_csv_say_the_same(tmp_path: Path, form: str) -> None:
    items = [(0.06, f"{MODEL}, image output"), ("0.0200000000000000", f"{MODEL}-2026-11-01, text input")]
    if form in {"json", "list"}:
        path = pages(tmp_path, bucket(0, *items), bucket(1))
        if form == "list":
            path.write_text(json.dumps([json.loads(path.read_text())]))
    else:
        lines = [row(0, str(value), item) for value, item in items]
        path = table(tmp_path, *lines, row(1, "", ""), encoding="utf-8" if form == "csv" else form)
    found = read(path)
    assert [each.amount for each in found.rows] == [60_000, 20_000]
    assert all(each.is_of(MODEL) for each in found.rows)
    assert found.spans == ((MONDAY, MONDAY + DAY), (MONDAY + DAY, MONDAY + 2 * DAY))


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.json", '{"object": "list"}', "no page of OpenAI's costs"),
        ("a.json", "{broken", "no page of OpenAI's costs"),
        ("a.json", '{"data": [{"start_time": 1}]}', "without start_time, end_time"),
        ("a.json", json.dumps({"data": [bucket(0, (1, None))]}), "group_by=line_item"),
        ("a.json", json.dumps({"data": [], "has_more": True}), "has more behind it"),
        ("a.csv", HEAD + "5,4,,,1,usd,x,\n", "ends before it begins"),
        ("a.csv", HEAD + "x,4,,,1,usd,x,\n", "no time in seconds"),
        ("a.csv", HEAD + "1,4,,,much,usd,x,\n", "no amount in dollars"),
        ("a.csv", HEAD + "1,4,,,1,eur,x,\n", "only dollars"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=sentence) as refused:
        read_log_file(tmp_path / name, UTC)
    assert name in str(refused.value)


def call(number: int, hour: float, billed: int, *, charge: Charge = Charge.BILLED, job: int = 1) -> Booked:
    ended = MONDAY + hour * 3600
    return Booked(
        attempt=number,
        job=job,
        model=MODEL,
        charge=charge,
        billed=billed if charge is Charge.BILLED else 0,
        most=2 * billed if charge is Charge.BILLED else billed,
        ids=(),
        headers=(),
        begun=ended - 60,
        heard=ended,
        ended=ended,
        latest=ended,
        key="",
        lost=False,
        noted=None,
    )


def verdicts(folder: Path, calls: list[Booked], *buckets: dict[str, object]) -> list[SumVerdict]:
    found = compare_costs("openai", 1, calls, {MODEL}, read(pages(folder, *buckets)))
    return [span.verdict for span in found.spans]


def test_sum_is_compared_with_all_calls_of_the_ledger_and_no_other_model(tmp_path: Path) -> None:
    calls = [call(1, 5, 40_000), call(2, 6, 30_000, job=2), call(3, 30, 50_000, job=2)]
    items = [(0.04, f"{MODEL}, image output"), (0.03, f"{MODEL}, text input"), (9, f"{MODEL}-mini, image output")]
    found = compare_costs("openai", 1, calls, {MODEL}, read(pages(tmp_path, bucket(0, *items), bucket(1, (7, MODEL)))))
    assert found.agrees
    (span,) = found.spans  # the job has no call on the second day
    assert (span.calls, span.booked, span.logged) == (2, 70_000, 70_000)


def test_sum_may_be_what_is_unknown_and_nothing_else(tmp_path: Path) -> None:
    calls = [call(1, 5, 40_000), call(2, 6, 30_000, charge=Charge.UNKNOWN), call(3, 7, 9_000, charge=Charge.VOID)]
    for value, verdict in ((0.03, "less"), (0.04, "within"), (0.07, "within"), (0.08, "more")):
        assert verdicts(tmp_path, calls, bucket(0, (value, MODEL))) == [verdict]
    found = compare_costs("openai", 1, calls, {MODEL}, read(pages(tmp_path, bucket(0, (0.04, MODEL)))))
    assert (found.open, found.agrees) == (1, False)  # a sum settles no call


def test_call_at_midnight_may_count_to_either_day_and_another_time_is_not_covered(tmp_path: Path) -> None:
    calls = [call(1, 23.99, 40_000), call(2, 24.5, 30_000), call(3, 50, 10_000)]
    days = bucket(0), bucket(1, (0.07, MODEL))
    assert verdicts(tmp_path, calls, *days) == ["within", "within"]
    found = compare_costs("openai", 1, calls, {MODEL}, read(pages(tmp_path, *days)))
    assert (found.uncovered, found.agrees) == (1, False)
