"""Outcomes of answers that nobody can read and of calls taken in for later, and how often nothing came for money.

Revision: 0005, after 0004. Tasks that wait for a further try begin to count anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchgen.ledger.migrate import replace_check

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_KNOWN = "'empty', 'damaged'"
_MORE = "'empty', 'unread', 'accepted', 'damaged'"


def upgrade() -> None:
    op.add_column("task", sa.Column("hollow", sa.Integer(), nullable=False, server_default=sa.text("0")))
    replace_check(op.get_bind(), "attempt", _KNOWN, _MORE)


def downgrade() -> None:
    op.execute(
        "UPDATE attempt SET outcome = CASE outcome WHEN 'unread' THEN 'damaged' ELSE 'lost' END "
        "WHERE outcome IN ('unread', 'accepted')"
    )
    replace_check(op.get_bind(), "attempt", _MORE, _KNOWN)
    op.drop_column("task", "hollow")
