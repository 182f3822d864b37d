"""Input images, the route a task was sent to, and bundles of calls to a Batch API.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("prompt", sa.Column("inputs", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("task", sa.Column("images", sa.Integer(), nullable=False, server_default=sa.text("0")))
    op.add_column("task", sa.Column("send_route", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.add_column("attempt", sa.Column("batch_id", sa.Integer(), nullable=True))
    op.drop_index("ix_task_counts", "task")
    op.create_index("ix_task_counts", "task", ["job_id", "wanted", "state", "variant_id", "quality", "images"])
    op.create_index("ix_task_diverted", "task", ["job_id"], sqlite_where=sa.text("send_route <> ''"))
    op.create_index("ix_attempt_batch", "attempt", ["batch_id"], sqlite_where=sa.text("batch_id IS NOT NULL"))
    op.create_table(
        "input_file",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.CheckConstraint("bytes >= 0", name=op.f("ck_input_file_bytes")),
        sa.CheckConstraint("changed >= 0", name=op.f("ck_input_file_changed")),
        sa.CheckConstraint("width >= 0", name=op.f("ck_input_file_width")),
        sa.CheckConstraint("height >= 0", name=op.f("ck_input_file_height")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_input_file_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_input_file")),
        sa.UniqueConstraint("job_id", "place", name=op.f("uq_input_file_job_id_place")),
    )
    op.create_table(
        "batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("remote", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("status", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("output_file", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("error_file", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False, server_default=sa.text("''")),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.CheckConstraint("calls >= 1", name=op.f("ck_batch_calls")),
        sa.CheckConstraint("state IN ('written', 'submitted', 'ended', 'closed')", name=op.f("ck_batch_state")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_batch_job_id_job")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        sa.UniqueConstraint("token", name=op.f("uq_batch_token")),
    )
    op.create_index("ix_batch_open", "batch", ["job_id"], sqlite_where=sa.text("state <> 'closed'"))


def downgrade() -> None:
    op.drop_table("batch")
    op.drop_table("input_file")
    for index, table in (("counts", "task"), ("diverted", "task"), ("batch", "attempt")):
        op.drop_index(f"ix_{table}_{index}", table)
    op.create_index("ix_task_counts", "task", ["job_id", "wanted", "state", "variant_id", "quality"])
    for table, column in (("attempt", "batch_id"), ("task", "send_route"), ("task", "images"), ("prompt", "inputs")):
        op.drop_column(table, column)
