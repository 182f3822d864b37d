"""What was learned of the quotas of gateways, for the next run to begin with.

Revision: 0007, after 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quota",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("key_fingerprint", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("pace", sa.Float(), nullable=False),
        sa.Column("burst", sa.Integer(), nullable=False),
        sa.Column("proven", sa.Integer(), nullable=False),
        sa.Column("learned_at", sa.Float(), nullable=False),
        sa.CheckConstraint("kind IN ('nothing', 'in_flight', 'pace')", name=op.f("ck_quota_kind")),
        sa.CheckConstraint("calls >= 0", name=op.f("ck_quota_calls")),
        sa.CheckConstraint("burst >= 1", name=op.f("ck_quota_burst")),
        sa.CheckConstraint("proven >= 0", name=op.f("ck_quota_proven")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quota")),
        sa.UniqueConstraint("host", "key_fingerprint", "model", name=op.f("uq_quota_host_key_fingerprint_model")),
    )


def downgrade() -> None:
    op.drop_table("quota")
