"""The first tables: job, prompt, variant, task, attempt, image, and which ledger this is.

Revision: 0001, after nothing. States, charges and outcomes are written out, because what was is not to change with
the program.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("parameters", sa.Text(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("source_hash", sa.Text(), nullable=False),
        sa.Column("limits", sa.Text(), nullable=False),
        sa.Column("downgrade", sa.Integer(), nullable=False),
        sa.Column("billed", sa.Integer(), nullable=False),
        sa.Column("unknown", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("prompts", sa.Integer(), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.Column("rebuy", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.CheckConstraint("billed >= 0", name=op.f("ck_job_billed")),
        sa.CheckConstraint("downgrade IN (0, 1)", name=op.f("ck_job_downgrade")),
        sa.CheckConstraint("prompts >= 0", name=op.f("ck_job_prompts")),
        sa.CheckConstraint("rebuy >= 0", name=op.f("ck_job_rebuy")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_job_reserved")),
        sa.CheckConstraint("tasks >= 0", name=op.f("ck_job_tasks")),
        sa.CheckConstraint("unknown >= 0", name=op.f("ck_job_unknown")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
        sa.UniqueConstraint("name", name=op.f("uq_job_name")),
    )
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
    )
    op.create_table(
        "prompt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("overrides", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.CheckConstraint("position >= 0", name=op.f("ck_prompt_position")),
        sa.CheckConstraint("wanted IN (0, 1)", name=op.f("ck_prompt_wanted")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_prompt_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt")),
        sa.UniqueConstraint("job_id", "key", name=op.f("uq_prompt_job_id_key")),
    )
    op.create_table(
        "variant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("size", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("sample", sa.Integer(), nullable=False),
        sa.CheckConstraint("height >= 0", name=op.f("ck_variant_height")),
        sa.CheckConstraint("sample >= 0", name=op.f("ck_variant_sample")),
        sa.CheckConstraint("width >= 0", name=op.f("ck_variant_width")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_variant_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_variant")),
        sa.UniqueConstraint("job_id", "width", "height", "sample", name=op.f("uq_variant_job_id_width_height_sample")),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("prompt_id", sa.Integer(), nullable=False),
        sa.Column("variant_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("own", sa.Integer(), nullable=False),
        sa.Column("shared", sa.Integer(), nullable=False),
        sa.Column("quality", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("send_width", sa.Integer(), nullable=True),
        sa.Column("send_height", sa.Integer(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("unknowns", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("calls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("scheduled_at", sa.Float(), nullable=True),
        sa.Column("attempt_id", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.CheckConstraint("(state = 'retryable') = (scheduled_at IS NOT NULL)", name=op.f("ck_task_scheduled")),
        sa.CheckConstraint("(state = 'running') = (attempt_id IS NOT NULL)", name=op.f("ck_task_fence")),
        sa.CheckConstraint(
            "state IN ('available', 'running', 'retryable', 'completed', 'failed', 'parked', 'cancelled')",
            name=op.f("ck_task_state"),
        ),
        sa.CheckConstraint("(send_width IS NULL) = (send_height IS NULL)", name=op.f("ck_task_send_size")),
        sa.CheckConstraint("attempts >= 0 AND unknowns >= 0 AND calls >= attempts", name=op.f("ck_task_counters")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_task_revision")),
        sa.CheckConstraint("wanted IN (0, 1)", name=op.f("ck_task_wanted")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_task_job_id_job")),
        sa.ForeignKeyConstraint(["prompt_id"], ["prompt.id"], name=op.f("fk_task_prompt_id_prompt")),
        sa.ForeignKeyConstraint(["variant_id"], ["variant.id"], name=op.f("fk_task_variant_id_variant")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task")),
        sa.UniqueConstraint("job_id", "prompt_id", "variant_id", name=op.f("uq_task_job_id_prompt_id_variant_id")),
    )
    op.create_index("ix_task_claimable", "task", ["job_id"], sqlite_where=sa.text("state = 'available' AND wanted = 1"))
    op.create_index("ix_task_counts", "task", ["job_id", "wanted", "state", "variant_id", "quality"])
    op.create_index(
        "ix_task_retryable",
        "task",
        ["job_id", "scheduled_at"],
        sqlite_where=sa.text("state = 'retryable' AND wanted = 1"),
    )
    op.create_index("ix_task_running", "task", ["job_id"], sqlite_where=sa.text("state = 'running'"))
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("charge", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("estimated", sa.Integer(), nullable=True),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("billed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("size_asked", sa.Text(), nullable=False),
        sa.Column("size_sent", sa.Text(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("price_basis", sa.Text(), nullable=False),
        sa.Column("billing_unit", sa.Text(), nullable=False),
        sa.Column("key_fingerprint", sa.Text(), nullable=False),
        sa.Column("reserved_at", sa.Float(), nullable=False),
        sa.Column("queued_for", sa.Float(), nullable=False),
        sa.Column("detail", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("status", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("request_ids", sa.Text(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("outputs", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("effective", sa.Text(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("url", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("url_expires", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("sent_at", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_byte", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("total", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("finished_at", sa.Float(), server_default=sa.text("0"), nullable=False),
        sa.Column("settled_note", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.CheckConstraint("(charge = 'reserved') = (outcome IS NULL)", name=op.f("ck_attempt_booked")),
        sa.CheckConstraint(
            "billed >= 0 AND (billed = 0 OR charge IN ('billed', 'unknown'))", name=op.f("ck_attempt_billed")
        ),
        sa.CheckConstraint("charge IN ('reserved', 'billed', 'void', 'unknown')", name=op.f("ck_attempt_charge")),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome IN ('delivered', 'not_sent', 'send_broken', 'lost', 'timed_out', 'throttled', 'quota', 'unauthorized', 'rejected', 'refused', 'refused_text', 'server_error', 'edge_error', 'empty', 'damaged', 'cut', 'oversized', 'expired')",
            name=op.f("ck_attempt_outcome"),
        ),
        sa.CheckConstraint("number >= 1", name=op.f("ck_attempt_number")),
        sa.CheckConstraint("reserved >= 0", name=op.f("ck_attempt_reserved")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_attempt_revision")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_attempt_job_id_job")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_attempt_task_id_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sa.UniqueConstraint("task_id", "revision", "number", name=op.f("uq_attempt_task_id_revision_number")),
    )
    op.create_index("ix_attempt_problem", "attempt", ["job_id"], sqlite_where=sa.text("outcome <> 'delivered'"))
    op.create_index("ix_attempt_unknown", "attempt", ["job_id"], sqlite_where=sa.text("charge = 'unknown'"))
    op.create_table(
        "image",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("task_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("flags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.CheckConstraint("bytes >= 1", name=op.f("ck_image_bytes")),
        sa.CheckConstraint("height >= 1", name=op.f("ck_image_height")),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_image_revision")),
        sa.CheckConstraint("width >= 1", name=op.f("ck_image_width")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempt.id"], name=op.f("fk_image_attempt_id_attempt")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_image_job_id_job")),
        sa.ForeignKeyConstraint(["task_id"], ["task.id"], name=op.f("fk_image_task_id_task")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image")),
        sa.UniqueConstraint("attempt_id", name=op.f("uq_image_attempt_id")),
        sa.UniqueConstraint("task_id", "revision", name=op.f("uq_image_task_id_revision")),
    )
    op.create_index("ix_image_flagged", "image", ["job_id"], sqlite_where=sa.text("flags <> ''"))


def downgrade() -> None:
    for table in ("image", "attempt", "task", "variant", "prompt", "job", "ledger"):
        op.drop_table(table)
