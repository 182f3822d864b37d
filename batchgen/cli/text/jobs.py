"""A job in words: where its tasks stand, and what it has cost."""

from __future__ import annotations

from batchgen.domain.lifecycle import TaskState
from batchgen.domain.money import format_usd
from batchgen.domain.text import counted
from batchgen.ledger.records import JobRow


def states_text(row: JobRow) -> str:
    """Say how many tasks stand where."""
    parts = [f"{row.states[state]} {state}{_outdated(row, state)}" for state in TaskState if row.states.get(state)]
    removed = [f"{row.removed} removed"] if row.removed else []
    return ", ".join(parts + removed) or "no tasks"


def _outdated(row: JobRow, state: TaskState) -> str:
    """Say how many of the delivered images are to be replaced, or could not be."""
    return f" ({row.outdated} outdated)" if row.outdated and state is TaskState.COMPLETED else ""


def money_text(row: JobRow) -> str:
    """Say what a job has cost so far, and of which budget."""
    budget = f" of {format_usd(row.limits.budget)}" if row.limits.budget is not None else ""
    return f"spent {spent_text(row)}{budget}"


def spent_text(row: JobRow) -> str:
    """Say what a job has cost so far: what is known, what may have been charged, what is under way."""
    nameless = f" + {counted(row.unpriced, 'call')} of unknown price" if row.unpriced else ""
    return f"{amounts_text(row.billed, row.unknown, row.reserved)}{nameless}"


def amounts_text(billed: int, maybe: int, held: int) -> str:
    """Word micro-dollars that are billed, that may have been charged, and that are set aside for what is under way."""
    doubtful = f" + maybe {format_usd(maybe)}" if maybe else ""
    return f"{format_usd(billed)}{doubtful}" + (f" + {format_usd(held)} under way" if held else "")
