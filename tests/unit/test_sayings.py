"""What the command says of money, keys and the way on: the same words everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from batchgen.app import bill_check
from batchgen.app.forecasting import forecast_of
from batchgen.app.keyring import KeyRing
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.planning import propose
from batchgen.app.progress import Progress, Row
from batchgen.cli.text.bill import bill_line
from batchgen.cli.text.jobs import amounts_text
from batchgen.cli.text.plan import plan_lines
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import UsageError
from batchgen.domain.events import CallEnded, RunStopped
from batchgen.domain.job import Ask, Difference, Texts
from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import Outcome, OutcomeKind
from batchgen.domain.size import parse_size
from batchgen.domain.walls import NO_WALLS
from batchgen.engine.bookings import words
from batchgen.policy.decide import Decision, Fail, Park, Retry
from tests.support.gateway import a_claim
from tests.support.manifest import HEAD, load


def test_amounts_name_what_is_open() -> None:
    assert amounts_text(1_320_000, 0, 0) == "$1.32"
    assert amounts_text(1_320_000, 120_000, 30_000) == "$1.32 + maybe $0.12 + $0.03 under way"


@pytest.mark.parametrize(
    ("billed", "maybe", "held", "charged", "end"),
    [
        (100, 0, 0, 100, "equal"),
        (100, 60, 40, 100, "equal"),
        (100, 0, 40, 130, "within what is under way"),
        (100, 60, 0, 130, "within what is maybe charged"),
        (100, 60, 40, 200, "within what is maybe charged or under way"),
        (100, 60, 40, 201, "THEY DIFFER"),
        (100, 60, 40, 99, "THEY DIFFER"),
    ],
)
def test_bill_differs_only_beyond_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, billed: int, maybe: int, held: int, charged: int, end: str
) -> None:
    assert compared(tmp_path, monkeypatch, (billed, maybe, held), [], {"": charged}).endswith(f": {end}")


def compared(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    amounts: tuple[int, int, int],
    calls: list[SimpleNamespace],
    charges: dict[str, int],
) -> str:
    """What is said of a ledger with these amounts and calls, and of a bill with these charges by request id."""
    billed, maybe, held = amounts
    unpriced = sum(each.attempt.charge is Charge.UNKNOWN for each in calls)

    class Books:
        def __enter__(self) -> Books:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def jobs(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(billed=billed, unknown=maybe, reserved=held, unpriced=unpriced)]

        def calls(self, _first: float, _last: float) -> list[SimpleNamespace]:
            return calls

    bill = folder / "bill.jsonl"
    bill.touch()
    lines = [SimpleNamespace(route="r", request_id=each, charged=charge) for each, charge in charges.items()]
    monkeypatch.setattr(bill_check, "Reader", lambda _: Books())
    monkeypatch.setattr(bill_check, "BILL", bill)
    monkeypatch.setattr("batchgen.simulator.bill.Bill.lines", lambda _: iter(lines))
    return bill_line(bill_check.compare_with_bill(folder))


def unpriced(*ids: str, charge: Charge = Charge.UNKNOWN, route: str = "r") -> SimpleNamespace:
    named = tuple(("x-request-id", each) for each in ids)
    return SimpleNamespace(attempt=SimpleNamespace(route=route, charge=charge, billed=0, reserved=0, request_ids=named))


@pytest.mark.parametrize(
    ("calls", "charges", "end"),
    [
        ([unpriced("a")], {"a": 70, "b": 100}, "equal"),
        ([unpriced("a", charge=Charge.RESERVED)], {"a": 70, "b": 100}, "equal"),
        ([unpriced("a")], {"a": 70, "b": 100, "c": 1}, "THEY DIFFER"),
        ([unpriced("a")], {"a": 70, "b": 30}, "THEY DIFFER"),
        ([unpriced("a")], {"a": 70, "b": 130}, "THEY DIFFER"),
        ([unpriced("a"), unpriced()], {"a": 70, "b": 100, "lost": 60}, "within what is of unknown price"),
        ([unpriced("a"), unpriced()], {"a": 70, "b": 100, "lost": 60, "c": 60}, "THEY DIFFER"),
        ([unpriced(route="other")], {"b": 100, "lost": 60}, "THEY DIFFER"),
        ([unpriced("b", charge=Charge.VOID)], {"b": 100, "c": 60}, "THEY DIFFER"),
    ],
)
def test_bill_agrees_beside_what_it_has_for_calls_of_unknown_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[SimpleNamespace], charges: dict[str, int], end: str
) -> None:
    said = compared(tmp_path, monkeypatch, (100, 0, 0), calls, charges)
    assert said.endswith(f": {end}")


def test_every_missing_key_is_named_at_once() -> None:
    keys = KeyRing({"HERE": "sk-1234"})
    keys.check(["HERE", ""])
    with pytest.raises(UsageError, match="2 keys are missing: set ONE and TWO in the environment"):
        keys.check(["ONE", "HERE", "TWO", "ONE"])
    with pytest.raises(UsageError, match="the key is missing: set ONE in"):
        keys.check(["ONE"])


def _one(ask: Ask) -> Difference:
    return Difference(buy={ask: 1}, texts={ask: Texts(1, 1)})


def test_plan_says_what_stands_and_where_a_task_may_go_on(tmp_path: Path) -> None:
    manifest = load(
        tmp_path,
        HEAD.replace("own/wide", "apiyi/gpt-image-2-vip").replace("1:1@1K", "16:9@4K")
        + "prompts: [{id: a, text: x}]\nfallback: [laozhang/gpt-image-2-vip]\nif_4k_fails: rescue\n",
    )
    four, two = (Ask(parse_size(size)) for size in ("16:9@4K", "16:9@2K"))
    plain, large = (forecast_of(manifest, manifest.job, _one(ask)).worst or 0 for ask in (two, four))
    assert plain == 30_000 * 6 < large  # three paid calls on each of two routes; a rescue only takes 4K
    difference = replace(_one(four), unchanged=3, delivered=1, under_way=1)
    planned = propose(manifest, manifest.job, difference, tmp_path / "none.db", NO_WALLS)
    said = plan_lines(planned, LedgerChoice())
    assert "  1 delivered, 1 under way, to be settled first, 1 still to buy" in said
    (onward,) = [line for line in said if "goes on over" in line]
    assert "goes on over laozhang/gpt-image-2-vip; 4K that fails is rescued over apiyi/" in onward


def test_nothing_is_promised_once_a_run_stops() -> None:
    progress = Progress(SystemClock(), "job", None, rows={"auto": Row(waiting=3)})
    progress._recent.append(progress.clock.monotonic())
    assert progress.finish() is not None
    progress.on_event(RunStopped("interrupted"))
    assert progress.finish() is None


def test_no_wait_is_at_once() -> None:
    assert words(Retry(0.0, "x")) == "again at once"
    assert words(Retry(2.4, "x")) == "again in 2 s"


TIMED_OUT = "no answer within 60 s"


@pytest.mark.parametrize(
    ("decision", "detail", "said"),
    [
        (
            Park(f"2 lost answers, each may have been charged ({TIMED_OUT})"),
            TIMED_OUT,
            f"parked: 2 lost answers, each may have been charged ({TIMED_OUT})",
        ),
        (Park("the paid address is gone"), "the paid address is gone", "parked: the paid address is gone"),
        (Park("the disk is full"), "a picture came", "a picture came (parked: the disk is full)"),
        (Fail(f"the content was refused ({TIMED_OUT})"), TIMED_OUT, f"failed: the content was refused ({TIMED_OUT})"),
        (Park("an answer was lost"), "", "parked: an answer was lost"),
        (Retry(2.0, TIMED_OUT), TIMED_OUT, f"{TIMED_OUT} (again in 2 s)"),
    ],
)
def test_last_problem_says_why_a_task_is_left(decision: Decision, detail: str, said: str) -> None:
    progress = Progress(SystemClock(), "job", None)
    outcome = Outcome(OutcomeKind.TIMED_OUT, Charge.UNKNOWN, detail)
    progress.on_event(CallEnded(a_claim(), 7, outcome, 0, 30_000, 60.0, TaskState.PARKED, words(decision)))
    name, _, problem = progress.last_problem.partition(": ")
    assert name.startswith(f"{a_claim().key}/")
    assert problem == said


def test_call_that_a_stop_kept_back_is_no_problem() -> None:
    progress = Progress(SystemClock(), "job", None)
    kept_back = Outcome(OutcomeKind.NOT_SENT, Charge.VOID, "the run was stopped before it was sent")
    lost = Outcome(OutcomeKind.LOST, Charge.UNKNOWN, "the connection was closed")
    progress.on_event(RunStopped("interrupted"))
    progress.on_event(CallEnded(a_claim(), 7, lost, 0, 30_000, 60.0, TaskState.PARKED, "parked"))
    said = progress.last_problem
    assert "the connection was closed" in said
    progress.on_event(CallEnded(a_claim(), 8, kept_back, 0, 0, 0.0, TaskState.AVAILABLE, "as it was"))
    assert progress.last_problem == said
    assert progress.total().running == -2, "both are over"
