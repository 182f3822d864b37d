"""What a person must agree to: money at stake without a limit, images bought twice, a manifest that lost its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.app.planning import PlannedRun
from batchgen.app.run_options import RunOptions
from batchgen.domain.errors import UsageError
from batchgen.domain.money import about_usd, format_usd
from batchgen.domain.walls import lowest
from batchgen.report.headroom import nearest

ASK_ABOVE = 5_000_000  # micro-dollars a run without a limit may cost before somebody is asked
ASK_ABOVE_IMAGES = 20  # delivered images that may be bought again before somebody is asked


@dataclass(frozen=True, slots=True)
class Question:
    """Something unusual that a run is about to do.

    Attributes:
        text: what it is, as the beginning of a sentence.
        option: what agrees to it on the command line.
        other: what may be given there instead, with the words that lead to it; "" for nothing.
    """

    text: str
    option: str = "--yes"
    other: str = ""


def questions(planned: PlannedRun, options: RunOptions, *, rehearse: bool) -> Iterator[Question]:
    """Give what a person must agree to before a plan is recorded, one after the other.

    Args:
        planned: what the run is about to do.
        options: what was asked of it.
        rehearse: whether it costs nothing, so that nobody need be asked about money.

    Raises:
        UsageError: a limit cannot hold. Nothing has changed.
    """
    job, difference, whole = planned.job, planned.difference, planned.forecast
    if difference.prompts_gone * 2 > difference.prompts_before:
        gone = f"{difference.prompts_gone} of the {difference.prompts_before} prompts of {job.name}"
        yield Question(f"{gone} are no longer in it")
    # What the manifest limits was held against its routes when it was read.
    limits = [room.name for room in planned.headrooms if not room.name.startswith("limits.")]
    if limits and whole.calls and whole.worst is None:
        raise UsageError(
            f"nobody can say what every call of {job.name} costs at most, so {' and '.join(limits)} cannot hold; "
            "give its routes a price: in the manifest, or take that away"
        )
    images = most_images(planned, options)
    if not options.rebuy and not rehearse:
        yield from _about_again(planned, images)
    worst = whole.worst_of(images)
    if whole.calls and (worst is None or worst > ASK_ABOVE) and not planned.headrooms and not rehearse:
        cost = "an unknown amount" if worst is None else f"up to {about_usd(worst)}"
        text = f"this may cost {cost} and there is no `limits.budget`"
        yield Question(text, other=", or --max-cost USD for a limit")


def most_images(planned: PlannedRun, options: RunOptions) -> int | None:
    """Say how many images a run can bring at most, by what is asked of it; None for all."""
    most = [] if options.limit is None else [options.limit]
    if options.only is not None:
        most.append(len(options.only) * len(planned.manifest.variants))
    return min(most, default=None)


def _about_again(planned: PlannedRun, images: int | None) -> Iterator[Question]:
    """Ask about delivered images that this run may buy again, where they are many or dear."""
    calls, cost = planned.again.calls, lowest(planned.again.worst_of(images), nearest(planned.headrooms))
    many = calls if images is None else min(calls, images)
    if many <= ASK_ABOVE_IMAGES and (not many or (cost is not None and cost <= ASK_ABOVE)):
        return
    amount = "an unknown amount" if cost is None else f"up to {about_usd(cost)}"
    paid = f"{format_usd(planned.difference.paid)} was paid for {'it' if calls == 1 else f'the {calls} there are'}"
    which = "1 delivered image" if many == 1 else f"{many} delivered images"
    yield Question(f"{which} may be bought again for {amount}; {paid}", option="--rebuy changed")
