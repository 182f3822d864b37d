"""A plan poured into temporary tables, piece by piece, so that it is compared in SQL and never held in memory.

`staged` has the prompts, `member` which variants each set of variants has, `plan` one narrow row per prompt with the
number it has, or will have, in the ledger, `adoptable` the earlier images that serve again (filled by `adoption`). A
prompt or variant that the ledger does not know yet gets a number that no task refers to.
"""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from itertools import islice
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.engine import Connection

from batchgen.domain.job import Plan, Prompt
from batchgen.ledger.mapping import dump_inputs, own_quality
from batchgen.ledger.tables import variant

PIECE = 10_000  # prompts per statement: larger is no faster

_TABLES = {
    "staged": "position INTEGER PRIMARY KEY, key TEXT, text TEXT, path TEXT, overrides TEXT, quality TEXT, "
    "own INTEGER, shared INTEGER, variant_set INTEGER, inputs TEXT, images INTEGER, prompt_id INTEGER",
    "member": "variant_set INTEGER, number INTEGER, variant_id INTEGER, PRIMARY KEY (variant_set, number), "
    "UNIQUE (variant_set, variant_id)",
    "plan": "prompt_id INTEGER PRIMARY KEY, position INTEGER, own INTEGER, shared INTEGER, quality TEXT, "
    "images INTEGER, variant_set INTEGER, bytes INTEGER",
    "adoptable": "task_id INTEGER PRIMARY KEY, image_id INTEGER, revision INTEGER, shared INTEGER",
}
_STAGE = "INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
_KNOWN = text("UPDATE staged SET prompt_id = (SELECT p.id FROM prompt p WHERE p.job_id = :job AND p.key = staged.key)")
_NUMBER = text(
    "INSERT INTO plan SELECT coalesce(prompt_id, :first + position), position, own, shared, quality, images, "
    "variant_set, length(CAST(text AS BLOB)) FROM staged ORDER BY position"
)


def stage(connection: Connection, job: int, plan: Plan) -> None:
    """Fill the temporary tables; they last until `unstage`, or as long as the connection.

    Args:
        connection: within a transaction.
        job: the job's number; 0 for one that the ledger does not have.
        plan: read once, as a stream.
    """
    unstage(connection)
    for name, columns in _TABLES.items():
        connection.exec_driver_sql(f"CREATE TEMP TABLE {name} ({columns})")
    _stage_prompts(connection, plan)
    _stage_variants(connection, job, plan)
    connection.execute(_KNOWN, {"job": job})
    connection.execute(_NUMBER, {"first": first_free(connection, "prompt")})


def unstage(connection: Connection) -> None:
    """Drop the temporary tables, if there are any."""
    for name in _TABLES:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS temp.{name}")


def first_free(connection: Connection, table: str) -> int:
    """The first number above all that a table has used."""
    found: int = connection.exec_driver_sql(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").scalar_one()
    return found


def _stage_prompts(connection: Connection, plan: Plan) -> None:
    prompts = plan.prompts()
    while piece := [_row(prompt) for prompt in islice(prompts, PIECE)]:
        connection.exec_driver_sql(_STAGE, piece)


def _row(prompt: Prompt) -> tuple[Any, ...]:
    return (
        prompt.position,
        prompt.key,
        prompt.text,
        prompt.path,
        prompt.overrides,
        own_quality(prompt.overrides),
        prompt.own,
        prompt.shared,
        prompt.variant_set,
        dump_inputs(prompt.inputs),
        prompt.inputs.count,
    )


def _stage_variants(connection: Connection, job: int, plan: Plan) -> None:
    known = {
        (width, height, sample): key
        for key, width, height, sample in connection.execute(
            select(variant.c.id, variant.c.width, variant.c.height, variant.c.sample).where(variant.c.job_id == job)
        )
    }
    first = first_free(connection, "variant")
    numbers = {
        wanted.number: known.get((wanted.size.width, wanted.size.height, wanted.sample), first + wanted.number)
        for wanted in plan.variants
    }
    members = [
        (place, number, numbers[number]) for place, members in enumerate(plan.variant_sets) for number in members
    ]
    if members:
        connection.exec_driver_sql("INSERT INTO member VALUES (?, ?, ?)", members)
