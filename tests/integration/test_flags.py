"""Images that a person should look at: of one colour, the same for several tasks, or such as nobody could check."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow

from batchgen.domain.job import Limits
from batchgen.ledger.audit import check
from batchgen.ledger.reader import Reader
from batchgen.report.fields import task_fields
from batchgen.report.summary import Summary, summarise
from batchgen.report.summary_fields import report_fields
from batchgen.simulator.endpoints import answers
from batchgen.store.checks.image import NotJudged
from batchgen.store.output import place
from tests.support.rig import Rig, rig, simulator, small_plan

SIZE = "1:1@1K"
Painter = Callable[[object], bytes]


def painted(kind: str, *colours: int) -> Painter:
    """A gateway's picture of so many colours, always the same."""
    image, out = Pillow.new("RGB", (1280, 1280), (colours[0],) * 3), io.BytesIO()
    for at, colour in enumerate(colours):
        image.putpixel((at, at), (colour,) * 3)
    image.save(out, kind, quality=95, lossless=True)
    return lambda _: out.getvalue()


def summary_of(run: Rig) -> Summary:
    with Reader(run.ledger.path) as reader:
        return summarise(reader, reader.job("job"))


async def bought(folder: Path, texts: list[str], limits: Limits | None = None) -> tuple[dict[str, str], Summary]:
    """The flags of each prompt's image, as exports have them, and the report."""
    plan = small_plan(folder, texts, [SIZE], limits or Limits(concurrency=1))
    async with simulator(folder) as contract, rig(folder, contract, plan) as run:
        await run.runner.run()
        with Reader(run.ledger.path) as reader:
            rows = [task_fields(task) for task in reader.tasks(run.job)]
        return {str(row["id"]): str(row["flags"]) for row in rows}, summary_of(run)


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
async def test_image_of_one_colour_is_flagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(answers, "draw", painted(kind, 0))
    flags, summary = await bought(tmp_path, ["black"])
    assert flags == {"p0": "blank"}
    assert (summary.blank.count, summary.blank.examples) == (1, ["p0/1280x1280/1"])


async def test_same_bytes_for_several_tasks_are_flagged_from_the_second_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "draw", painted("png", 1, 2))
    flags, summary = await bought(tmp_path, ["a", "b", "c"])
    assert flags == {"p0": "", "p1": "duplicate", "p2": "duplicate"}
    assert summary.duplicate.count == 2
    digest = summary.duplicate.examples[0].partition(" ")[2]
    assert summary.duplicate.examples == [f"p1/1280x1280/1 {digest}", f"p2/1280x1280/1 {digest}"]
    assert report_fields(summary, str)["duplicate"] == report_fields(summary, str)["blank"] | {  # type: ignore[operator]
        "count": 2,
        "examples": summary.duplicate.examples,
    }


async def test_images_that_differ_are_not_flagged(tmp_path: Path) -> None:
    flags, summary = await bought(tmp_path, ["a", "b", "c"], Limits(concurrency=3))
    assert flags == {"p0": "", "p1": "", "p2": ""}
    assert (summary.blank.count, summary.duplicate.count) == (0, 0)


async def test_image_that_nobody_could_check_is_kept_and_parked_and_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_: object) -> None:
        raise NotJudged("decoding it takes more time or memory than any image of ours should")

    monkeypatch.setattr(place, "examine", too_much)
    plan = small_plan(tmp_path, ["a"], [SIZE], Limits())
    async with simulator(tmp_path) as contract, rig(tmp_path, contract, plan) as run:
        await run.runner.run()
        assert run.states() == {"parked": 1}
        assert run.query("SELECT charge, outcome FROM attempt") == [("billed", "delivered")]
        [(reason,)] = run.query("SELECT reason FROM task")
        assert reason.startswith("paid, but its image could not be checked (decoding it takes more time or memory")
        kept = tmp_path / "out" / ".batchgen" / "quarantine" / "1-0.part"
        assert kept.stat().st_size > 0
        assert str(kept.relative_to(tmp_path / "out")) in reason
        assert list(check(run.ledger.path)) == []
