"""A plan poured into temporary tables, piece by piece, so that it is compared in SQL and never held in memory.

`staged` has the prompts, `member` which variants each set of variants has, `plan` one narrow row per prompt with the
number it has, or will have, in the ledger, `adoptable` the earlier images that serve again (filled by `adoption`). A
prompt or variant that the ledger does not know yet gets a number that no task refers to.
"""

from __future__ import annotations

from itertools import islice
from typing import Any

from sqlalchemy.engine import Connection

from batchgen.domain.job import Plan, Prompt
from batchgen.ledger.mapping import dump_inputs, own_quality
from batchgen.ledger.statements import plan_changes, registers
from batchgen.ledger.statements.fragments import first_free
from batchgen.ledger.tables import prompt, variant

PIECE = 10_000  # prompts per statement: larger is no faster


def stage(connection: Connection, job: int, plan: Plan) -> None:
    """Fill the temporary tables; they last until `unstage`, or as long as the connection.

    Args:
        connection: within a transaction.
        job: the job's number; 0 for one that the ledger does not have.
        plan: read once, as a stream.
    """
    unstage(connection)
    for create in plan_changes.CREATE_TEMPORARY.values():
        connection.exec_driver_sql(create)
    _stage_prompts(connection, plan)
    _stage_variants(connection, job, plan)
    connection.execute(plan_changes.FIND_KNOWN_PROMPTS, {"job": job})
    connection.execute(plan_changes.NUMBER_PROMPTS, {"first": first_free(connection, prompt)})


def unstage(connection: Connection) -> None:
    """Drop the temporary tables, if there are any."""
    for drop in plan_changes.DROP_TEMPORARY.values():
        connection.exec_driver_sql(drop)


def _stage_prompts(connection: Connection, plan: Plan) -> None:
    prompts = plan.prompts()
    while piece := [_row(each) for each in islice(prompts, PIECE)]:
        connection.exec_driver_sql(plan_changes.STAGE_PROMPT, piece)


def _row(staged: Prompt) -> tuple[Any, ...]:
    """The columns of `plan_changes.STAGED`."""
    own = own_quality(staged.overrides), dump_inputs(staged.inputs), staged.inputs.count
    return (*plan_changes.PROMPT.values(staged), *own)


def _stage_variants(connection: Connection, job: int, plan: Plan) -> None:
    known = {
        (row.width, row.height, row.sample): row.id for row in connection.execute(registers.JOB_VARIANTS, {"job": job})
    }
    first = first_free(connection, variant)
    numbers = {
        wanted.number: known.get((wanted.size.width, wanted.size.height, wanted.sample), first + wanted.number)
        for wanted in plan.variants
    }
    members = [
        {"variant_set": place, "number": number, "variant_id": numbers[number]}
        for place, members in enumerate(plan.variant_sets)
        for number in members
    ]
    if members:
        connection.exec_driver_sql(plan_changes.STAGE_MEMBER, members)
