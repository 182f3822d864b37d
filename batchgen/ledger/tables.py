"""The tables of the ledger. Every state, charge and outcome they admit comes from the domain's own tables.

Identity is ordered integers (`job_id`, `prompt_id`, `variant_id`); content hashes are kept on the task and never
indexed, so that a million tasks go in at the speed of one `INSERT … SELECT`.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from batchgen.domain.learned import LimitKind
from batchgen.domain.lifecycle import BatchState, Charge, TaskState
from batchgen.domain.model import OutcomeKind

HEAD = "0008"
"""The revision of `migrations/` that makes these tables."""

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def one_of(column: str, values: type[StrEnum]) -> str:
    """SQL that holds when a column has one of an enumeration's values."""
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


def _number(name: str, *, least: int = 0) -> tuple[Column[int], CheckConstraint]:
    return Column(name, Integer, nullable=False), CheckConstraint(f"{name} >= {least}", name=name)


def _flag(name: str) -> tuple[Column[int], CheckConstraint]:
    return Column(name, Integer, nullable=False), CheckConstraint(f"{name} IN (0, 1)", name=name)


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=None if default is None else text(f"'{default}'"))


def _stamp(name: str, *, nullable: bool = False) -> Column[float]:
    return Column(name, Float, nullable=nullable)


def _key() -> Column[int]:
    return Column("id", Integer, primary_key=True)


def _refers(table: str) -> Column[int]:
    return Column(f"{table}_id", Integer, ForeignKey(f"{table}.id"), nullable=False)


# One row: which ledger this is. Spools name it, so that a run never finds another ledger's answers. `monthly` is what
# all of its jobs may spend in a calendar month, in micro-dollars; NULL for no ceiling.
ledger = Table(
    "ledger",
    metadata,
    _key(),
    _text("name"),
    Column("monthly", Integer),
    CheckConstraint("id = 1", name="single"),
)

# `billed`, `unknown` and `reserved` are running sums over the job's attempts, moved in the attempt's own transaction;
# `prompts`, `tasks` and `rebuy` are what the last comparison with the manifest left.
job = Table(
    "job",
    metadata,
    _key(),
    Column("name", Text, nullable=False),
    _text("route"),
    _text("model"),
    _text("parameters"),
    _text("manifest"),
    _text("output"),
    _text("source_hash"),
    _text("limits"),
    *_flag("downgrade"),
    *_number("billed"),
    *_number("unknown"),
    *_number("reserved"),
    *_number("prompts"),
    *_number("tasks"),
    *_number("rebuy"),
    _stamp("created_at"),
    _stamp("updated_at"),
    UniqueConstraint("name"),
)

prompt = Table(
    "prompt",
    metadata,
    _key(),
    _refers("job"),
    *_number("position"),
    _text("key"),
    _text("text"),
    _text("path"),
    _text("overrides"),
    *_flag("wanted"),
    _text("inputs", ""),
    UniqueConstraint("job_id", "key"),
)

variant = Table(
    "variant",
    metadata,
    _key(),
    _refers("job"),
    _text("size"),
    *_number("width"),
    *_number("height"),
    *_number("sample"),
    UniqueConstraint("job_id", "width", "height", "sample"),
)

# Local references and masks as they were last looked at, so that the next start need not read them again.
input_file = Table(
    "input_file",
    metadata,
    _key(),
    _refers("job"),
    _text("place"),
    *_number("bytes"),
    *_number("changed"),
    _text("sha256"),
    *_number("width"),
    *_number("height"),
    UniqueConstraint("job_id", "place"),
)

# `work` is where the work on what is asked now stands, and `image_id` the delivered image, which stays the task's image
# until its successor is there: so the `state` that people see is `completed` as long as there is one, and a task whose
# work is not completed then is outdated. `own` and `shared` are the hashes of what is asked at this revision;
# `last_revision` is the highest that a call was made for. `quality` is what the prompt sets itself ("" leaves the
# job's), `images` how many input images go with a call; `send_route` is where a failover sent the task ("" likewise).
# `attempt_id` is the fence: only who holds it settles the task. It and `image_id` have no foreign key, because the
# tables refer to each other; `verify` checks them.
task = Table(
    "task",
    metadata,
    _key(),
    _refers("job"),
    _refers("prompt"),
    _refers("variant"),
    _text("work"),
    *_flag("wanted"),
    *_number("revision", least=1),
    Column("own", Integer, nullable=False),
    Column("shared", Integer, nullable=False),
    _text("quality", ""),
    Column("send_width", Integer),
    Column("send_height", Integer),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("unknowns", Integer, nullable=False, server_default=text("0")),
    Column("calls", Integer, nullable=False, server_default=text("0")),
    _stamp("scheduled_at", nullable=True),
    Column("attempt_id", Integer),
    _text("reason", ""),
    _stamp("updated_at"),
    Column("images", Integer, nullable=False, server_default=text("0")),
    _text("send_route", ""),
    Column("image_id", Integer),
    Column("last_revision", Integer, nullable=False, server_default=text("0")),
    Column("state", Text, Computed("CASE WHEN image_id IS NULL THEN work ELSE 'completed' END", persisted=False)),
    Column("hollow", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("job_id", "prompt_id", "variant_id"),
    CheckConstraint(one_of("work", TaskState), name="state"),
    CheckConstraint("(work = 'running') = (attempt_id IS NOT NULL)", name="fence"),
    CheckConstraint("(work = 'retryable') = (scheduled_at IS NOT NULL)", name="scheduled"),
    CheckConstraint("(send_width IS NULL) = (send_height IS NULL)", name="send_size"),
    CheckConstraint("attempts >= 0 AND unknowns >= 0 AND calls >= attempts", name="counters"),
)

# The conditions of the partial indexes: SQLite uses such an index only where a query repeats these very words.
CLAIMABLE = "work = 'available' AND wanted = 1"
RETRYABLE = "work = 'retryable' AND wanted = 1"
RUNNING = "work = 'running'"
UNKNOWN = "charge = 'unknown'"
PROBLEM = "outcome <> 'delivered'"
FLAGGED = "flags <> ''"
DIVERTED = "send_route <> ''"
OPEN_BATCH = "state <> 'closed'"

Index("ix_task_claimable", task.c.job_id, sqlite_where=text(CLAIMABLE))
Index("ix_task_retryable", task.c.job_id, task.c.scheduled_at, sqlite_where=text(RETRYABLE))
Index("ix_task_running", task.c.job_id, sqlite_where=text(RUNNING))
Index("ix_task_diverted", task.c.job_id, sqlite_where=text(DIVERTED))
_counted = (task.c.state, task.c.work, task.c.variant_id, task.c.quality, task.c.images)
Index("ix_task_counts", task.c.job_id, task.c.wanted, *_counted)

# `run_id` is the run that made the call (NULL where that is not known), `month` the local calendar month in which it
# was reserved, such as `2026-11`: their sums move with the job's.
attempt = Table(
    "attempt",
    metadata,
    _key(),
    _refers("task"),
    _refers("job"),
    *_number("revision", least=1),
    *_number("number", least=1),
    _text("charge"),
    Column("outcome", Text),
    Column("estimated", Integer),
    *_number("reserved"),
    Column("billed", Integer, nullable=False, server_default=text("0")),
    _text("provider"),
    _text("route"),
    _text("group_name"),
    _text("model"),
    _text("endpoint"),
    _text("base_url"),
    _text("size_asked"),
    _text("size_sent"),
    _text("quality"),
    _text("request_hash"),
    _text("price_basis"),
    _text("billing_unit"),
    _text("key_fingerprint"),
    _stamp("reserved_at"),
    Column("queued_for", Float, nullable=False),
    _text("detail", ""),
    Column("status", Integer, nullable=False, server_default=text("0")),
    _text("request_ids", "[]"),
    Column("usage", Text),
    Column("outputs", Integer, nullable=False, server_default=text("0")),
    _text("effective", "[]"),
    _text("url", ""),
    Column("url_expires", Float, nullable=False, server_default=text("0")),
    Column("sent_at", Float, nullable=False, server_default=text("0")),
    Column("first_byte", Float, nullable=False, server_default=text("0")),
    Column("total", Float, nullable=False, server_default=text("0")),
    Column("finished_at", Float, nullable=False, server_default=text("0")),
    _text("settled_note", ""),
    Column("batch_id", Integer),
    Column("run_id", Integer),
    _text("month", ""),
    _text("cause", ""),
    _text("remote_task", ""),
    UniqueConstraint("task_id", "revision", "number"),
    CheckConstraint(one_of("charge", Charge), name="charge"),
    CheckConstraint(f"outcome IS NULL OR {one_of('outcome', OutcomeKind)}", name="outcome"),
    CheckConstraint("(charge = 'reserved') = (outcome IS NULL)", name="booked"),
    CheckConstraint("billed >= 0 AND (billed = 0 OR charge IN ('billed', 'unknown'))", name="billed"),
)
Index("ix_attempt_batch", attempt.c.batch_id, sqlite_where=text("batch_id IS NOT NULL"))
Index("ix_attempt_unknown", attempt.c.job_id, sqlite_where=text(UNKNOWN))
Index("ix_attempt_problem", attempt.c.job_id, sqlite_where=text(PROBLEM))

# An image has the number of the attempt that brought it. `own` and `shared` are the hashes of what was asked.
image = Table(
    "image",
    metadata,
    _key(),
    _refers("task"),
    _refers("job"),
    _refers("attempt"),
    *_number("revision", least=1),
    _text("path"),
    _text("sha256"),
    *_number("bytes", least=1),
    *_number("width", least=1),
    *_number("height", least=1),
    _text("format"),
    _text("flags"),
    _stamp("created_at"),
    Column("own", Integer, nullable=False, server_default=text("0")),
    Column("shared", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("attempt_id"),
    UniqueConstraint("task_id", "revision"),
)
Index("ix_image_flagged", image.c.job_id, sqlite_where=text(FLAGGED))

# A batch of calls handed to a Batch API. `token` is in its metadata there, so that a start which does not know whether
# it was handed in can ask. An attempt names its batch by `batch_id`; the two tables would refer to each other else.
batch = Table(
    "batch",
    metadata,
    _key(),
    _refers("job"),
    _text("token"),
    _text("state"),
    _text("route"),
    _text("remote", ""),
    _text("status", ""),
    _text("output_file", ""),
    _text("error_file", ""),
    *_number("calls", least=1),
    _text("detail", ""),
    _stamp("created_at"),
    _stamp("updated_at"),
    UniqueConstraint("token"),
    CheckConstraint(one_of("state", BatchState), name="state"),
)
Index("ix_batch_open", batch.c.job_id, sqlite_where=text(OPEN_BATCH))

# A run of a job: who made it, when, why it ended, and what it did. One without an end is going on, or its process died.
# `most` is what it may spend, in micro-dollars, NULL for no limit of its own. `calls`, `delivered` and the sums are
# those of the attempts that it made, whoever books and delivers them.
run = Table(
    "run",
    metadata,
    _key(),
    _refers("job"),
    *_number("pid"),
    _text("host"),
    _stamp("started_at"),
    _stamp("ended_at", nullable=True),
    _text("reason", ""),
    Column("exit_code", Integer),
    Column("most", Integer),
    *_number("calls"),
    *_number("delivered"),
    *_number("billed"),
    *_number("unknown"),
    *_number("reserved"),
)
Index("ix_run_job", run.c.job_id)

# Times at which a run took the gateway of a route to be down, for one class of sizes or ("") for all; `back` is whether
# it answered again. One without an end lasted to the end of its run.
outage = Table(
    "outage",
    metadata,
    _key(),
    _refers("run"),
    _text("route"),
    _text("tier"),
    *_number("tasks"),
    _text("reason"),
    _stamp("began_at"),
    _stamp("ended_at", nullable=True),
    *_flag("back"),
)
Index("ix_outage_run", outage.c.run_id)
Index("ix_attempt_run", attempt.c.run_id, sqlite_where=text("run_id IS NOT NULL"))

# What all jobs of the ledger have spent in a local calendar month, by the attempts that were reserved in it.
month = Table(
    "month",
    metadata,
    _key(),
    _text("name"),
    *_number("billed"),
    *_number("unknown"),
    *_number("reserved"),
    UniqueConstraint("name"),
)

# What was learned of a quota of a gateway, for the next run to begin with: the key is known by its fingerprint only.
quota = Table(
    "quota",
    metadata,
    _key(),
    _text("host"),
    _text("key_fingerprint"),
    _text("model"),
    _text("kind"),
    *_number("calls"),
    Column("pace", Float, nullable=False),
    *_number("burst", least=1),
    *_number("proven"),
    _stamp("learned_at"),
    CheckConstraint(one_of("kind", LimitKind), name="kind"),
    UniqueConstraint("host", "key_fingerprint", "model"),
)
