"""Every fault of the wire, through the whole engine: what it means, what it costs, what happens next, what is kept.

Decided by the bytes that were seen. No fault hangs a run, takes much memory, or leaves books that do not agree.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import OutcomeKind
from batchgen.policy.classify import LOST_KINDS
from batchgen.policy.decide import HOLLOW_KINDS
from tests.chaos.pictures import HTML
from tests.chaos.promises import promise
from tests.chaos.raw_gateway import RawGateway, listening
from tests.chaos.wire_case import GOOD, Case, Step, status
from tests.chaos.wire_cases import CASES
from tests.chaos.wire_play import Left, empty_ledger, play, shipped_to
from tests.support.shop import Shop

MOST_MEMORY = 100.0  # MiB
GOOD_ATTEMPT = (OutcomeKind.DELIVERED, Charge.BILLED)

# what is left of the task after the first answer was bad and every further one is good: state, attempts, lost ones
AFTERWARDS = {
    Step.DELIVER: ("completed", 1),
    Step.AGAIN: ("completed", 2),
    Step.WAIT: ("completed", 1),
    Step.PARK: ("parked", 1),
    Step.FAIL: ("failed", 1),
    Step.STOP: ("available", 0),
    Step.CLOSE: ("retryable", 1),
    Step.WITHHOLD: ("running", 0),
}


# faults after which the task is bought again: two of each kind and endpoint stand for all
_BY_KIND: dict[tuple[OutcomeKind, str], list[Case]] = {}
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
    assert left.proof.findings == []
    assert left.spooled == (["1.json"] if case.step is Step.WITHHOLD else [])
    assert left.sums[2] == 0, "no reservation is left open"
    sent = sum(kind != OutcomeKind.NOT_SENT for kind, _, _ in left.attempts)
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
    assert left.task == (state, attempts, int(case.kind in LOST_KINDS and case.step in {Step.AGAIN, Step.CLOSE}))
    assert len(left.images) == (state == "completed")
    assert (left.stopped is not None) is (case.step in {Step.STOP, Step.CLOSE} or waits_long), left.stopped
    if left.images and case.step is Step.DELIVER:
        assert left.images[0].endswith(case.ending)
        assert case.flags in left.flags
    if case.pause is not None:
        assert left.pauses
        assert case.pause[0] <= left.pauses[0] <= case.pause[1]
    check_always(case, left)
    promise(
        6, f"{len(CASES)} faults on the wire: charge, next step and memory of each as they should be, and none hangs"
    )
    promise(14, f"{len(CASES)} faults on the wire: at most {MOST_MEMORY} MiB more memory in any")


@pytest.mark.parametrize("case", LASTING, ids=named)
async def test_fault_that_never_ends_is_bought_again_only_as_often_as_the_limits_say(
    case: Case, tmp_path: Path, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await play(case, tmp_path, ledger, monkeypatch, forever=True)
    lost = case.kind in LOST_KINDS
    # An error inside a success may have been charged: a person must look at it.
    maybe = case.charge is Charge.UNKNOWN and left.attempts[0][2].startswith("HTTP 200")
    assert left.task[0] == ("parked" if lost or maybe or case.kind is OutcomeKind.THROTTLED else "failed")
    calls = 2 if lost or case.kind in HOLLOW_KINDS else 3
    assert Counter(attempt[:2] for attempt in left.attempts) == {(case.kind, case.charge): calls}
    assert left.images == []
    check_always(case, left)


PAGE = status(200, HTML, kind="text/html")


async def test_run_whose_address_answers_with_pages_stops_after_its_first_calls(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    prompts = ", ".join(f"{{id: p{number}, text: mug {number}}}" for number in range(80))
    async with listening(RawGateway((PAGE,))) as gateway:
        use = f"{{use: apiyi/gpt-image-2-vip, base_url: '{gateway.base.removesuffix('/v1')}', key_env: SHOP_KEY}}"
        shop.manifest(f'sizes: ["1:1@1K"]\nprompts: [{prompts}]\nlimits: {{budget: 5}}\n', route=use)
        checked = await asyncio.to_thread(shop.run, "check", "job.yaml")
        assert "does not end in /v1" in checked.stdout + checked.stderr
        done = await asyncio.to_thread(shop.run, "run", "job.yaml", code=4)
    assert "the address answers with a web page; base_url should end in /v1" in done.stdout + done.stderr
    assert gateway.taken <= 32  # what may be in flight, and none of the others
    said = set(shop.query("SELECT DISTINCT outcome, charge FROM attempt"))
    assert said - {("not_sent", "void")} == {("edge_error", "unknown")}  # some were ready, and never left
    assert shop.query("SELECT billed, unknown FROM job") == [(0, gateway.taken * 30_000)]


async def test_page_in_the_middle_of_a_run_is_a_lost_answer_and_the_run_goes_on(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    async with listening(RawGateway((GOOD, PAGE, GOOD))) as gateway:
        use = f"{{use: apiyi/gpt-image-2-vip, base_url: '{gateway.base}', key_env: SHOP_KEY}}"
        prompts = "[{id: a, text: mug}, {id: b, text: cup}]"
        shop.manifest(f'sizes: ["1:1@1K"]\nprompts: {prompts}\nlimits: {{concurrency: 1}}\n', route=use)
        await asyncio.to_thread(shop.run, "run", "job.yaml")
    assert shop.states() == {"completed": 2}
    assert shop.query("SELECT charge FROM attempt ORDER BY id") == [("billed",), ("unknown",), ("billed",)]


def test_charge_of_every_case_is_that_of_the_contract() -> None:
    for case in CASES:
        inside = (
            case.charge is Charge.UNKNOWN and case.kind not in LOST_KINDS
        )  # an error in a 200: nobody says its price
        assert inside or shipped_to(case.route).charges[case.kind] is case.charge, case.name


def test_cases_are_as_many_as_promised_and_each_has_its_name() -> None:
    assert len(CASES) >= 90
    assert len({case.name for case in CASES}) == len(CASES)
