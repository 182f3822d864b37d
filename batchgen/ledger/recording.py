"""A plan written into the ledger: compared first, then, if whoever asked agrees, written in one transaction.

Between the two nothing is locked, so that a person may think. Nobody else writes meanwhile: one process owns a ledger.
"""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

from sqlalchemy import TextClause, delete, insert, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection

from batchgen.domain.errors import BatchUnderWay, PaidUnderWay, UsageError
from batchgen.domain.job import Difference, FourK, JobSpec, Plan
from batchgen.domain.lifecycle import TRANSITIONS, TaskEvent
from batchgen.ledger import statements as sql
from batchgen.ledger.adoption import ADOPT, Intact, find_adoptable
from batchgen.ledger.batches import open_batches
from batchgen.ledger.diff import as_recorded, difference, is_recorded, known
from batchgen.ledger.mapping import dump
from batchgen.ledger.staging import PIECE, first_free, stage, unstage
from batchgen.ledger.tables import RUNNING, input_file, job, variant

_NEW_PROMPTS = text(
    "INSERT INTO prompt (id, job_id, position, key, text, path, overrides, inputs, wanted) "
    "SELECT :first + position, :job, position, key, text, path, overrides, inputs, 1 FROM staged "
    "WHERE prompt_id IS NULL ORDER BY position"
)
_KNOWN_PROMPTS = text(
    "UPDATE prompt SET position = s.position, text = s.text, path = s.path, overrides = s.overrides, "
    "inputs = s.inputs, wanted = 1 FROM staged s WHERE prompt.id = s.prompt_id AND (prompt.position, prompt.text, "
    "prompt.path, prompt.overrides, prompt.inputs, prompt.wanted) "
    "IS NOT (s.position, s.text, s.path, s.overrides, s.inputs, 1)"
)
_GONE_PROMPTS = text(
    "UPDATE prompt SET wanted = 0 WHERE job_id = :job AND wanted = 1 AND id NOT IN (SELECT prompt_id FROM plan)"
)

_IN_PLAN = (
    "FROM plan p JOIN member m ON m.variant_set = p.variant_set "
    "WHERE task.job_id = :job AND task.prompt_id = p.prompt_id AND task.variant_id = m.variant_id"
)
_may_revise = ", ".join(f"'{state}'" for state in sorted(TRANSITIONS[TaskEvent.REVISE][0]))
_REVISE = (
    f"UPDATE task SET work = '{TRANSITIONS[TaskEvent.REVISE][1]}', wanted = 1, revision = last_revision + 1, "
    "own = p.own, shared = p.shared, quality = p.quality, images = p.images, send_width = NULL, send_height = NULL, "
    "send_route = '', attempts = 0, unknowns = 0, "
    f"calls = 0, scheduled_at = NULL, reason = '', updated_at = :now {_IN_PLAN} AND task.work IN ({_may_revise})"
)
_REMOVED = text(
    "UPDATE task SET wanted = 0, updated_at = :now WHERE job_id = :job AND wanted = 1 AND NOT EXISTS ("
    "SELECT 1 FROM plan p JOIN member m ON m.variant_set = p.variant_set "
    "WHERE p.prompt_id = task.prompt_id AND m.variant_id = task.variant_id)"
)
_WANTED_AGAIN = text(f"UPDATE task SET wanted = 1, updated_at = :now {_IN_PLAN} AND task.wanted = 0")
_CHANGED = text(f"{_REVISE} AND task.own <> p.own")
_REBUY = text(f"{_REVISE} AND task.shared <> p.shared AND task.work = 'completed'")
_SHARED = text(f"UPDATE task SET shared = p.shared {_IN_PLAN} AND task.shared <> p.shared AND task.work <> 'completed'")
_NEW_TASKS = (
    "INSERT INTO task (job_id, prompt_id, variant_id, work, wanted, revision, own, shared, quality, images, "
    "updated_at) SELECT :job, p.prompt_id, m.variant_id, 'available', 1, 1, p.own, p.shared, p.quality, p.images, :now "
    "FROM plan p CROSS JOIN member m ON m.variant_set = p.variant_set {} ORDER BY p.prompt_id, m.number"
)
_ALL_TASKS = text(_NEW_TASKS.format(""))
_MISSING_TASKS = text(
    _NEW_TASKS.format(
        "WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.job_id = :job AND t.prompt_id = p.prompt_id "
        "AND t.variant_id = m.variant_id)"
    )
)
_RUNNING_AS_PLANNED = text(
    f"SELECT count(*) FROM task JOIN plan p JOIN member m ON m.variant_set = p.variant_set WHERE task.job_id = :job "
    f"AND {RUNNING} AND task.prompt_id = p.prompt_id AND task.variant_id = m.variant_id AND task.own = p.own "
    "AND task.shared = p.shared"
)
_STAGED_KEY = text("SELECT 1 FROM staged WHERE key = :key")
_RECORDED_KEY = text("SELECT 1 FROM prompt WHERE job_id = :job AND key = :key AND wanted = 1")
_COUNTERS = text("UPDATE job SET prompts = (SELECT count(*) FROM plan), tasks = :tasks, rebuy = :rebuy WHERE id = :job")


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
            connection.execute(_COUNTERS, {"job": key, "tasks": changes.tasks, "rebuy": left})
    return discard(connection, proposals, now)


def discard(connection: Connection, proposals: Sequence[Proposal], _now: float) -> list[None]:
    """Let go of what is staged."""
    unstage(connection)
    return [None] * len(proposals)


def _propose(connection: Connection, asked: PlanToRecord) -> Proposal:
    plan, rebuy = asked.plan, asked.rebuy
    found = known(connection, plan.job.name)
    key = None if found is None else int(found.id)
    if found is not None and is_recorded(connection, found, plan, rebuy=rebuy):
        _check_only(connection, _RECORDED_KEY, asked, key)
        return Proposal(plan, rebuy, key, staged=False, difference=as_recorded(connection, found, plan))
    running = len(connection.execute(sql.IN_FLIGHT, {"job": key}).all())
    if running and open_batches(connection, [key or 0], 0.0)[0]:
        raise BatchUnderWay(
            f"{running} images of {plan.job.name} are in a batch that is under way; run the manifest as it was to "
            "collect them, then change it"
        )
    stage(connection, key or 0, plan)
    _check_only(connection, _STAGED_KEY, asked, key)
    if running and (touched := running - connection.execute(_RUNNING_AS_PLANNED, {"job": key}).scalar_one()):
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


def write_job(connection: Connection, spec: JobSpec, now: float) -> int:
    """The job's row from its specification; what was spent and counted stays."""
    values = {
        "route": spec.route,
        "model": spec.model,
        "parameters": dump(asdict(spec.parameters)),
        "manifest": str(spec.manifest),
        "output": str(spec.output),
        "source_hash": spec.source_hash,
        "limits": dump(asdict(spec.limits)),
        "downgrade": int(spec.four_k is FourK.DOWNGRADE),
        "updated_at": now,
    }
    zeros = dict.fromkeys(("billed", "unknown", "reserved", "prompts", "tasks", "rebuy"), 0)
    changed = update(job).where(job.c.name == spec.name).values(values).returning(job.c.id)
    key: int | None = connection.execute(changed).scalar_one_or_none()
    if key is None:
        new = insert(job).values(values | zeros | {"name": spec.name, "created_at": now}).returning(job.c.id)
        key = int(connection.execute(new).scalar_one())
    return key


def _write_prompts(connection: Connection, key: int, plan: Plan) -> None:
    """Prompts and variants, under the numbers that staging gave to new ones."""
    first = first_free(connection, "variant")
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
        connection.execute(
            sqlite.insert(variant).on_conflict_do_nothing(index_elements=["job_id", "width", "height", "sample"]), rows
        )
    connection.execute(_KNOWN_PROMPTS)
    connection.execute(_GONE_PROMPTS, {"job": key})
    connection.execute(_NEW_PROMPTS, {"job": key, "first": first_free(connection, "prompt")})


def _write_files(connection: Connection, key: int, plan: Plan) -> None:
    """The input images of the plan as they were looked at, in place of those of an earlier one."""
    connection.execute(delete(input_file).where(input_file.c.job_id == key))
    files = plan.files()
    while piece := [{"job_id": key} | asdict(file) for file in islice(files, PIECE)]:
        connection.execute(insert(input_file), piece)


def _write_tasks(connection: Connection, bound: dict[str, float], proposal: Proposal) -> None:
    fresh = proposal.job is None
    if not fresh:
        connection.execute(_REMOVED, bound)
        connection.execute(ADOPT, bound)
        connection.execute(_CHANGED, bound)
        if proposal.rebuy:
            connection.execute(_REBUY, bound)
        connection.execute(_SHARED, bound)
        connection.execute(_WANTED_AGAIN, bound)
    if proposal.difference.new:
        connection.execute(_ALL_TASKS if fresh else _MISSING_TASKS, bound)
