"""Times at which a gateway was down, as the runs saw it that waited for it.

Revision: 0008, after 0007.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outage",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("tasks", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("began_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("back", sa.Integer(), nullable=False),
        sa.CheckConstraint("tasks >= 0", name=op.f("ck_outage_tasks")),
        sa.CheckConstraint("back IN (0, 1)", name=op.f("ck_outage_back")),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], name=op.f("fk_outage_run_id_run")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outage")),
    )
    op.create_index("ix_outage_run", "outage", ["run_id"])


def downgrade() -> None:
    op.drop_table("outage")
