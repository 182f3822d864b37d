"""How Alembic reaches the tables: with the connection it is handed, or on its own with `-x db=FILE`."""

from __future__ import annotations

from pathlib import Path

from alembic import context
from sqlalchemy.engine import Connection

from batchgen.ledger.connect import writing_engine
from batchgen.ledger.tables import metadata


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if handed is not None:
    run(handed)
else:
    file = context.get_x_argument(as_dictionary=True).get("db", "batchgen.db")
    with writing_engine(Path(file), 5.0).begin() as own:
        run(own)
