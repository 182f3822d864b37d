"""Change one row, buy one image: what a plan changes in a ledger, before and after it is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from batchgen.domain.errors import LedgerError, PaidUnderWay, UsageError
from batchgen.domain.job import Ask, Difference, Limits, Parameters, Texts
from batchgen.domain.lifecycle import Charge, TaskEvent, TaskState
from batchgen.ledger.audit import check
from batchgen.ledger.diff import compare
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from tests.conftest import ManualClock
from tests.support.ledger import LARGE, PRICE, SMALL, SmallPlan, deliver, empty_ledger, end, plan, query, reservation


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(empty_ledger(tmp_path / "ledger.db"), ManualClock()) as opened:
        yield opened
    assert check(opened.path) == []


def record(ledger: Ledger, wanted: SmallPlan, *, rebuy: bool = False) -> Difference:
    """Record a plan; comparing before must have foretold the same, and recording it again must change nothing."""
    foretold = compare(ledger.path, wanted, rebuy=rebuy)
    done = ledger.record(wanted, rebuy=rebuy)
    assert done == foretold
    read = wanted.read
    again = ledger.record(wanted)
    assert (wanted.read, again.new, again.changed, again.removed) == (read, 0, 0, 0)
    assert (again.buy, again.waiting, again.delivered) == (done.buy, done.waiting, done.delivered)
    assert {ask: each.total for ask, each in again.texts.items()} == {
        ask: each.total for ask, each in done.texts.items()
    }
    assert all(each.longest <= done.texts[ask].longest for ask, each in again.texts.items())
    assert again.unchanged + again.rebuy == again.tasks == done.tasks
    assert (again.again, again.paid) == (done.again, done.paid)
    assert compare(ledger.path, wanted) == again
    return done


def tasks(ledger: Ledger) -> dict[str, tuple[str, int, int]]:
    rows = query(
        ledger.path,
        "SELECT key || '/' || size || '/' || sample, state, revision, t.wanted FROM task t "
        "JOIN prompt p ON p.id = t.prompt_id JOIN variant v ON v.id = t.variant_id",
    )
    return {key: (state, revision, wanted) for key, state, revision, wanted in rows}


async def buy_all(ledger: Ledger) -> None:
    await deliver(ledger, *await ledger.claim(1, 99, 0.0))


def test_everything_is_new_in_a_ledger_that_does_not_exist(tmp_path: Path) -> None:
    wanted = plan(
        *"abcdefg", sizes=(SMALL, LARGE), parameters=Parameters(quality="high"), overrides={"b": '{"quality":"low"}'}
    )
    found = compare(tmp_path / "none.db", wanted)
    buy = {Ask(SMALL, "high"): 6, Ask(LARGE, "high"): 6, Ask(SMALL, "low"): 1, Ask(LARGE, "low"): 1}
    texts = {ask: Texts(12 * count, 12) for ask, count in buy.items()}
    assert found == Difference(new=14, buy=buy, texts=texts, tasks=14, examples={"new": ["a", "b", "c", "d", "e"]})
    assert found.calls == 14
    assert list(tmp_path.iterdir()) == []


def test_record_makes_one_task_per_prompt_size_and_sample(ledger: Ledger) -> None:
    found = record(ledger, plan("a", "b", sizes=(SMALL, LARGE), samples=2, sets={"b": (LARGE,)}))
    assert (found.new, found.buy) == (6, {Ask(SMALL, ""): 2, Ask(LARGE, ""): 4})
    keys = [f"a/{size}/{sample}" for size in (SMALL, LARGE) for sample in (1, 2)] + [f"b/{LARGE}/{n}" for n in (1, 2)]
    assert list(tasks(ledger)) == keys


async def test_changed_row_is_bought_again_and_keeps_its_history(ledger: Ledger) -> None:
    first = plan("a", "b", "c")
    record(ledger, first)
    await buy_all(ledger)
    found = record(ledger, replace(first, texts={**first.texts, "b": "another photo of b"}))
    assert (found.new, found.changed, found.unchanged, found.delivered, found.calls) == (0, 1, 2, 2, 1)
    assert (found.again, found.paid) == ({Ask(SMALL, ""): 1}, PRICE)
    assert found.examples == {"changed": ["b"]}
    assert tasks(ledger)[f"b/{SMALL}/1"] == ("completed", 2, 1)
    (claim,) = await ledger.claim(1, 9, 0.0)
    assert (claim.text, claim.revision, claim.attempts, claim.calls) == ("another photo of b", 2, 0, 0)
    await deliver(ledger, claim)
    assert query(ledger.path, "SELECT revision FROM image ORDER BY id") == [(1,), (1,), (1,), (2,)]
    assert query(ledger.path, "SELECT billed FROM job") == [(4 * PRICE,)]


async def test_texts_to_be_bought_are_measured_in_bytes_and_no_others(ledger: Ledger) -> None:
    ask, other = Ask(SMALL, ""), Ask(LARGE, "")
    first = replace(plan("a", "b", "c", sizes=(SMALL, LARGE)), texts={"a": "x" * 900, "b": "é" * 50, "c": "y"})
    assert record(ledger, first).texts == {ask: Texts(1001, 900), other: Texts(1001, 900)}
    await deliver(ledger, *await ledger.claim(1, 2, 0.0))  # both of a
    assert ledger.record(first).texts == {ask: Texts(101, 100), other: Texts(101, 100)}
    changed = compare(ledger.path, replace(first, texts={**first.texts, "a": "z" * 300}))
    assert changed.texts == {ask: Texts(401, 300), other: Texts(401, 300)}
    (running,) = await ledger.claim(1, 1, 0.0)
    await ledger.reserve(reservation(running))
    assert ledger.record(first).texts == {ask: Texts(1, 1), other: Texts(101, 100)}


async def test_row_inserted_at_the_top_moves_nobody(ledger: Ledger) -> None:
    record(ledger, plan(*"bcd"))
    await buy_all(ledger)
    found = record(ledger, plan(*"abcd"))
    assert (found.new, found.unchanged, found.delivered, found.calls) == (1, 3, 3, 1)
    assert [claim.key for claim in await ledger.claim(1, 9, 0.0)] == ["a"]
    assert query(ledger.path, "SELECT key FROM prompt ORDER BY position") == [("a",), ("b",), ("c",), ("d",)]


async def test_removed_rows_no_longer_run_and_are_not_bought_twice_when_they_return(ledger: Ledger) -> None:
    full = plan("a", "b", "c")
    record(ledger, full)
    await deliver(ledger, (await ledger.claim(1, 1, 0.0))[0])
    found = record(ledger, plan("c"))
    assert (found.removed, found.unchanged, found.calls) == (2, 1, 1)
    assert (found.prompts_before, found.prompts_gone, found.examples) == (3, 2, {"removed": ["a", "b"]})
    assert [claim.key for claim in await ledger.claim(1, 9, 0.0)] == ["c"]
    assert tasks(ledger)[f"a/{SMALL}/1"] == ("completed", 1, 0)
    found = record(ledger, plan("c", "d"))
    assert (found.new, found.removed, found.prompts_before, found.prompts_gone) == (1, 0, 1, 0)
    found = record(ledger, full)
    assert (found.new, found.changed, found.unchanged, found.removed) == (0, 0, 3, 1)
    assert (found.delivered, found.calls, found.prompts_before, found.prompts_gone) == (1, 2, 2, 1)
    assert [claim.key for claim in await ledger.claim(1, 9, 0.0)] == ["b", "c"]


async def test_row_that_returns_changed_is_a_new_revision(ledger: Ledger) -> None:
    record(ledger, plan("a", "b"))
    await buy_all(ledger)
    record(ledger, plan("b"))
    found = record(ledger, replace(plan("a", "b"), texts={"a": "new", "b": "a photo of b"}))
    assert (found.changed, found.unchanged, found.calls) == (1, 1, 1)
    assert tasks(ledger)[f"a/{SMALL}/1"] == ("completed", 2, 1)


async def test_new_size_is_bought_for_every_row_and_the_others_stay(ledger: Ledger) -> None:
    record(ledger, plan("a", "b"))
    await buy_all(ledger)
    found = record(ledger, plan("a", "b", sizes=(LARGE, SMALL)))
    assert (found.new, found.unchanged, found.buy) == (2, 2, {Ask(LARGE, ""): 2})
    found = record(ledger, plan("a", "b", sizes=(LARGE,)))
    assert (found.removed, found.unchanged, found.calls, found.prompts_gone) == (2, 2, 2, 0)


async def test_job_wide_change_updates_what_is_not_delivered_and_leaves_what_is(ledger: Ledger) -> None:
    record(ledger, plan("a", "b", "c"))
    a, b, _ = await ledger.claim(1, 9, 0.0)
    await deliver(ledger, a)
    await end(ledger, b, TaskEvent.FAIL)
    high = plan("a", "b", "c", parameters=Parameters(quality="high"))
    found = record(ledger, high)
    assert (found.changed, found.unchanged, found.rebuy, found.delivered, found.waiting) == (0, 2, 1, 1, 1)
    assert (found.buy, found.examples) == ({Ask(SMALL, "high"): 1}, {"rebuy": ["a"]})
    assert tasks(ledger)[f"b/{SMALL}/1"] == ("failed", 1, 1)
    (claim,) = await ledger.claim(1, 9, 0.0)
    assert claim.parameters.quality == "high"
    await deliver(ledger, claim)
    assert (await again(ledger, high)).rebuy == 1


async def again(ledger: Ledger, wanted: SmallPlan) -> Difference:
    return ledger.record(wanted)


async def test_rebuy_buys_what_a_job_wide_key_changed_and_only_on_command(ledger: Ledger) -> None:
    record(ledger, plan("a", "b"))
    await buy_all(ledger)
    high = plan("a", "b", parameters=Parameters(quality="high"))
    record(ledger, high)
    assert await ledger.claim(1, 9, 0.0) == []
    found = record(ledger, high, rebuy=True)
    assert (found.rebuy, found.delivered, found.buy) == (2, 0, {Ask(SMALL, "high"): 2})
    assert (found.again, found.paid) == (found.buy, 2 * PRICE)
    assert tasks(ledger)[f"a/{SMALL}/1"] == ("completed", 2, 1)
    await buy_all(ledger)
    found = compare(ledger.path, high)
    assert found == compare(ledger.path, high, rebuy=True)
    assert (found.unchanged, found.rebuy, found.delivered, found.calls) == (2, 0, 2, 0)


async def test_going_back_to_what_was_bought_asks_for_nothing(ledger: Ledger) -> None:
    record(ledger, plan("a"))
    await buy_all(ledger)
    record(ledger, plan("a", parameters=Parameters(quality="high")))
    found = record(ledger, plan("a"))
    assert (found.unchanged, found.rebuy, found.calls) == (1, 0, 0)


async def test_changed_row_leaves_every_state_but_running(ledger: Ledger) -> None:
    record(ledger, plan(*"abcdef"))
    a, b, c, d, *_ = await ledger.claim(1, 9, 0.0)
    await deliver(ledger, a)
    await end(ledger, b, TaskEvent.FAIL)
    await end(ledger, c, TaskEvent.PARK)
    await end(ledger, d, TaskEvent.RETRY, scheduled_at=500.0, send_size=LARGE, lost=True)
    ledger.cancel(1, {"e"})
    assert {state for state, *_ in tasks(ledger).values()} == set(TaskState) - {TaskState.RUNNING}
    found = record(ledger, SmallPlan({key: f"new {key}" for key in "abcdef"}))
    assert (found.changed, found.calls, found.waiting) == (6, 6, 0)
    kept, called, untouched = ("completed", 2, 1), ("available", 2, 1), ("available", 1, 1)
    assert [tasks(ledger)[f"{key}/{SMALL}/1"] for key in "abcdef"] == [
        kept,
        called,
        called,
        called,
        untouched,
        untouched,
    ]
    assert {claim.send_size for claim in await ledger.claim(1, 9, 0.0)} == {SMALL}


async def test_interrupted_tasks_stay_as_they_are_and_hold_up_nothing_else(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    a, _ = await ledger.claim(1, 9, 0.0)
    await ledger.reserve(reservation(a))
    again = ledger.record(plan("a", "b"))
    assert (again.calls, again.under_way) == (1, 1)
    more = compare(ledger.path, plan("a", "b", "c"))
    assert (more.calls, more.under_way) == (2, 1)
    for changed in (plan("b", "c"), SmallPlan({"a": "another photo", "b": "a photo of b"})):
        with pytest.raises(PaidUnderWay, match="1 of the paid images of spring"):
            ledger.record(changed)
    assert len(tasks(ledger)) == 2
    assert ledger.record(plan("a", "b", "c")).new == 1
    assert sorted(state for state, *_ in tasks(ledger).values()) == ["available", "available", "running"]
    (left,) = await ledger.interrupted(1)
    assert left.claim.key == a.key


def test_same_source_is_not_read_again_but_limits_and_output_follow_the_manifest(ledger: Ledger) -> None:
    first = plan("a")
    ledger.record(first)
    ledger.record(replace(plan("a"), limits=Limits(budget=5_000_000), read=0))
    assert query(ledger.path, "SELECT json_extract(limits, '$.budget') FROM job") == [(5_000_000,)]
    assert first.read == 1


def test_disapproved_or_failing_recording_changes_nothing(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    seen: list[Difference] = []

    def refuse(difference: Difference) -> None:
        seen.append(difference)
        raise KeyboardInterrupt

    class Broken(SmallPlan):
        def prompts(self):  # type: ignore[no-untyped-def]
            yield next(super().prompts())
            raise LedgerError("row 2 is broken")

    before = tasks(ledger), query(ledger.path, "SELECT * FROM job")
    with pytest.raises(KeyboardInterrupt):
        ledger.record(plan("b", "c"), approve=refuse)
    with pytest.raises(LedgerError, match="row 2 is broken"):
        ledger.record(Broken({"x": "y"}))
    assert before == (tasks(ledger), query(ledger.path, "SELECT * FROM job"))
    assert [(found.new, found.removed) for found in seen] == [(1, 1)]
    record(ledger, plan("b", "c"))


def test_jobs_of_one_ledger_do_not_touch_each_other(ledger: Ledger) -> None:
    ledger.record(plan("a", "b"))
    found = ledger.record(plan("a", "c", name="autumn", sizes=(LARGE,)))
    assert (found.new, found.removed, found.prompts_before) == (2, 0, 0)
    assert compare(ledger.path, plan("a", "b")).unchanged == 2
    assert (ledger.job("spring"), ledger.job("autumn")) == (1, 2)
    with pytest.raises(LedgerError, match="no job named winter"):
        ledger.job("winter")


def edited(*keys: str, **texts: str) -> SmallPlan:
    """The plan of these keys with some texts changed."""
    whole = plan(*keys)
    return replace(whole, texts=whole.texts | texts)


async def test_text_that_comes_back_is_delivered_by_the_image_that_was_bought_for_it(ledger: Ledger) -> None:
    first, second = plan("a", "b"), edited("a", "b", a="another a", b="another b")
    record(ledger, first)
    await buy_all(ledger)
    record(ledger, second)
    (a, _) = await ledger.claim(1, 9, 0.0)
    await deliver(ledger, a)  # one of the two, as `--limit 1` would
    found = record(ledger, first)
    assert (found.changed, found.adopted, found.calls, found.delivered) == (0, 2, 0, 2)
    assert (found.returned, found.examples) == ((a.task,), {"adopted": ["a", "b"]})
    assert tasks(ledger) == {f"a/{SMALL}/1": ("completed", 1, 1), f"b/{SMALL}/1": ("completed", 1, 1)}
    found = record(ledger, second)
    assert (found.adopted, found.changed, found.again, found.paid) == (1, 1, {Ask(SMALL, ""): 1}, PRICE)
    (b,) = await ledger.claim(1, 9, 0.0)
    assert (b.key, b.revision) == ("b", 2)
    third = record(ledger, edited("a", "b", a="a third a"))
    assert (third.changed, third.adopted) == (1, 1)
    claim = next(iter(await ledger.claim(1, 9, 0.0)))
    assert (claim.key, claim.revision) == ("a", 3)  # above the highest that was ever called


async def test_image_stays_while_its_successor_is_refused_lost_or_cancelled_and_the_old_text_buys_nothing(
    ledger: Ledger,
) -> None:
    first = plan("a", "b", "c", "d")
    record(ledger, first)
    await buy_all(ledger)
    record(ledger, edited(*"abcd", a="1", b="2", c="3", d="4"))
    a, b, c, _ = await ledger.claim(1, 9, 0.0)
    await end(ledger, a, TaskEvent.FAIL)
    await end(ledger, b, TaskEvent.PARK, Charge.UNKNOWN, lost=True)
    await end(ledger, c, TaskEvent.RETRY, scheduled_at=500.0)
    ledger.cancel(1, {"d"})
    with Reader(ledger.path) as reader:
        job, rows = reader.job("spring"), list(reader.tasks(1))
    assert (job.states, job.outdated) == ({TaskState.COMPLETED: 4}, 4)
    assert [(row.state, row.work, row.flags) for row in rows] == [
        (TaskState.COMPLETED, work, ("outdated",))
        for work in (TaskState.FAILED, TaskState.PARKED, TaskState.RETRYABLE, TaskState.CANCELLED)
    ]
    found = record(ledger, first)
    assert (found.adopted, found.calls, found.waiting, found.returned) == (4, 0, 0, ())
    with Reader(ledger.path) as reader:
        assert (reader.job("spring").outdated, {row.work for row in reader.tasks(1)}) == (0, {TaskState.COMPLETED})


async def test_image_whose_file_is_gone_or_damaged_is_not_adopted_but_said(ledger: Ledger) -> None:
    first, second = plan("a"), edited("a", a="another a")
    record(ledger, first)
    await buy_all(ledger)
    record(ledger, second)
    await buy_all(ledger)
    asked: list[tuple[str, int, str]] = []

    def gone(*image: object) -> bool:
        asked.append(image)  # type: ignore[arg-type]
        return False

    foretold = compare(ledger.path, first, gone)
    found = ledger.record(first, intact=gone)
    assert found == foretold
    assert (found.adopted, found.changed, found.calls, found.lost) == (0, 1, 1, ("a/1280x1280-1.png",))
    assert asked == [("a/1280x1280-1.png", 12_345, "b" * 64)] * 2


async def test_job_wide_setting_that_comes_back_finds_its_image_and_another_is_kept(ledger: Ledger) -> None:
    plain, high = plan("a"), plan("a", parameters=Parameters(quality="high"))
    record(ledger, plain)
    await buy_all(ledger)
    record(ledger, high, rebuy=True)
    await buy_all(ledger)
    found = record(ledger, plain, rebuy=True)  # what was bought for the very same serves, whatever is said
    assert (found.adopted, found.rebuy, found.calls) == (1, 0, 0)
    changed = replace(edited("a", a="another a"), parameters=Parameters(quality="high"))
    record(ledger, changed)
    found = record(ledger, replace(plain, parameters=Parameters(quality="low")))
    assert (found.adopted, found.rebuy, found.calls) == (1, 1, 0)
    found = record(ledger, replace(plain, parameters=Parameters(quality="low")), rebuy=True)
    assert (found.rebuy, found.calls, found.again) == (1, 1, {Ask(SMALL, "low"): 1})


def test_prompt_that_is_not_there_leaves_the_ledger_as_it_was(ledger: Ledger) -> None:
    record(ledger, plan("a"))
    for wanted in (plan("a"), edited("a", a="another a")):
        with pytest.raises(UsageError, match="has no prompt SKU9"):
            ledger.record(wanted, only={"a", "SKU9"})
    assert query(ledger.path, "SELECT text FROM prompt") == [("a photo of a",)]
