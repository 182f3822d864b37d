"""A plan compared with what the ledger has: new, changed, adopted, unchanged, removed. Nothing here writes."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.engine import Connection

from batchgen.domain.inputs import InputFile
from batchgen.domain.job import Ask, Difference, Plan, Texts
from batchgen.domain.lifecycle import WAITING, TaskState
from batchgen.domain.size import Size
from batchgen.ledger.adoption import Adoptable, Intact, by_the_books, find_adoptable
from batchgen.ledger.connect import empty_ledger, reading
from batchgen.ledger.staging import stage
from batchgen.ledger.tables import input_file, job, variant

EXAMPLES = 5

_Asked = tuple[int, str, int]  # variant, own quality, input images
_LEFT = WAITING - {TaskState.RUNNING}
_left = ", ".join(repr(str(state)) for state in sorted(_LEFT))

# Every task of the job, with its prompt and variant in the plan; `m.number` is NULL where the plan has it no more.
_JOINED = (
    "FROM task t LEFT JOIN plan p ON p.prompt_id = t.prompt_id "
    "LEFT JOIN member m ON m.variant_set = p.variant_set AND m.variant_id = t.variant_id "
    "LEFT JOIN adoptable a ON a.task_id = t.id"
)
_COMPARED = f"{_JOINED} WHERE t.job_id = :job"
_CENSUS = text(
    "SELECT CASE WHEN m.number IS NULL THEN 'gone' WHEN a.task_id IS NOT NULL THEN 'adopted' "
    "WHEN t.own <> p.own THEN 'changed' ELSE 'same' END AS change, coalesce(a.shared, t.shared) <> p.shared AS other, "
    "t.work, t.image_id IS NOT NULL AS has, t.wanted, t.variant_id, p.quality, p.images, count(*) AS tasks, "
    f"coalesce(sum(p.bytes), 0) AS length, coalesce(max(p.bytes), 0) AS longest {_COMPARED} "
    "GROUP BY 1, 2, 3, 4, 5, 6, 7, 8"
)
_PAID = text(
    f"SELECT coalesce(sum(c.billed), 0) {_JOINED} JOIN attempt c ON c.id = t.image_id WHERE t.job_id = :job "
    "AND m.number IS NOT NULL AND ((a.task_id IS NULL AND (t.own <> p.own "
    f"OR t.work IN ({_left}))) OR (:rebuy AND coalesce(a.shared, t.shared) <> p.shared))"
)
_PLANNED = text("SELECT variant_set, quality, images, count(*), sum(bytes), max(bytes) FROM plan GROUP BY 1, 2, 3")
_GONE = text(
    "SELECT count(*) FROM prompt WHERE job_id = :job AND wanted = 1 AND id NOT IN (SELECT prompt_id FROM plan)"
)
# In the order of the plan, and of the ledger: each stops as soon as it has enough.
_EXAMPLES = {
    "new": text(
        "SELECT s.key FROM staged s WHERE EXISTS (SELECT 1 FROM member m WHERE m.variant_set = s.variant_set "
        "AND NOT EXISTS (SELECT 1 FROM task t WHERE t.job_id = :job AND t.prompt_id = s.prompt_id "
        "AND t.variant_id = m.variant_id)) "
        "ORDER BY s.position LIMIT :most"
    )
} | {
    change: text(
        f"SELECT q.key FROM prompt q NOT INDEXED WHERE q.job_id = :job AND EXISTS (SELECT 1 {_COMPARED} "
        f"AND t.prompt_id = q.id AND {condition}) ORDER BY q.id LIMIT :most"
    )
    for change, condition in {
        "changed": "m.number IS NOT NULL AND a.task_id IS NULL AND t.own <> p.own",
        "adopted": "m.number IS NOT NULL AND a.task_id IS NOT NULL",
        "removed": "m.number IS NULL AND t.wanted = 1",
        "rebuy": "m.number IS NOT NULL AND coalesce(a.shared, t.shared) <> p.shared "
        "AND (a.task_id IS NOT NULL OR (t.own = p.own AND t.work = 'completed'))",
    }.items()
}
_AS_RECORDED = text(
    "SELECT state = 'completed' AS has, work, variant_id, quality, images, count(*) AS tasks "
    "FROM task INDEXED BY ix_task_counts WHERE job_id = :job AND wanted = 1 GROUP BY 1, 2, 3, 4, 5"
)
_PAID_AS_RECORDED = text(
    "SELECT coalesce(sum(c.billed), 0) FROM task t INDEXED BY ix_task_counts JOIN attempt c ON c.id = t.image_id "
    f"WHERE t.job_id = :job AND t.wanted = 1 AND t.state = 'completed' AND t.work IN ({_left})"
)

# Only of what is left to buy: the texts of all the others need not be read.
_TEXTS_LEFT = text(
    "SELECT t.variant_id, t.quality, t.images, sum(length(CAST(q.text AS BLOB))), max(length(CAST(q.text AS BLOB))) "
    "FROM task t JOIN prompt q ON q.id = t.prompt_id "
    f"WHERE t.job_id = :job AND t.wanted = 1 AND t.work IN ({_left}) "
    "GROUP BY 1, 2, 3"
)


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
        found = known(connection, plan.job.name)
        if found is not None and is_recorded(connection, found, plan, rebuy=rebuy):
            return as_recorded(connection, found, plan)
        key = 0 if found is None else found.id
        stage(connection, key, plan)
        adoptable = find_adoptable(connection, key, intact)
        before = 0 if found is None else found.prompts
        return difference(connection, key, plan, adoptable, rebuy=rebuy, before=before)


def known(connection: Connection, name: str) -> Row[Any] | None:
    """The row of a job, None when there is none of that name."""
    return connection.execute(select(job).where(job.c.name == name)).one_or_none()


def is_recorded(connection: Connection, found: Row[Any], plan: Plan, *, rebuy: bool) -> bool:
    """Whether a plan was recorded from the very same source and files, and nothing waits to be bought again."""
    if found.source_hash != plan.job.source_hash or (rebuy and found.rebuy):
        return False
    return plan.unchanged(input_files(connection, found.id))


def input_files(connection: Connection, key: int) -> Iterator[InputFile]:
    """The local references and masks of a job as they were last looked at."""
    columns = (getattr(input_file.c, each.name) for each in fields(InputFile))
    query = select(*columns).where(input_file.c.job_id == key).order_by(input_file.c.id)
    return (InputFile(*row) for row in connection.execute(query))


def as_recorded(connection: Connection, found: Row[Any], plan: Plan) -> Difference:
    """The difference to a plan that was recorded already: none, and what is left to do."""
    sizes = {
        key: Size(width, height)
        for key, width, height in connection.execute(
            select(variant.c.id, variant.c.width, variant.c.height).where(variant.c.job_id == found.id)
        )
    }
    tally = _Tally(plan, sizes)
    lengths = connection.execute(_TEXTS_LEFT, {"job": found.id}) if plan.job.priced_by_text else ()
    texts = {(row[0], row[1], row[2]): Texts(*row[3:]) for row in lengths}
    for row in connection.execute(_AS_RECORDED, {"job": found.id}):
        ask: _Asked = (row.variant_id, row.quality, row.images)
        work = TaskState(row.work)
        waits = work in _LEFT  # the first such row takes the texts of all with the same price
        tally.keep(work, ask, row.tasks, texts.pop(ask, Texts()) if waits else Texts(), has=row.has)
    return tally.total(
        tasks=found.tasks,
        unchanged=found.tasks - found.rebuy,
        rebuy=found.rebuy,
        prompts_before=found.prompts,
        paid=connection.execute(_PAID_AS_RECORDED, {"job": found.id}).scalar_one() if tally.again else 0,
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
    members = {(place, number): identity for place, number, identity in _members(connection)}
    tally = _Tally(plan, {identity: plan.variants[number].size for (_, number), identity in members.items()})
    missing, written = _planned(connection, members)
    counts: Counter[str] = Counter()
    planned = missing.total()
    for row in connection.execute(_CENSUS, {"job": key}):
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
        paid=connection.execute(_PAID, {"job": key, "rebuy": rebuy}).scalar_one() if tally.again else 0,
        examples=_examples(connection, key, counts),
        prompts_before=before,
        prompts_gone=connection.execute(_GONE, {"job": key}).scalar_one(),
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
        elif work in _LEFT:
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


def _members(connection: Connection) -> Sequence[Sequence[int]]:
    return connection.exec_driver_sql("SELECT variant_set, number, variant_id FROM member ORDER BY 1, 2").all()


def _planned(
    connection: Connection, members: dict[tuple[int, int], int]
) -> tuple[Counter[_Asked], dict[_Asked, Texts]]:
    """Tasks of the plan and their texts by variant, own quality and input images, without looking at each."""
    sets: dict[int, list[int]] = {}
    for (place, _), identity in members.items():
        sets.setdefault(place, []).append(identity)
    planned: Counter[_Asked] = Counter()
    written: defaultdict[_Asked, Texts] = defaultdict(Texts)
    for place, quality, images, prompts, length, longest in connection.execute(_PLANNED):
        for identity in sets.get(place, ()):
            planned[identity, quality, images] += prompts
            written[identity, quality, images] += Texts(length, longest)
    return planned, written


def _examples(connection: Connection, key: int, counts: Counter[str]) -> dict[str, list[str]]:
    """A few prompt keys of each kind of change there is."""
    return {
        change: list(connection.execute(query, {"job": key, "most": EXAMPLES}).scalars())
        for change, query in _EXAMPLES.items()
        if counts[change]
    }
