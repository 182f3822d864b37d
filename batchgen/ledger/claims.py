"""Which tasks may run now, and which were under way when the last run ended. Nothing here writes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy.engine import Connection

from batchgen.domain.model import Claim
from batchgen.ledger.mapping import dump, load_attempt, load_claim, rows_of
from batchgen.ledger.records import Interrupted, PaidCall
from batchgen.ledger.statements import hot


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A request for tasks that may run.

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


@dataclass(frozen=True, slots=True)
class DueRequest:
    """A request for when the next retry is due.

    Attributes:
        after: seconds since the epoch; only what is scheduled later counts.
        only: as a JSON array, the prompt keys it is about; None for all.
        routes: likewise the values of `Claim.send_route` it is about.
    """

    job: int
    after: float
    only: str | None
    routes: str | None


def claim(connection: Connection, requests: Sequence[ClaimRequest], _now: float) -> list[list[Claim]]:
    """Tasks that may run: retries that are due first, or they would all be left to the end; each in order."""
    return [_claims(connection, request.job, _ready(connection, request)) for request in requests]


def next_due(connection: Connection, requests: Sequence[DueRequest], _now: float) -> list[float | None]:
    """When the next retry after a moment is due."""
    answers = []
    for request in requests:
        query = hot.NEXT_DUE if request.only is None else hot.NEXT_DUE_ONLY
        answers.append(connection.execute(query, asdict(request)).scalar())
    return answers


def diverted(connection: Connection, jobs: Sequence[int], _now: float) -> list[frozenset[str]]:
    """The routes that tasks of jobs were sent on to."""
    return [frozenset(connection.execute(hot.DIVERSIONS, {"job": key}).scalars()) for key in jobs]


def interrupted(connection: Connection, jobs: Sequence[int], _now: float) -> list[list[Interrupted]]:
    """Tasks that are running although no run holds them, with the attempts that do."""
    return [_interrupted(connection, key) for key in jobs]


def paid_calls(connection: Connection, key: int, numbers: Collection[int]) -> list[PaidCall]:
    """Booked attempts of a job by their numbers, with their tasks; those that are not in the books are left out."""
    rows = rows_of(connection.execute(hot.BOOKED_CALLS, {"job": key, "numbers": dump(sorted(numbers))}))
    found = list(map(load_attempt, rows))
    tasks = list(dict.fromkeys(attempt.task for attempt in found))
    claims = {claim.task: claim for claim in _claims(connection, key, tasks)}
    return [PaidCall(claims[attempt.task], attempt) for attempt in found]


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
    queries = (hot.DUE, hot.READY if whole else hot.READY_DIVERTED)
    for query in queries if request.only is None else (hot.DUE_ONLY, hot.READY_ONLY):
        if len(found) < request.count:
            keys = connection.execute(query, values).scalars()
            found.extend(key for key in keys if key not in request.skip)
    return found[: request.count]


def _claims(connection: Connection, key: int, tasks: list[int]) -> list[Claim]:
    if not tasks:
        return []
    owner = connection.execute(hot.OWNER, {"job": key}).mappings().one()
    rows = rows_of(connection.execute(hot.CLAIMS, {"tasks": dump(tasks)}))
    order = {task: place for place, task in enumerate(tasks)}
    return sorted((load_claim(row, owner) for row in rows), key=lambda claim: order[claim.task])


def _interrupted(connection: Connection, key: int) -> list[Interrupted]:
    tasks = list(connection.execute(hot.IN_FLIGHT, {"job": key}).scalars())
    rows = rows_of(connection.execute(hot.HOLDERS, {"tasks": dump(tasks)}))
    holders = {attempt.task: attempt for attempt in map(load_attempt, rows)}
    return [Interrupted(claim, holders[claim.task]) for claim in _claims(connection, key, tasks)]
