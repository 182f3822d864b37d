"""Asking a person: where money is at stake without a limit, and where a manifest has lost most of its rows."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from batchgen.cli.asked import Asked
from batchgen.cli.walls import Room, nearest
from batchgen.domain.errors import UsageError
from batchgen.domain.job import Difference, JobSpec
from batchgen.domain.money import about_usd, format_usd
from batchgen.domain.text import plain
from batchgen.domain.walls import lowest
from batchgen.report.forecast import Forecast

ASK_ABOVE = 5_000_000  # micro-dollars a run without a limit may cost before somebody is asked
ASK_ABOVE_IMAGES = 20  # delivered images that may be bought again before somebody is asked


def approve_cost(
    asked: Asked,
    spec: JobSpec,
    difference: Difference,
    outlook: tuple[Forecast, Forecast],
    rooms: Sequence[Room],
    *,
    images: int | None,
) -> None:
    """Have a person agree to what is unusual; `--yes` has agreed already, but to buying delivered images again.

    Args:
        asked: the command line.
        spec: the job.
        difference: what the ledger is about to take in.
        outlook: of everything that waits to be bought; of those that have an image already.
        rooms: what limits of money leave to this run; where there is one, nobody is asked about the cost.
        images: how many of them this run may buy; None for all.

    Raises:
        UsageError: nobody is there to ask, the answer was no, or a limit cannot hold. Nothing has changed.
    """
    if difference.prompts_gone * 2 > difference.prompts_before:
        gone = f"{difference.prompts_gone} of the {difference.prompts_before} prompts of {spec.name}"
        _ask(f"{gone} are no longer in it", asked)
    whole, again = outlook
    # What the manifest limits was held against its routes when it was read.
    names = " and ".join(room.name for room in rooms if not room.name.startswith("limits."))
    if names and whole.calls and whole.worst is None:
        raise UsageError(
            f"nobody can say what every call of {spec.name} costs at most, so {names} cannot hold; "
            "give its routes a price: in the manifest, or take that away"
        )
    if not asked.rebuy and not asked.rehearse:
        _ask_again(asked, difference, lowest(again.worst_of(images), nearest(rooms)), again.calls, images)
    worst = whole.worst_of(images)
    if whole.calls and (worst is None or worst > ASK_ABOVE) and not rooms and not asked.rehearse:
        cost = "an unknown amount" if worst is None else f"up to {about_usd(worst)}"
        _ask(f"this may cost {cost} and there is no `limits.budget`", asked, other=", or --max-cost USD for a limit")


def _ask_again(asked: Asked, difference: Difference, cost: int | None, calls: int, images: int | None) -> None:
    """Ask about delivered images that this run may buy again, where they are many or dear; `cost` is the worst."""
    many = calls if images is None else min(calls, images)
    if many <= ASK_ABOVE_IMAGES and (not many or (cost is not None and cost <= ASK_ABOVE)):
        return
    amount = "an unknown amount" if cost is None else f"up to {about_usd(cost)}"
    paid = f"{format_usd(difference.paid)} was paid for {'it' if calls == 1 else f'the {calls} there are'}"
    which = "1 delivered image" if many == 1 else f"{many} delivered images"
    _ask(f"{which} may be bought again for {amount}; {paid}", asked, agreed=False, option="--rebuy changed")


def _ask(question: str, asked: Asked, *, agreed: bool | None = None, option: str = "--yes", other: str = "") -> None:
    if asked.yes if agreed is None else agreed:
        return
    if asked.as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{question}; nobody is here to be asked; give {option} if that is right{other}")
    with _ctrl_c_ends_the_question():
        yes = click.confirm(plain(f"{question}. Go on?"), err=True)
    if not yes:
        raise UsageError("nothing was bought")


@contextmanager
def _ctrl_c_ends_the_question() -> Iterator[None]:
    """Have Ctrl-C raise where it is pressed.

    An event loop only marks its main task as cancelled, which shows at the next await: after the answer was recorded.
    """
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
