"""Which tasks may run now, and which were under way when the last run ended. Nothing here writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.engine import Connection

from batchgen.domain.model import Claim
from batchgen.ledger import statements as sql
from batchgen.ledger.mapping import dump, load_attempt, load_claims
from batchgen.ledger.records import Interrupted
from batchgen.ledger.tables import attempt, job, task


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A request for claims.

    Attributes:
        now: seconds since the epoch; retries scheduled later are left.
        skip: tasks that the caller holds already.
        only: as a JSON array, the prompt keys it is about; None for all.
        routes: likewise the values of `Claim.send_route` it is about.
    """

    job: int
    count: int
    now: float
    skip: frozenset[int]
    only: str | None
    routes: str | None


def claim(connection: Connection, requests: Sequence[ClaimRequest], _now: float) -> list[list[Claim]]:
    """Tasks that may run: retries that are due first, or they would all be left to the end; each in order."""
    return [_claims(connection, request.job, _ready(connection, request)) for request in requests]


def next_due(
    connection: Connection, requests: Sequence[tuple[int, float, str | None, str | None]], _now: float
) -> list[float | None]:
    """When the next retry after a moment is due, for (job, moment, prompt keys, routes)."""
    answers = []
    for key, after, only, routes in requests:
        query = sql.NEXT_DUE if only is None else sql.NEXT_DUE_ONLY
        values = {"job": key, "after": after, "only": only, "routes": routes}
        answers.append(connection.execute(query, values).scalar())
    return answers


def diverted(connection: Connection, jobs: Sequence[int], _now: float) -> list[frozenset[str]]:
    """The routes that tasks of jobs were sent on to."""
    return [frozenset(connection.execute(sql.DIVERSIONS, {"job": key}).scalars()) for key in jobs]


def interrupted(connection: Connection, jobs: Sequence[int], _now: float) -> list[list[Interrupted]]:
    """Tasks that are running although no run holds them, with the attempts that do."""
    return [_interrupted(connection, key) for key in jobs]


def _ready(connection: Connection, request: ClaimRequest) -> list[int]:
    values = {
        "job": request.job,
        "now": request.now,
        "most": request.count + len(request.skip),
        "only": request.only,
        "routes": request.routes,
    }
    found: list[int] = []
    whole = request.routes is None or '""' in request.routes
    queries = (sql.DUE, sql.READY if whole else sql.READY_DIVERTED)
    for query in queries if request.only is None else (sql.DUE_ONLY, sql.READY_ONLY):
        if len(found) < request.count:
            keys = connection.execute(query, values).scalars()
            found.extend(key for key in keys if key not in request.skip)
    return found[: request.count]


def _claims(connection: Connection, key: int, tasks: list[int]) -> list[Claim]:
    if not tasks:
        return []
    owner = connection.execute(select(job.c.id, job.c.name, job.c.parameters).where(job.c.id == key)).one()
    claims = load_claims(
        (owner.id, owner.name, owner.parameters), connection.execute(sql.CLAIMS, {"tasks": dump(tasks)})
    )
    order = {task: place for place, task in enumerate(tasks)}
    return sorted(claims, key=lambda claim: order[claim.task])


def _interrupted(connection: Connection, key: int) -> list[Interrupted]:
    tasks = list(connection.execute(sql.IN_FLIGHT, {"job": key}).scalars())
    query = select(attempt).join(task, task.c.attempt_id == attempt.c.id).where(task.c.id.in_(sql.listed("tasks")))
    holders = {row.task_id: load_attempt(row) for row in connection.execute(query, {"tasks": dump(tasks)})}
    return [Interrupted(claim, holders[claim.task]) for claim in _claims(connection, key, tasks)]
