"""Every fault of the wire, through the whole engine: what it means, what it costs, what happens next, what is kept.

Decided by the bytes that were seen. No fault hangs a run, takes much memory, or leaves books that do not agree.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Kind
from batchgen.policy.classify import LOST_KINDS
from tests.chaos.promises import promise
from tests.chaos.wire_case import Case, Step
from tests.chaos.wire_cases import CASES
from tests.chaos.wire_play import Left, empty_ledger, play, shipped_to

MOST_MEMORY = 100.0  # MiB
GOOD_ATTEMPT = (Kind.DELIVERED, Charge.BILLED)

# what is left of the task after the first answer was bad and every further one is good: state, attempts, lost ones
AFTERWARDS = {
    Step.DELIVER: ("completed", 1),
    Step.AGAIN: ("completed", 2),
    Step.WAIT: ("completed", 1),
    Step.PARK: ("parked", 1),
    Step.FAIL: ("failed", 1),
    Step.STOP: ("available", 0),
}


# faults after which the task is bought again: two of each kind and endpoint stand for all
_BY_KIND: dict[tuple[Kind, str], list[Case]] = {}
for _case in CASES:
    if _case.step is Step.AGAIN:
        _BY_KIND.setdefault((_case.kind, _case.endpoint), []).append(_case)
LASTING = [case for cases in _BY_KIND.values() for case in (cases[0], *cases[-1:])[: len(cases)]]


def named(case: Case) -> str:
    return case.name


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return empty_ledger(tmp_path_factory.mktemp("empty") / "ledger.db")


def check_always(case: Case, left: Left) -> None:
    """What holds after every fault."""
    assert left.grown <= MOST_MEMORY, f"{left.grown:.0f} MiB"
    assert left.seconds <= case.within, f"{left.seconds:.1f} s"
    assert left.proof.findings == []
    assert left.spooled == []
    assert left.sums[2] == 0, "no reservation is left open"
    sent = sum(kind != Kind.NOT_SENT for kind, _, _ in left.attempts)
    assert left.gateway.taken == sent, "the calls that came are those that the books say were sent"
    assert not any("sk-rig" in detail for _, _, detail in left.attempts)


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_fault_costs_and_leads_to_what_its_bytes_say(
    case: Case, tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await play(case, tmp_path, ledger, monkeypatch)
    first, *further = left.attempts
    assert first[:2] == (case.kind, case.charge), first[2]
    assert case.says in first[2]
    waits_long = case.step is Step.WAIT and left.task[0] == "available"
    assert [attempt[:2] for attempt in further] == [GOOD_ATTEMPT] * (
        case.step in {Step.AGAIN, Step.WAIT} and not waits_long
    ), further
    state, attempts = ("available", 0) if waits_long else AFTERWARDS[case.step]
    assert left.task == (state, attempts, int(case.kind in LOST_KINDS and case.step is Step.AGAIN))
    assert len(left.images) == (state == "completed")
    assert (left.stopped is not None) is (case.step is Step.STOP or waits_long), left.stopped
    if left.images and case.step is Step.DELIVER:
        assert left.images[0].endswith(case.ending)
        assert case.flags in left.flags
        assert left.seconds < case.timeout, "a whole document is not waited on"
    if case.pause is not None:
        assert left.pauses
        assert case.pause[0] <= left.pauses[0] <= case.pause[1]
    check_always(case, left)
    promise(6, f"{len(CASES)} faults on the wire: charge, next step, memory and time of each as they should be")
    promise(14, f"{len(CASES)} faults on the wire: at most {MOST_MEMORY} MiB more memory in any")


@pytest.mark.parametrize("case", LASTING, ids=named)
async def test_fault_that_never_ends_is_bought_again_only_as_often_as_the_limits_say(
    case: Case, tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await play(case, tmp_path, ledger, monkeypatch, forever=True)
    lost = case.kind in LOST_KINDS
    assert left.task[0] == ("parked" if lost else "failed")
    assert Counter(attempt[:2] for attempt in left.attempts) == {(case.kind, case.charge): 2 if lost else 3}
    assert left.images == []
    check_always(case, left)


def test_charge_of_every_case_is_that_of_the_contract() -> None:
    for case in CASES:
        assert shipped_to(case.route).charges[case.kind] is case.charge, case.name


def test_cases_are_as_many_as_promised_and_each_has_its_name() -> None:
    assert len(CASES) >= 90
    assert len({case.name for case in CASES}) == len(CASES)
