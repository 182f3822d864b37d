"""Writes single attempts, images and tasks of one job into the books, out of the order in which a run makes them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from batchgen.domain.clock import month_of
from batchgen.domain.job import Parameters
from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import OutcomeKind
from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Delivered
from batchgen.domain.size import parse_size
from batchgen.ledger.mapping import dump, dump_pairs, merged
from batchgen.ledger.statements import hot, registers, restoring
from batchgen.ledger.statements.fragments import first_free
from batchgen.ledger.tables import attempt, prompt, task, variant

_KINDS = {Charge.RESERVED: None, Charge.UNKNOWN: OutcomeKind.LOST.value}


@dataclass(frozen=True, slots=True)
class KnownAttempt:
    """An attempt that the ledger has already."""

    number: int
    charge: Charge


class Scribe:
    """The books of one job while something is entered; within a transaction, ended by `close`.

    Attributes:
        now: seconds since the epoch.
    """

    def __init__(self, connection: Connection, number: int, now: float) -> None:
        self.connection = connection
        self.now = now
        self._job = number
        row = connection.execute(restoring.JOB, {"job": number}).one()
        self._route: str = row.route
        self._parameters: Parameters = merged(row.parameters, "")
        self._sums: Counter[str] = Counter()
        self._months: dict[str, Counter[str]] = {}

    # --- what is there ------------------------------------------------------------------------------------------------

    def task_of(self, origin: Origin) -> int:
        """The task that an attempt was for; prompt, variant and task are made where there are none."""
        size = parse_size(origin.size)
        where = {"job": self._job, "key": origin.key, "width": size.width, "height": size.height}
        found = self.connection.execute(restoring.TASK_OF, where | {"sample": origin.sample}).scalar()
        return self._new_task(origin) if found is None else int(found)

    def find(self, number: int, origin: Origin) -> KnownAttempt | None:
        """The attempt at a task that an origin tells of, whatever its number; None where the ledger has it not."""
        where = {"task": number, "revision": origin.revision, "hash": origin.request_hash, "at": origin.reserved_at}
        row = self.connection.execute(restoring.SAME_ATTEMPT, where).first()
        return None if row is None else KnownAttempt(row.id, Charge(row.charge))

    def has(self, number: int) -> bool:
        """Whether there is any attempt of that number."""
        return self.connection.execute(restoring.CHARGE_OF, {"attempt": number}).first() is not None

    def image_of(self, number: int, revision: int) -> tuple[int | None, str]:
        """The image of a task's revision and its checksum; None and "" where there is none."""
        row = self.connection.execute(restoring.IMAGE_OF, {"task": number, "revision": revision}).first()
        return (None, "") if row is None else (row.id, row.sha256)

    def standing(self, number: int) -> tuple[int | None, int]:
        """The attempt that holds a task, if any does, and the last revision that a call was made for."""
        row = self.connection.execute(restoring.STANDING, {"task": number}).one()
        return row.holder, row.last_revision

    def is_reserved(self, number: int) -> bool:
        """Whether an attempt is not booked yet."""
        return bool(self.connection.execute(restoring.CHARGE_OF, {"attempt": number}).scalar() == Charge.RESERVED)

    # --- what is entered ----------------------------------------------------------------------------------------------

    def insert_attempt(
        self,
        number: int,
        wanted: int,
        origin: Origin,
        money: tuple[Charge, int],
        *,
        basis: str,
        line: Delivered | None = None,
        detail: str = "",
    ) -> int:
        """Write an attempt at a task down, under its own number where that is free; gives its number."""
        charge, billed = money
        named = first_free(self.connection, attempt) if self.has(wanted) else wanted
        month = month_of(origin.reserved_at)
        row = restoring.ORIGINAL.of(origin) | {
            "id": named,
            "task_id": number,
            "job_id": self._job,
            "size_asked": origin.size,
            "queued_for": 0.0,
            "number": self._calls(number, origin.revision) + 1,
            "charge": charge.value,
            "outcome": OutcomeKind.DELIVERED.value if line is not None else _KINDS[charge],
            "billed": billed,
            "price_basis": basis,
            "detail": detail,
            "month": month,
        }
        if line is not None:
            row |= {"status": 200, "request_ids": dump_pairs(line.request_ids), "outputs": 1}
            row["finished_at"] = line.created
        self.connection.execute(restoring.NEW_ATTEMPT, row)
        self._count(charge, billed, origin.reserved, month)
        return named

    def insert_image(self, number: int, of: int, line: Delivered) -> None:
        """Write the image of an attempt down."""
        row = hot.PLACED.of(line.image) | {
            "id": of,
            "task_id": number,
            "job_id": self._job,
            "attempt_id": of,
            "revision": line.origin.revision,
            "flags": ",".join(line.flags),
            "created_at": line.created,
            "own": line.origin.own,
            "shared": line.origin.shared,
        }
        self.connection.execute(restoring.NEW_IMAGE, row)
        self.connection.execute(restoring.COUNT_DELIVERED, {"attempt": of})

    def deliver(self, number: int, of: int, line: Delivered) -> None:
        """Make an image its task's; nothing holds the task any more."""
        self._move(number, line.origin, TaskState.COMPLETED, {"image": of, "attempt": None})

    def take(self, number: int, by: int, origin: Origin) -> None:
        """Have an attempt hold its task."""
        asked, sent = parse_size(origin.size), parse_size(origin.size_sent)
        smaller = {"send_width": sent.width, "send_height": sent.height} if sent != asked else {}
        elsewhere = {"send_route": origin.route} if origin.route != self._route else {}
        self._move(number, origin, TaskState.RUNNING, {"attempt": by, **smaller, **elsewhere})

    def recount(self, number: int) -> None:
        """Count a task's calls anew."""
        self.connection.execute(restoring.RECOUNT_CALLS, {"task": number, "now": self.now})

    def close(self, *, changed: bool) -> None:
        """Move the job's sums. What has changed is to be compared with the manifest again, whatever was recorded."""
        sums = {name: self._sums[name] for name in (*hot.MONEY, "prompts", "tasks")}
        self.connection.execute(restoring.ADD_TO_JOB, sums | {"job": self._job, "now": self.now})
        for name, of_month in self._months.items():
            money = {each: of_month[each] for each in hot.MONEY}
            self.connection.execute(restoring.ADD_TO_MONTH, money | {"name": name})
        if changed:
            self.connection.execute(registers.COMPARE_AGAIN, {"job": self._job})

    def _move(self, number: int, origin: Origin, work: TaskState, others: dict[str, Any]) -> None:
        values: dict[str, Any] = {
            "key": number,
            "image": None,
            "work": work.value,
            "revision": origin.revision,
            "own": origin.own,
            "shared": origin.shared,
            "quality": self._own_quality(origin),
            "images": origin.images,
            "send_width": None,
            "send_height": None,
            "send_route": "",
            "now": self.now,
        }
        self.connection.execute(restoring.MOVE_TASK, values | others)

    def _own_quality(self, origin: Origin) -> str:
        """What a prompt sets itself, as the table `task` has it."""
        return "" if origin.quality == (self._parameters.quality or "") else origin.quality

    def _calls(self, number: int, revision: int) -> int:
        return int(self.connection.execute(restoring.CALLS_OF, {"task": number, "revision": revision}).scalar_one())

    def _count(self, charge: Charge, billed: int, reserved: int, month: str) -> None:
        amounts = {
            Charge.BILLED: ("billed", billed),
            Charge.UNKNOWN: ("unknown", max(billed, reserved)),
            Charge.RESERVED: ("reserved", reserved),
            Charge.VOID: ("void", 0),
        }
        name, amount = amounts[charge]
        for sums in (self._sums, self._months.setdefault(month, Counter())):
            sums[name] += amount

    def _new_task(self, origin: Origin) -> int:
        size = parse_size(origin.size)
        shape = {"width": size.width, "height": size.height, "sample": origin.sample}
        place = self.connection.execute(restoring.VARIANT_OF, {"job": self._job, **shape}).scalar()
        if place is None:
            place = first_free(self.connection, variant)
            row = {"id": place, "job_id": self._job, "size": origin.size, **shape}
            self.connection.execute(restoring.NEW_VARIANT, row)
        number = first_free(self.connection, task)
        values = {
            "id": number,
            "job_id": self._job,
            "prompt_id": self._prompt(origin),
            "variant_id": place,
            "work": TaskState.AVAILABLE.value,
            "wanted": 1,
            "revision": origin.revision,
            "own": origin.own,
            "shared": origin.shared,
            "quality": self._own_quality(origin),
            "images": origin.images,
            "updated_at": self.now,
        }
        self._sums["tasks"] += 1
        self.connection.execute(restoring.NEW_TASK, values)
        return number

    def _prompt(self, origin: Origin) -> int:
        """The prompt of an origin; a new one waits for the manifest to bring its text."""
        found = self.connection.execute(restoring.PROMPT_OF, {"job": self._job, "key": origin.key}).scalar()
        if found is not None:
            return int(found)
        number = first_free(self.connection, prompt)
        quality = self._own_quality(origin)
        values = {
            "id": number,
            "job_id": self._job,
            "position": number,
            "key": origin.key,
            "text": "",
            "path": origin.path,
            "overrides": dump({"quality": quality}) if quality else "",
            "wanted": 1,
            "inputs": "",
        }
        self.connection.execute(restoring.NEW_PROMPT, values)
        self._sums["prompts"] += 1
        return number
