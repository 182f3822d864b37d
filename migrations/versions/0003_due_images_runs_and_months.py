"""A delivered image that stays until its successor is there; runs, what a month has cost, and views for people.

Revision: 0003, after 0002. What earlier revisions asked was not written down, so their images are not known again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

IMAGES = """\
CREATE VIEW images AS
SELECT
  j.name AS job,
  p.key AS id,
  v.size AS size,
  v.sample AS sample,
  t.state AS state,
  t.image_id IS NOT NULL AND t.work <> 'completed' AS outdated,
  j.output AS folder,
  i.path AS file,
  i.width AS width,
  i.height AS height,
  i.format AS format,
  i.bytes AS bytes,
  i.sha256 AS sha256,
  i.flags AS flags,
  coalesce(i.revision, t.revision) AS revision,
  (SELECT count(*) FROM attempt c WHERE c.task_id = t.id) AS calls,
  (SELECT round(coalesce(sum(c.billed), 0) / 1e6, 6) FROM attempt c
    WHERE c.task_id = t.id AND c.charge = 'billed') AS billed_usd,
  (SELECT round(coalesce(sum(max(c.billed, c.reserved)), 0) / 1e6, 6) FROM attempt c
    WHERE c.task_id = t.id AND c.charge = 'unknown') AS maybe_usd,
  a.route AS route,
  a.model AS model,
  json_extract(a.request_ids, '$[0][1]') AS request_id,
  strftime('%Y-%m-%dT%H:%M:%SZ', i.created_at, 'unixepoch') AS delivered_at,
  t.reason AS reason,
  p.text AS text
FROM task t
JOIN job j ON j.id = t.job_id
JOIN prompt p ON p.id = t.prompt_id
JOIN variant v ON v.id = t.variant_id
LEFT JOIN image i ON i.id = t.image_id
LEFT JOIN attempt a ON a.id = i.attempt_id
WHERE t.wanted = 1"""

SPENDING = """\
CREATE VIEW spending AS
SELECT
  j.name AS job,
  p.key AS id,
  v.size AS size,
  v.sample AS sample,
  a.revision AS revision,
  a.route AS route,
  a.model AS model,
  a.outcome AS outcome,
  a.charge AS charge,
  round(CASE a.charge WHEN 'billed' THEN a.billed ELSE 0 END / 1e6, 6) AS billed_usd,
  round(CASE a.charge WHEN 'unknown' THEN max(a.billed, a.reserved) ELSE 0 END / 1e6, 6) AS maybe_usd,
  round(CASE a.charge WHEN 'reserved' THEN a.reserved ELSE 0 END / 1e6, 6) AS reserved_usd,
  strftime('%Y-%m-%dT%H:%M:%SZ', nullif(a.sent_at, 0), 'unixepoch') AS sent_at,
  round(a.total, 3) AS seconds,
  json_extract(a.request_ids, '$[0][1]') AS request_id,
  a.run_id AS run,
  a.month AS month,
  a.key_fingerprint AS key_fingerprint,
  a.detail AS detail,
  a.id AS attempt
FROM attempt a
JOIN task t ON t.id = a.task_id
JOIN job j ON j.id = a.job_id
JOIN prompt p ON p.id = t.prompt_id
JOIN variant v ON v.id = t.variant_id"""


def upgrade() -> None:
    _tasks()
    _images()
    op.add_column("ledger", sa.Column("monthly", sa.Integer(), nullable=True))
    op.add_column("attempt", sa.Column("run_id", sa.Integer(), nullable=True))
    op.add_column("attempt", sa.Column("month", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("most", sa.Integer(), nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("billed", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        *_not_negative("run", "pid", "calls", "delivered", "billed", "unknown", "reserved"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_run_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
    )
    op.create_index("ix_run_job", "run", ["job_id"])
    op.create_index("ix_attempt_run", "attempt", ["run_id"], sqlite_where=sa.text("run_id IS NOT NULL"))
    op.create_table(
        "month",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("billed", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        *_not_negative("month", "billed", "unknown", "reserved"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_month")),
        sa.UniqueConstraint("name", name=op.f("uq_month_name")),
    )
    op.execute("UPDATE attempt SET month = strftime('%Y-%m', reserved_at, 'unixepoch', 'localtime')")
    op.execute(
        "INSERT INTO month (name, billed, unknown, reserved) SELECT month, sum(billed * (charge = 'billed')), "
        "sum(max(billed, reserved) * (charge = 'unknown')), sum(reserved * (charge = 'reserved')) "
        "FROM attempt GROUP BY month"
    )
    op.execute(IMAGES)
    op.execute(SPENDING)


def _not_negative(table: str, *columns: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(f"{column} >= 0", name=op.f(f"ck_{table}_{column}")) for column in columns]


def _tasks() -> None:
    """What was the state is where the work stands; the state that people see comes of it and of the image."""
    for index in ("claimable", "retryable", "running", "counts"):
        op.drop_index(f"ix_task_{index}", "task")
    op.execute("ALTER TABLE task RENAME COLUMN state TO work")
    op.add_column("task", sa.Column("image_id", sa.Integer(), nullable=True))
    op.add_column("task", sa.Column("last_revision", sa.Integer(), nullable=False, server_default=sa.text("0")))
    shown = sa.Computed("CASE WHEN image_id IS NULL THEN work ELSE 'completed' END", persisted=False)
    op.add_column("task", sa.Column("state", sa.Text(), shown))
    op.execute(
        "UPDATE task SET image_id = (SELECT attempt_id FROM image WHERE task_id = task.id ORDER BY revision DESC LIMIT 1), "
        "last_revision = coalesce((SELECT max(revision) FROM attempt WHERE task_id = task.id), 0)"
    )
    for index, columns, condition in (
        ("claimable", ["job_id"], "work = 'available' AND wanted = 1"),
        ("retryable", ["job_id", "scheduled_at"], "work = 'retryable' AND wanted = 1"),
        ("running", ["job_id"], "work = 'running'"),
    ):
        op.create_index(f"ix_task_{index}", "task", columns, sqlite_where=sa.text(condition))
    op.create_index("ix_task_counts", "task", ["job_id", "wanted", "state", "work", "variant_id", "quality", "images"])


def _images() -> None:
    """An image gets the number of its attempt, and what the present revision of its task asks."""
    op.execute("UPDATE image SET id = -id")
    op.execute("UPDATE image SET id = attempt_id")
    for hashed in ("own", "shared"):
        op.add_column("image", sa.Column(hashed, sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.execute(
        "UPDATE image SET own = task.own, shared = task.shared FROM task "
        "WHERE task.id = image.task_id AND task.revision = image.revision"
    )


def downgrade() -> None:
    op.execute("DROP VIEW spending")
    op.execute("DROP VIEW images")
    op.drop_table("month")
    op.drop_index("ix_attempt_run", "attempt")
    op.drop_table("run")
    for index in ("claimable", "retryable", "running", "counts"):
        op.drop_index(f"ix_task_{index}", "task")
    for table, column in (
        ("attempt", "month"),
        ("attempt", "run_id"),
        ("ledger", "monthly"),
        ("image", "shared"),
        ("image", "own"),
        ("task", "state"),
        ("task", "last_revision"),
        ("task", "image_id"),
    ):
        op.drop_column(table, column)
    op.execute("ALTER TABLE task RENAME COLUMN work TO state")
    op.create_index("ix_task_claimable", "task", ["job_id"], sqlite_where=sa.text("state = 'available' AND wanted = 1"))
    op.create_index(
        "ix_task_retryable",
        "task",
        ["job_id", "scheduled_at"],
        sqlite_where=sa.text("state = 'retryable' AND wanted = 1"),
    )
    op.create_index("ix_task_running", "task", ["job_id"], sqlite_where=sa.text("state = 'running'"))
    op.create_index("ix_task_counts", "task", ["job_id", "wanted", "state", "variant_id", "quality", "images"])
