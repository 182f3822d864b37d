"""What a spool holds when its ledger is lost: whole answers are finished without a call, whatever kind they are."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from batchgen.cli.main import cli
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import StoreError
from batchgen.domain.job import Limits
from tests.support.rig import (
    Rig,
    SmallPlan,
    die_before_booking,
    dies,
    place_nothing,
    rig,
    run_until_it_dies,
    simulator,
    small_plan,
)

PRICE = 30_000
SMALL = ["1:1@1K"]


class AnHourLater(SystemClock):
    """The machine's clock at the next start."""

    def now(self) -> float:
        return super().now() + 3600.0


def fails(*_: Any, **__: Any) -> Any:
    raise StoreError("the disk is away")


def lose(folder: Path) -> None:
    for path in folder.glob("ledger.db*"):
        path.unlink()


def rebuild(folder: Path, *words: str, code: int = 0) -> str:
    command = ["rebuild", "job", "--from", str(folder / "out"), "--db", str(folder / "ledger.db"), *words]
    with ThreadPoolExecutor(1) as pool:  # the command runs a loop of its own
        done = pool.submit(CliRunner().invoke, cli, command).result()
    assert done.exit_code == code, done.output
    return done.output


async def bought_but_not_placed(folder: Path, contract: Any, plan: SmallPlan) -> None:
    """Every answer is whole in the spool, and none is an image yet."""
    async with rig(folder, contract, plan) as run:
        place_nothing(run)
        run.hand.download = fails  # type: ignore[method-assign]
        run.job_run.drain = lambda _reason: None  # type: ignore[method-assign]
        await run.runner.run()


async def finish(folder: Path, contract: Any, plan: SmallPlan) -> Rig:
    """The next run: recover, record, buy the rest."""
    async with rig(folder, contract, plan, record=False) as again:
        await again.recover()
        again.ledger.record(plan)
        await again.runner.run()
        return again


@pytest.mark.parametrize("mark", ["", " [[sim:url]]"])
async def test_whole_answers_of_a_lost_ledger_are_finished_without_a_call(tmp_path: Path, mark: str) -> None:
    plan = small_plan(tmp_path, [f"mug {n}{mark}" for n in range(5)], SMALL, Limits(concurrency=5))
    async with simulator(tmp_path) as contract:
        await bought_but_not_placed(tmp_path, contract, plan)
        receipts = len(list((tmp_path / "out" / ".batchgen").glob("[0-9]*.json")))
        assert receipts == 5
        lose(tmp_path)
        assert "5 whole answers" in rebuild(tmp_path)
        assert "0 images entered" in rebuild(tmp_path)
        ended = await finish(tmp_path, contract, plan)
        assert (ended.states(), len(ended.bill()), len(ended.images())) == ({"completed": 5}, 5, 5)
        assert ended.query("SELECT billed, unknown, reserved FROM job") == [(5 * PRICE, 0, 0)]
        assert CliRunner().invoke(cli, ["verify", "--db", str(tmp_path / "ledger.db")]).exit_code == 0


async def test_download_that_is_whole_is_not_fetched_again(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug [[sim:url]]"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        async with rig(tmp_path, contract, plan) as run:
            place_nothing(run)
            await run.runner.run()
        lose(tmp_path)
        assert "1 whole answer" in rebuild(tmp_path)
        async with rig(tmp_path, contract, plan, record=False) as again:
            again.hand.download = dies  # type: ignore[method-assign]
            assert (await again.recover()).placed == 1
            assert len(again.bill()) == 1


async def test_backup_made_in_mid_run_is_finished_as_the_folder_tells(tmp_path: Path) -> None:
    """Attempts that were under way in the copy, delivered since: their images are not bought again."""
    plan = small_plan(tmp_path, [f"mug {n}" for n in range(4)], SMALL, Limits(concurrency=4))
    async with simulator(tmp_path) as contract:
        await bought_but_not_placed(tmp_path, contract, plan)
        shutil.copy(tmp_path / "ledger.db", tmp_path / "backup.db")
        await finish(tmp_path, contract, plan)
        lose(tmp_path)
        shutil.copy(tmp_path / "backup.db", tmp_path / "ledger.db")
        rebuild(tmp_path)
        async with rig(tmp_path, contract, plan, record=False) as again:
            assert again.states() == {"completed": 4}
            assert (await again.recover()).total == 0
            again.ledger.record(plan)
            await again.runner.run()
            assert again.query("SELECT billed, unknown, reserved FROM job") == [(4 * PRICE, 0, 0)]
            assert len(again.bill()) == 4


async def test_call_that_was_not_booked_in_a_backup_is_booked_as_the_folder_tells(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        await die_before_booking(tmp_path, contract, plan)
        shutil.copy(tmp_path / "ledger.db", tmp_path / "backup.db")
        await finish(tmp_path, contract, plan)
        lose(tmp_path)
        shutil.copy(tmp_path / "backup.db", tmp_path / "ledger.db")
        assert "1 image entered" in rebuild(tmp_path)
        async with rig(tmp_path, contract, plan, record=False) as again:
            assert (await again.recover()).total == 0
            assert again.query("SELECT billed, unknown, reserved FROM job") == [(PRICE, 0, 0)]
            assert len(again.bill()) == 1
            said = CliRunner().invoke(cli, ["verify", "--db", str(tmp_path / "ledger.db")])
            assert said.exit_code == 0, said.output


async def test_call_that_a_later_one_overtook_is_booked_as_maybe_paid(tmp_path: Path) -> None:
    """The copy has an attempt under way; it was lost since, and another brought the image."""
    plan = small_plan(tmp_path, ["a mug"], SMALL, Limits(unknown=3))
    async with simulator(tmp_path) as contract:
        async with rig(tmp_path, contract, plan) as run:
            run.hand.send = dies  # type: ignore[method-assign]
            await run_until_it_dies(run)
        shutil.copy(tmp_path / "ledger.db", tmp_path / "backup.db")
        ended = await finish(tmp_path, contract, plan)
        assert ended.query("SELECT billed, unknown, reserved FROM job") == [(PRICE, PRICE, 0)]
        lose(tmp_path)
        shutil.copy(tmp_path / "backup.db", tmp_path / "ledger.db")
        assert "1 image entered" in rebuild(tmp_path)
        async with rig(tmp_path, contract, plan, record=False) as again:
            assert (await again.recover()).total == 0
            assert again.states() == {"completed": 1}
            assert again.query("SELECT billed, unknown, reserved FROM job") == [(PRICE, PRICE, 0)]
        assert CliRunner().invoke(cli, ["verify", "--db", str(tmp_path / "ledger.db")]).exit_code == 0


async def test_address_of_a_lost_ledger_expires_when_it_would_have(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug [[sim:url]]"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        await bought_but_not_placed(tmp_path, contract, plan)
        async with rig(tmp_path, contract, plan, record=False) as first:
            told = first.query("SELECT url_expires FROM attempt")[0][0]
        lose(tmp_path)
        rebuild(tmp_path)
        async with rig(tmp_path, contract, plan, record=False) as again:
            again.hand.download = fails  # type: ignore[method-assign]
            again.route.books._clock = AnHourLater()
            await again.recover()
            assert again.query("SELECT url_expires FROM attempt")[0][0] == pytest.approx(told, abs=60.0)


async def test_half_answer_of_a_lost_ledger_is_kept_aside_and_stops_nothing(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["mug 0", "mug 1"], SMALL, Limits(concurrency=1))
    async with simulator(tmp_path) as contract:
        await bought_but_not_placed(tmp_path, contract, plan)
        lose(tmp_path)
        spool = tmp_path / "out" / ".batchgen"
        (spool / "77-0.part").write_bytes(b"half")
        (spool / "78.json").write_bytes(b'{"attempt": 78, "ending": "complete", "status": 200}')
        (spool / "79.json").write_bytes(b"{")
        said = rebuild(tmp_path, code=3)
        assert "the answer of attempt 78: its receipt does not tell what it was for" in said
        assert "the answer of attempt 79: not a receipt" in said
        assert (spool / "quarantine" / "77-0.part").read_bytes() == b"half"
        assert {path.name for path in spool.glob("7*")} == set()
        rebuild(tmp_path)
        assert len((await finish(tmp_path, contract, plan)).bill()) == 2


async def test_answer_under_the_number_of_another_attempt_is_not_taken_for_it(tmp_path: Path) -> None:
    """The ledger began anew while the spool still had answers: a receipt tells whose it is."""
    mug, vase = small_plan(tmp_path, ["a mug"], SMALL, Limits()), small_plan(tmp_path, ["a vase"], SMALL, Limits())
    async with simulator(tmp_path) as contract:
        await bought_but_not_placed(tmp_path, contract, mug)
        spool = tmp_path / "out" / ".batchgen"
        shutil.copytree(spool, tmp_path / "kept")
        shutil.rmtree(tmp_path / "out")
        lose(tmp_path)
        async with rig(tmp_path, contract, vase) as run:
            run.hand.send = dies  # type: ignore[method-assign]
            await run_until_it_dies(run)
        for path in (tmp_path / "kept").glob("1*"):
            shutil.copy(path, spool)
        async with rig(tmp_path, contract, vase, record=False) as again:
            found = await again.recover()
            assert (found.lost, found.placed) == (1, 0)
            assert (spool / "quarantine" / "1-0.part").exists()
