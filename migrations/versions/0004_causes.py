"""Causes of what came of calls, and outcomes of gateways that are busy or do not serve a model.

Revision: 0004, after 0003. What calls before it were told is not known by a cause.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KNOWN = (
    "outcome IN ('delivered', 'not_sent', 'send_broken', 'lost', 'timed_out', 'throttled', 'quota', 'unauthorized', "
    "'rejected', 'refused', 'refused_text', 'server_error', 'edge_error', 'empty', 'damaged', 'cut', 'oversized', 'expired')"
)
_MORE = _KNOWN.replace("'throttled', ", "'throttled', 'busy', 'no_channel', ").replace(
    "'unauthorized', ", "'unauthorized', 'unserved', "
)


def upgrade() -> None:
    op.add_column("attempt", sa.Column("cause", sa.Text(), nullable=False, server_default=sa.text("''")))
    _allow(_KNOWN, _MORE)


def downgrade() -> None:
    op.execute(
        "UPDATE attempt SET outcome = CASE outcome WHEN 'unserved' THEN 'unauthorized' ELSE 'throttled' END "
        "WHERE outcome IN ('busy', 'no_channel', 'unserved')"
    )
    _allow(_MORE, _KNOWN)
    op.drop_column("attempt", "cause")


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
