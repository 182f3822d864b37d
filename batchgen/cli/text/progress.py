"""A run that goes on in words: how far it is, how fast, and what it costs."""

from __future__ import annotations

from datetime import datetime

from batchgen.app.progress import Progress
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted


def pace_text(progress: Progress) -> str:
    """Say how fast it goes, and when it will be done."""
    finish = progress.finish()
    left = "" if finish is None else f" · done about {_local(finish)}"
    return f"{progress.per_minute():.1f} images/min{left}"


def cost_text(progress: Progress) -> str:
    """Say what the job has cost, and how many calls this run has made."""
    maybe = f" + maybe {format_usd(progress.maybe)}" if progress.maybe else ""
    budget = f" of {format_usd(progress.budget)}" if progress.budget is not None else ""
    return f"spent {format_usd(progress.billed)}{maybe}{budget} · {counted(progress.calls, 'call')} in this run"


def progress_line(progress: Progress) -> str:
    """Say all of it in one line."""
    row = progress.total()
    return (
        f"{row.done} done, {row.running} running, {row.waiting} waiting, {row.failed} failed, {row.parked} parked · "
        f"{pace_text(progress)} · {cost_text(progress)}"
    )


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%a %H:%M")
