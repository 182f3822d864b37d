"""Outcomes of answers that nobody can read and of calls taken in for later, and how often nothing came for money.

Revision: 0005, after 0004. Tasks that wait for a further try begin to count anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KNOWN = "'empty', 'damaged'"
_MORE = "'empty', 'unread', 'accepted', 'damaged'"


def upgrade() -> None:
    op.add_column("task", sa.Column("hollow", sa.Integer(), nullable=False, server_default=sa.text("0")))
    _allow(_KNOWN, _MORE)


def downgrade() -> None:
    op.execute(
        "UPDATE attempt SET outcome = CASE outcome WHEN 'unread' THEN 'damaged' ELSE 'lost' END "
        "WHERE outcome IN ('unread', 'accepted')"
    )
    _allow(_MORE, _KNOWN)
    op.drop_column("task", "hollow")


def _allow(before: str, now: str) -> None:
    """Write another check into the schema: SQLite's own way where no row changes, however many there are."""
    connection = op.get_bind()
    version = connection.exec_driver_sql("PRAGMA schema_version").scalar_one()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    connection.execute(
        sa.text("UPDATE sqlite_schema SET sql = replace(sql, :before, :now) WHERE type = 'table' AND name = 'attempt'"),
        {"before": before, "now": now},
    )
    connection.exec_driver_sql(f"PRAGMA schema_version = {version + 1}")
    connection.exec_driver_sql("PRAGMA writable_schema = OFF")
