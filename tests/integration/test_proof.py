"""`verify` beside a run, or after its death: what is on its way is no fault, and what is a fault stays one."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from batchgen.domain.job import Limits
from batchgen.domain.lifecycle import TaskEvent
from batchgen.domain.model import Claim, Settlement
from batchgen.domain.output_image import Image
from batchgen.ledger.audit import Finding
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.runs import NewRun
from batchgen.report import proof
from batchgen.report.proof import Proof, prove
from tests.conftest import ManualClock
from tests.support.ledger import booking, reservation
from tests.support.rig import small_plan

BYTES = b"\x89PNG a whole picture, as far as the books care"


@dataclass
class Place:
    """A ledger with one task that is paid and not settled: attempt 1 of the prompt p0."""

    ledger: Ledger
    output: Path
    claim: Claim
    run: int

    @property
    def part(self) -> Path:
        return self.output / ".batchgen" / "1-0.part"

    @property
    def final(self) -> Path:
        return self.output / "p0" / "1280x1280-1.png"

    async def settle(self, path: Path) -> None:
        image = Image(path.relative_to(self.output).as_posix(), "0" * 64, path.stat().st_size, 1280, 1280, "png")
        await self.ledger.settle(Settlement(self.claim.task, 1, TaskEvent.COMPLETE, image=image))

    def proof(self) -> Proof:
        return prove(self.ledger.path, checksums=False)


@pytest.fixture
async def place(tmp_path: Path) -> Iterator[Place]:
    plan = small_plan(tmp_path, ["a mug", "a jug"], ["1280x1280"], Limits())
    with Ledger.open(tmp_path / "ledger.db", ManualClock()) as ledger:
        ledger.record(plan)
        (claim, _) = await ledger.claim(1, 9, 0.0)
        run = ledger.begin_run(NewRun(1, os.getpid(), socket.gethostname()))
        await ledger.reserve(reservation(claim, run=run))
        await ledger.book(booking(1))
        made = Place(ledger, plan.job.output, claim, run)
        made.part.parent.mkdir(parents=True)
        made.part.write_bytes(BYTES)
        made.final.parent.mkdir()
        yield made


def stranger(path: Path) -> Finding:
    return Finding("file", str(path), "is not in the books")


def linked(place: Place) -> Path:
    place.final.hardlink_to(place.part)
    return place.final


def under_another_name(place: Place) -> Path:
    place.final.write_bytes(b"of the user")
    other = place.final.with_name("1280x1280-1-a1.png")
    other.hardlink_to(place.part)
    return other


def copied(place: Place) -> Path:
    shutil.copy(place.part, place.final)
    return place.final


def claimed(place: Place) -> Path:
    place.final.touch()
    return place.final


def half_copied(place: Place) -> Path:
    half = place.final.with_name(".batchgen-1.part")
    half.write_bytes(BYTES[:10])
    return half


@pytest.mark.parametrize("put", [linked, copied, claimed, half_copied])
async def test_what_an_attempt_has_placed_and_not_settled_is_a_note(place: Place, put) -> None:  # type: ignore[no-untyped-def]
    path = put(place)
    found = place.proof()
    assert found.findings == []
    assert f"{path.as_posix()} of attempt 1 is not settled yet" in found.notes
    if put in {linked, copied}:
        await place.settle(path)
        place.part.unlink()
        found = place.proof()
        assert (found.findings, [note for note in found.notes if "attempt 1" in note]) == ([], [])


async def test_image_under_another_name_is_a_note_and_what_has_its_name_a_finding(place: Place) -> None:
    path = under_another_name(place)
    found = place.proof()
    assert found.findings == [stranger(place.final)]
    assert f"{path.as_posix()} of attempt 1 is not settled yet" in found.notes


@pytest.mark.parametrize("name", ["1280x1280-1.png", "1280x1280-1-a2.png", "1280x1280-2.png", "other.jpg"])
async def test_file_that_only_has_such_a_name_is_a_finding(place: Place, name: str) -> None:
    path = place.final.with_name(name)
    path.write_bytes(b"of somebody else")
    assert place.proof().findings == [stranger(path)]


async def test_link_to_a_picture_whose_attempt_is_settled_is_a_finding(place: Place) -> None:
    await place.settle(linked(place))
    second = place.final.with_name("again.png")
    second.hardlink_to(place.part)
    assert place.proof().findings == [stranger(second)]


async def test_image_that_is_delivered_while_the_folder_is_looked_through_is_no_stranger(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked(place)
    real = proof.walk

    def slowly(folders: list[Path]) -> object:
        found = real(folders)
        settling = threading.Thread(target=lambda: asyncio.run(place.settle(place.final)))
        settling.start()  # what a run does meanwhile: the image gets into the books, and its part out of the spool
        settling.join()
        place.part.unlink()
        return found

    monkeypatch.setattr(proof, "walk", slowly)
    assert place.proof().findings == []


async def test_image_of_a_job_below_anothers_folder_is_no_stranger(place: Place, tmp_path: Path) -> None:
    await place.settle(linked(place))
    outer = small_plan(tmp_path, ["a cup"], ["1280x1280"], Limits())
    outer.job = replace(outer.job, name="outer", output=tmp_path)
    place.ledger.record(outer)
    assert place.proof().findings == []
    assert prove(place.ledger.path, "outer", checksums=False).findings == []


async def test_run_that_goes_on_and_one_that_died_are_told(place: Place) -> None:
    assert any("job: a run goes on, process" in note and "1 task under way" in note for note in place.proof().notes)
    path = place.ledger.path
    place.ledger.close()
    assert any(
        "died with 1 task under way; the next run finishes" in note for note in prove(path, checksums=False).notes
    )


async def test_folder_that_cannot_be_looked_into_is_a_finding(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("p0"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr("os.scandir", refuse)
    assert place.proof().findings == [Finding("file", str(place.final.parent), "cannot be read: Permission denied")]
