"""Writes single attempts, images and tasks of one job into the books, out of the order in which a run makes them."""

# ruff: noqa: S608 - statements are composed of this program's own constants; values are always bound

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.engine import Connection

from batchgen.domain.clock import month_of
from batchgen.domain.job import Parameters
from batchgen.domain.lifecycle import Charge, TaskState
from batchgen.domain.model import OutcomeKind
from batchgen.domain.origin import Origin
from batchgen.domain.output_image import Delivered
from batchgen.domain.size import parse_size
from batchgen.ledger.mapping import dump, dump_pairs, merged
from batchgen.ledger.staging import first_free
from batchgen.ledger.tables import RUNNING, attempt, image, prompt, task, variant

_TASK = text(
    "SELECT t.id FROM task t JOIN prompt p ON p.id = t.prompt_id JOIN variant v ON v.id = t.variant_id "
    "WHERE t.job_id = :job AND p.job_id = :job AND p.key = :key AND v.width = :width AND v.height = :height "
    "AND v.sample = :sample"
)
_SAME = text(
    "SELECT id, charge FROM attempt WHERE task_id = :task AND revision = :revision AND request_hash = :hash "
    "AND reserved_at = :at"
)
_RECOUNT = text(
    "UPDATE task SET updated_at = :now, "
    "calls = (SELECT count(*) FROM attempt a WHERE a.task_id = task.id AND a.revision = task.revision), "
    "last_revision = (SELECT coalesce(max(a.revision), 0) FROM attempt a WHERE a.task_id = task.id) WHERE id = :task"
)
_MOVE = text(
    "UPDATE task SET work = :work, image_id = coalesce(:image, image_id), attempt_id = :attempt, "
    "revision = :revision, own = :own, shared = :shared, quality = :quality, images = :images, "
    "send_width = :send_width, send_height = :send_height, send_route = :send_route, attempts = 0, unknowns = 0, "
    "scheduled_at = NULL, reason = '', updated_at = :now, "
    "calls = (SELECT count(*) FROM attempt a WHERE a.task_id = task.id AND a.revision = :revision), "
    "last_revision = (SELECT coalesce(max(a.revision), 0) FROM attempt a WHERE a.task_id = task.id) WHERE id = :key"
)
_JOB = text("SELECT route, parameters FROM job WHERE id = :job")
_CHARGE = text("SELECT charge FROM attempt WHERE id = :attempt")
_CALLS = text("SELECT count(*) FROM attempt WHERE task_id = :task AND revision = :revision")
_IMAGE = text("SELECT id, sha256 FROM image WHERE task_id = :task AND revision = :revision")
_PROMPT = text("SELECT id FROM prompt WHERE job_id = :job AND key = :key")
_VARIANT = text(
    "SELECT id FROM variant WHERE job_id = :job AND width = :width AND height = :height AND sample = :sample"
)
_NEW_PROMPT, _NEW_VARIANT, _NEW_TASK = insert(prompt), insert(variant), insert(task)
_NEW_ATTEMPT, _NEW_IMAGE = insert(attempt), insert(image)
_COMPARE = text("UPDATE job SET source_hash = '' WHERE id = :job")
_HOLDER = text(f"SELECT CASE WHEN {RUNNING} THEN attempt_id END, last_revision FROM task WHERE id = :task")
_SUMS = text(
    "UPDATE job SET billed = billed + :billed, unknown = unknown + :unknown, reserved = reserved + :reserved, "
    "prompts = prompts + :prompts, tasks = tasks + :tasks, updated_at = :now WHERE id = :job"
)
_MONTH = text(
    "INSERT INTO month (name, billed, unknown, reserved) VALUES (:name, :billed, :unknown, :reserved) ON CONFLICT "
    "(name) DO UPDATE SET billed = billed + excluded.billed, unknown = unknown + excluded.unknown, "
    "reserved = reserved + excluded.reserved"
)
_BROUGHT = text("UPDATE run SET delivered = delivered + 1 WHERE id = (SELECT run_id FROM attempt WHERE id = :attempt)")
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
        row = connection.execute(_JOB, {"job": number}).one()
        self._route: str = row.route
        self._parameters: Parameters = merged(row.parameters, "")
        self._sums: Counter[str] = Counter()
        self._months: dict[str, Counter[str]] = {}

    # --- what is there ------------------------------------------------------------------------------------------------

    def task_of(self, origin: Origin) -> int:
        """The task that an attempt was for; prompt, variant and task are made where there are none."""
        size = parse_size(origin.size)
        where = {"job": self._job, "key": origin.key, "width": size.width, "height": size.height}
        found = self.connection.execute(_TASK, where | {"sample": origin.sample}).scalar()
        return self._new_task(origin) if found is None else int(found)

    def find(self, number: int, origin: Origin) -> KnownAttempt | None:
        """The attempt at a task that an origin tells of, whatever its number; None where the ledger has it not."""
        where = {"task": number, "revision": origin.revision, "hash": origin.request_hash, "at": origin.reserved_at}
        row = self.connection.execute(_SAME, where).first()
        return None if row is None else KnownAttempt(row.id, Charge(row.charge))

    def has(self, number: int) -> bool:
        """Whether there is any attempt of that number."""
        return self.connection.execute(_CHARGE, {"attempt": number}).first() is not None

    def image_of(self, number: int, revision: int) -> tuple[int | None, str]:
        """The image of a task's revision and its checksum; None and "" where there is none."""
        row = self.connection.execute(_IMAGE, {"task": number, "revision": revision}).first()
        return (None, "") if row is None else (row.id, row.sha256)

    def standing(self, number: int) -> tuple[int | None, int]:
        """The attempt that holds a task, if any does, and the last revision that a call was made for."""
        holder, revision = self.connection.execute(_HOLDER, {"task": number}).one()
        return holder, revision

    def is_reserved(self, number: int) -> bool:
        """Whether an attempt is not booked yet."""
        return bool(self.connection.execute(_CHARGE, {"attempt": number}).scalar() == Charge.RESERVED)

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
        named = first_free(self.connection, "attempt") if self.has(wanted) else wanted
        month = month_of(origin.reserved_at)
        row = _attempt(origin) | {
            "id": named,
            "task_id": number,
            "job_id": self._job,
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
        self.connection.execute(_NEW_ATTEMPT, row)
        self._count(charge, billed, origin.reserved, month)
        return named

    def insert_image(self, number: int, of: int, line: Delivered) -> None:
        """Write the image of an attempt down."""
        shown, origin = line.image, line.origin
        row = {
            "id": of,
            "task_id": number,
            "job_id": self._job,
            "attempt_id": of,
            "revision": origin.revision,
            "path": shown.path,
            "sha256": shown.sha256,
            "bytes": shown.bytes,
            "width": shown.width,
            "height": shown.height,
            "format": shown.format,
            "flags": ",".join(line.flags),
            "created_at": line.created,
            "own": origin.own,
            "shared": origin.shared,
        }
        self.connection.execute(_NEW_IMAGE, row)
        self.connection.execute(_BROUGHT, {"attempt": of})

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
        self.connection.execute(_RECOUNT, {"task": number, "now": self.now})

    def close(self, *, changed: bool) -> None:
        """Move the job's sums. What has changed is to be compared with the manifest again, whatever was recorded."""
        names = ("billed", "unknown", "reserved", "prompts", "tasks")
        self.connection.execute(_SUMS, {name: self._sums[name] for name in names} | {"job": self._job, "now": self.now})
        for name, sums in self._months.items():
            self.connection.execute(_MONTH, {each: sums[each] for each in names[:3]} | {"name": name})
        if changed:
            self.connection.execute(_COMPARE, {"job": self._job})

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
        self.connection.execute(_MOVE, values | others)

    def _own_quality(self, origin: Origin) -> str:
        """What a prompt sets itself, as the table `task` has it."""
        return "" if origin.quality == (self._parameters.quality or "") else origin.quality

    def _calls(self, number: int, revision: int) -> int:
        return int(self.connection.execute(_CALLS, {"task": number, "revision": revision}).scalar_one())

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
        place = self.connection.execute(_VARIANT, {"job": self._job, **shape}).scalar()
        if place is None:
            place = first_free(self.connection, "variant")
            row = {"id": place, "job_id": self._job, "size": origin.size, **shape}
            self.connection.execute(_NEW_VARIANT, row)
        number = first_free(self.connection, "task")
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
        self.connection.execute(_NEW_TASK, values)
        return number

    def _prompt(self, origin: Origin) -> int:
        """The prompt of an origin; a new one waits for the manifest to bring its text."""
        found = self.connection.execute(_PROMPT, {"job": self._job, "key": origin.key}).scalar()
        if found is not None:
            return int(found)
        number = first_free(self.connection, "prompt")
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
        self.connection.execute(_NEW_PROMPT, values)
        self._sums["prompts"] += 1
        return number


def _attempt(origin: Origin) -> dict[str, Any]:
    """The columns of an attempt that its origin tells."""
    return {
        "revision": origin.revision,
        "reserved": origin.reserved,
        "provider": origin.provider,
        "route": origin.route,
        "group_name": origin.group,
        "model": origin.model,
        "endpoint": origin.endpoint,
        "base_url": origin.base_url,
        "size_asked": origin.size,
        "size_sent": origin.size_sent,
        "quality": origin.quality,
        "request_hash": origin.request_hash,
        "billing_unit": origin.billing_unit,
        "key_fingerprint": origin.key_fingerprint,
        "reserved_at": origin.reserved_at,
        "queued_for": 0.0,
    }
