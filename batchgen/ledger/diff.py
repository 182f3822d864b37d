"""A plan compared with what the ledger has: new, changed, adopted, unchanged, removed. Nothing here writes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Row
from sqlalchemy.engine import Connection

from batchgen.domain.inputs import InputFile
from batchgen.domain.job import Ask, Difference, Plan, Texts
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.size import Size
from batchgen.ledger.adoption import Adoptable, Intact, by_the_books, find_adoptable
from batchgen.ledger.connect import empty_ledger, reading
from batchgen.ledger.job_rows import job_row
from batchgen.ledger.mapping import rows_of
from batchgen.ledger.staging import stage
from batchgen.ledger.statements import plan_changes, registers
from batchgen.ledger.statements.plan_changes import LEFT_TO_BUY

_EXAMPLES = 5

_Asked = tuple[int, str, int]  # variant, own quality, input images


def compare(path: Path, plan: Plan, intact: Intact = by_the_books, *, rebuy: bool = False) -> Difference:
    """What recording a plan would change, found without writing; a ledger that does not exist yet has nothing.

    Args:
        path: the ledger.
        plan: not read when the ledger has recorded the very same source.
        intact: see `adoption.find_adoptable`.
        rebuy: also buy again what a job-wide key has changed.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    with reading(path) if path.exists() else empty_ledger() as connection:
        found = job_row(connection, plan.job.name)
        if found is not None and is_recorded(connection, found, plan, rebuy=rebuy):
            return as_recorded(connection, found, plan)
        key = 0 if found is None else found.id
        stage(connection, key, plan)
        adoptable = find_adoptable(connection, key, intact)
        before = 0 if found is None else found.prompts
        return difference(connection, key, plan, adoptable, rebuy=rebuy, before=before)


def is_recorded(connection: Connection, found: Row[Any], plan: Plan, *, rebuy: bool) -> bool:
    """Whether a plan was recorded from the very same source and files, and nothing waits to be bought again."""
    if found.source_hash != plan.job.source_hash or (rebuy and found.rebuy):
        return False
    return plan.unchanged(input_files(connection, found.id))


def input_files(connection: Connection, key: int) -> Iterator[InputFile]:
    """The local references and masks of a job as they were last looked at."""
    return (InputFile(**row) for row in rows_of(connection.execute(registers.INPUT_FILES, {"job": key})))


def as_recorded(connection: Connection, found: Row[Any], plan: Plan) -> Difference:
    """The difference to a plan that was recorded already: none, and what is left to do."""
    variants = connection.execute(registers.JOB_VARIANTS, {"job": found.id})
    tally = _Tally(plan, {row.id: Size(row.width, row.height) for row in variants})
    left = connection.execute(plan_changes.TEXTS_LEFT, {"job": found.id}) if plan.job.priced_by_text else ()
    texts = {(row.variant_id, row.quality, row.images): Texts(row.length, row.longest) for row in left}
    for row in connection.execute(plan_changes.CENSUS_AS_RECORDED, {"job": found.id}):
        ask: _Asked = (row.variant_id, row.quality, row.images)
        work = TaskState(row.work)
        waits = work in LEFT_TO_BUY  # the first such row takes the texts of all with the same price
        tally.keep(work, ask, row.tasks, texts.pop(ask, Texts()) if waits else Texts(), has=row.has)
    return tally.total(
        tasks=found.tasks,
        unchanged=found.tasks - found.rebuy,
        rebuy=found.rebuy,
        prompts_before=found.prompts,
        paid=connection.execute(plan_changes.PAID_AS_RECORDED, {"job": found.id}).scalar_one() if tally.again else 0,
    )


def difference(
    connection: Connection, key: int, plan: Plan, adoptable: Adoptable, *, rebuy: bool, before: int
) -> Difference:
    """Compare a staged plan with the tasks of a job.

    Args:
        connection: with the plan's temporary tables.
        key: the job's number.
        plan: for its variants.
        adoptable: what serves again; the temporary table has it too.
        rebuy: whether delivered tasks that a job-wide key has changed are bought again.
        before: prompts the job wanted so far.
    """
    members = {(row.variant_set, row.number): row.variant_id for row in connection.execute(plan_changes.MEMBERS)}
    tally = _Tally(plan, {identity: plan.variants[number].size for (_, number), identity in members.items()})
    missing, written = _planned(connection, members)
    counts: Counter[str] = Counter()
    planned = missing.total()
    for row in connection.execute(plan_changes.CENSUS, {"job": key}):
        if row.change == "gone":
            counts["removed"] += row.tasks * row.wanted
            continue
        ask: _Asked = (row.variant_id, row.quality, row.images)
        texts = Texts(row.length, row.longest)
        missing[ask] -= row.tasks
        written[ask] += Texts(-row.length)
        work = TaskState.COMPLETED if row.change == "adopted" else TaskState(row.work)
        has = row.has or row.change == "adopted"
        kept = row.other and row.change != "changed" and work is TaskState.COMPLETED
        counts["rebuy"] += row.tasks * kept
        counts["unchanged" if row.change == "same" else row.change] += row.tasks * (row.change != "same" or not kept)
        if row.change == "changed" or (kept and rebuy):
            tally.buy(ask, row.tasks, texts, has=has)
        else:
            tally.keep(work, ask, row.tasks, texts, has=has)
    for ask, tasks in missing.items():
        counts["new"] += tasks
        tally.buy(ask, tasks, written[ask])
    return tally.total(
        **counts,
        tasks=planned,
        returned=adoptable.returned,
        lost=adoptable.lost,
        paid=connection.execute(plan_changes.PAID, {"job": key, "rebuy": rebuy}).scalar_one() if tally.again else 0,
        examples=_examples(connection, key, counts),
        prompts_before=before,
        prompts_gone=connection.execute(plan_changes.GONE_PROMPTS, {"job": key}).scalar_one(),
    )


class _Tally:
    """Tasks counted by what becomes of them."""

    def __init__(self, plan: Plan, sizes: dict[int, Size]) -> None:
        self._sizes = sizes
        self._quality = plan.job.parameters.quality or ""
        self.again: Counter[Ask] = Counter()
        self._buy: Counter[Ask] = Counter()
        self._texts: dict[Ask, Texts] = {}
        self._delivered = 0
        self._under_way = 0
        self._waiting = 0

    def buy(self, asked: _Asked, tasks: int, texts: Texts, *, has: bool = False) -> None:
        variant_id, quality, images = asked
        if tasks:
            ask = Ask(self._sizes[variant_id], quality or self._quality, images)
            self._buy[ask] += tasks
            if has:
                self.again[ask] += tasks
            self._texts[ask] = self._texts.get(ask, Texts()) + texts

    def keep(self, work: TaskState, asked: _Asked, tasks: int, texts: Texts, *, has: bool) -> None:
        if work is TaskState.RUNNING:
            self._under_way += tasks
        elif work in LEFT_TO_BUY:
            self.buy(asked, tasks, texts, has=has)
        else:
            self._delivered += tasks * has
            self._waiting += tasks * (work in (TaskState.FAILED, TaskState.PARKED))

    def total(self, **counts: Any) -> Difference:
        return Difference(
            buy=dict(self._buy),
            again=dict(self.again),
            texts=self._texts,
            delivered=self._delivered,
            under_way=self._under_way,
            waiting=self._waiting,
            **counts,
        )


def _planned(
    connection: Connection, members: dict[tuple[int, int], int]
) -> tuple[Counter[_Asked], dict[_Asked, Texts]]:
    """Tasks of the plan and their texts by variant, own quality and input images, without looking at each."""
    sets: dict[int, list[int]] = {}
    for (place, _), identity in members.items():
        sets.setdefault(place, []).append(identity)
    planned: Counter[_Asked] = Counter()
    written: defaultdict[_Asked, Texts] = defaultdict(Texts)
    for row in connection.execute(plan_changes.PLANNED):
        for identity in sets.get(row.variant_set, ()):
            planned[identity, row.quality, row.images] += row.prompts
            written[identity, row.quality, row.images] += Texts(row.length, row.longest)
    return planned, written


def _examples(connection: Connection, key: int, counts: Counter[str]) -> dict[str, list[str]]:
    """A few prompt keys of each kind of change there is."""
    return {
        change: list(connection.execute(query, {"job": key, "most": _EXAMPLES}).scalars())
        for change, query in plan_changes.EXAMPLES.items()
        if counts[change]
    }
