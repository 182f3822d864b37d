"""Causes of what came of calls, and outcomes of gateways that are busy or do not serve a model.

Revision: 0004, after 0003. What calls before it were told is not known by a cause.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from batchgen.ledger.migrate import replace_check

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
    replace_check(op.get_bind(), "attempt", _KNOWN, _MORE)


def downgrade() -> None:
    op.execute(
        "UPDATE attempt SET outcome = CASE outcome WHEN 'unserved' THEN 'unauthorized' ELSE 'throttled' END "
        "WHERE outcome IN ('busy', 'no_channel', 'unserved')"
    )
    replace_check(op.get_bind(), "attempt", _MORE, _KNOWN)
    op.drop_column("attempt", "cause")
