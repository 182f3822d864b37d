"""A plan written into the ledger: compared first, then, if whoever asked agrees, written in one transaction.

Between the two nothing is locked, so that a person may think. Nobody else writes meanwhile: one process owns a ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from sqlalchemy import TextClause
from sqlalchemy.engine import Connection

from batchgen.domain.errors import BatchUnderWay, PaidUnderWay, UsageError
from batchgen.domain.job import Difference, Plan
from batchgen.ledger.adoption import Intact, find_adoptable
from batchgen.ledger.batches import open_batches
from batchgen.ledger.diff import as_recorded, difference, is_recorded
from batchgen.ledger.job_rows import job_row, write_job
from batchgen.ledger.staging import PIECE, stage, unstage
from batchgen.ledger.statements import hot, plan_changes
from batchgen.ledger.statements.fragments import first_free
from batchgen.ledger.tables import prompt, variant

Approve = Callable[[Difference], None]
"""Is told what a recording would change, before it does; raises to leave everything as it was."""


@dataclass(frozen=True, slots=True)
class PlanToRecord:
    """A plan that is to be recorded.

    Attributes:
        intact: see `adoption.find_adoptable`.
        rebuy: whether delivered images are bought again that a job-wide key has changed.
        only: prompt keys that must be in it.
    """

    plan: Plan
    intact: Intact
    rebuy: bool
    only: frozenset[str]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What recording a plan would change.

    Attributes:
        job: the job's number; None for a new one.
        staged: whether there is anything to write but the job's own row.
    """

    plan: Plan
    rebuy: bool
    job: int | None
    staged: bool
    difference: Difference


def propose(connection: Connection, wanted: Sequence[PlanToRecord], _now: float) -> list[Proposal]:
    """Compare plans with the ledger and write nothing; the last one stays staged.

    Raises:
        UsageError: a prompt that is asked for by name is not in the plan.
        BatchUnderWay: a batch of the job is under way.
        PaidUnderWay: a paid image that is still to be fetched would be changed.
    """
    return [_propose(connection, asked) for asked in wanted]


def accept(connection: Connection, proposals: Sequence[Proposal], now: float) -> list[None]:
    """Bring jobs, prompts, variants and tasks to what a proposal that is staged says."""
    for proposal in proposals:
        key = write_job(connection, proposal.plan.job, now)
        if proposal.staged:
            changes = proposal.difference
            _write_prompts(connection, key, proposal.plan)
            _write_tasks(connection, {"job": key, "now": now}, proposal)
            _write_files(connection, key, proposal.plan)
            left = 0 if proposal.rebuy else changes.rebuy
            connection.execute(plan_changes.COUNT_PLAN, {"job": key, "tasks": changes.tasks, "rebuy": left})
    return discard(connection, proposals, now)


def discard(connection: Connection, proposals: Sequence[Proposal], _now: float) -> list[None]:
    """Let go of what is staged."""
    unstage(connection)
    return [None] * len(proposals)


def _propose(connection: Connection, asked: PlanToRecord) -> Proposal:
    plan, rebuy = asked.plan, asked.rebuy
    found = job_row(connection, plan.job.name)
    key = None if found is None else int(found.id)
    if found is not None and is_recorded(connection, found, plan, rebuy=rebuy):
        _check_only(connection, plan_changes.RECORDED_KEY, asked, key)
        return Proposal(plan, rebuy, key, staged=False, difference=as_recorded(connection, found, plan))
    running = len(connection.execute(hot.IN_FLIGHT, {"job": key}).all())
    if running and open_batches(connection, [key or 0], 0.0)[0]:
        raise BatchUnderWay(
            f"{running} images of {plan.job.name} are in a batch that is under way; run the manifest as it was to "
            "collect them, then change it"
        )
    stage(connection, key or 0, plan)
    _check_only(connection, plan_changes.STAGED_KEY, asked, key)
    as_planned = connection.execute(plan_changes.RUNNING_AS_PLANNED, {"job": key}).scalar_one() if running else 0
    if touched := running - as_planned:
        unstage(connection)
        raise PaidUnderWay(
            f"{touched} of the paid images of {plan.job.name} that could not be fetched yet are changed or left out by "
            "the manifest; run it as it was until they are there, or leave their rows as they were"
        )
    before = 0 if found is None else found.prompts
    adoptable = find_adoptable(connection, key or 0, asked.intact)
    changes = difference(connection, key or 0, plan, adoptable, rebuy=rebuy, before=before)
    return Proposal(plan, rebuy, key, staged=True, difference=changes)


def _check_only(connection: Connection, query: TextClause, asked: PlanToRecord, key: int | None) -> None:
    """A name that is not there is a slip of the pen, so nothing may be recorded for it."""
    for name in sorted(asked.only):
        if connection.execute(query, {"job": key, "key": name}).one_or_none() is None:
            unstage(connection)
            raise UsageError(f"{asked.plan.job.name} has no prompt {name}; `batchgen tasks` lists those it has")


def _write_prompts(connection: Connection, key: int, plan: Plan) -> None:
    """Prompts and variants, under the numbers that staging gave to new ones."""
    first = first_free(connection, variant)
    rows = [
        {
            "id": first + wanted.number,
            "job_id": key,
            "size": str(wanted.size),
            "width": wanted.size.width,
            "height": wanted.size.height,
            "sample": wanted.sample,
        }
        for wanted in plan.variants
    ]
    if rows:
        connection.execute(plan_changes.NEW_VARIANTS, rows)
    connection.execute(plan_changes.CHANGE_PROMPTS)
    connection.execute(plan_changes.DROP_PROMPTS, {"job": key})
    connection.execute(plan_changes.NEW_PROMPTS, {"job": key, "first": first_free(connection, prompt)})


def _write_files(connection: Connection, key: int, plan: Plan) -> None:
    """The input images of the plan as they were looked at, in place of those of an earlier one."""
    connection.execute(plan_changes.FORGET_INPUT_FILES, {"job": key})
    files = plan.files()
    while piece := [{"job_id": key} | asdict(file) for file in islice(files, PIECE)]:
        connection.execute(plan_changes.NEW_INPUT_FILES, piece)


def _write_tasks(connection: Connection, bound: dict[str, float], proposal: Proposal) -> None:
    fresh = proposal.job is None
    if not fresh:
        connection.execute(plan_changes.REMOVE_TASKS, bound)
        connection.execute(plan_changes.ADOPT, bound)
        connection.execute(plan_changes.REVISE_CHANGED_TASKS, bound)
        if proposal.rebuy:
            connection.execute(plan_changes.REBUY_TASKS, bound)
        connection.execute(plan_changes.SHARE_SETTINGS, bound)
        connection.execute(plan_changes.WANT_TASKS_AGAIN, bound)
    if proposal.difference.new:
        connection.execute(plan_changes.NEW_TASKS_OF_NEW_JOB if fresh else plan_changes.NEW_TASKS, bound)
