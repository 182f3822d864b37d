"""The ledger's own row and those of its jobs: names and numbers, what a manifest says of a job, the ceiling of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row
from sqlalchemy.engine import Connection

from batchgen.domain.job import FourK, JobSpec
from batchgen.ledger.mapping import dump
from batchgen.ledger.statements import registers


def name_ledger(connection: Connection, asked: Sequence[None], _now: float) -> list[str]:
    """The random name of the ledger, given to it where it has none."""
    connection.execute(registers.NAME_LEDGER)
    return [connection.execute(registers.LEDGER_NAME).scalar_one() for _ in asked]


def set_ceiling(connection: Connection, wanted: Sequence[int | None], _now: float) -> list[None]:
    """Let all jobs spend so many micro-dollars in a local calendar month; None for no limit."""
    connection.execute(registers.SET_CEILING, {"monthly": wanted[-1]})
    return [None] * len(wanted)


def find_job(connection: Connection, names: Sequence[str], _now: float) -> list[int | None]:
    """The numbers of jobs; None for those that the ledger does not have."""
    return [connection.execute(registers.JOB_NUMBER, {"name": name}).scalar() for name in names]


def admit(connection: Connection, specs: Sequence[JobSpec], now: float) -> list[int]:
    """The numbers of jobs; one that the ledger does not have is made, to be compared with its manifest by a run."""
    known = find_job(connection, [spec.name for spec in specs], now)
    return [write_job(connection, spec, now) if key is None else key for spec, key in zip(specs, known, strict=True)]


def job_row(connection: Connection, name: str) -> Row[Any] | None:
    """The row of a job; None when there is none of that name."""
    return connection.execute(registers.JOB_BY_NAME, {"name": name}).one_or_none()


def write_job(connection: Connection, spec: JobSpec, now: float) -> int:
    """The job's row from its specification; what was spent and counted stays. Gives its number."""
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
    key: int | None = connection.execute(registers.CHANGE_JOB, values | {"known_as": spec.name}).scalar_one_or_none()
    if key is None:
        zeros = dict.fromkeys(("billed", "unknown", "reserved", "prompts", "tasks", "rebuy"), 0)
        new = values | zeros | {"name": spec.name, "created_at": now}
        key = int(connection.execute(registers.NEW_JOB, new).scalar_one())
    return key
