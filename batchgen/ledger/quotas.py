"""What was learned of the quotas of gateways, in the books of the ledger that learned it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace

from sqlalchemy.engine import Connection

from batchgen.domain.learned import STALE_AFTER, Learned, LimitKind, Whose
from batchgen.ledger.mapping import rows_of
from batchgen.ledger.statements import registers


def keep(connection: Connection, wanted: Sequence[Sequence[Learned]], now: float) -> list[None]:
    """Write down what is known now of some quotas, in place of what was known of them; forget what is old."""
    connection.execute(registers.FORGET_OLD_QUOTAS, {"before": now - STALE_AFTER})
    rows = [asdict(each) for some in wanted for each in some]
    if rows:
        connection.execute(registers.KEEP_QUOTA, rows)
    return [None] * len(wanted)


def forget(connection: Connection, wanted: Sequence[Sequence[Whose]], _now: float) -> list[None]:
    """Forget what is known of some quotas."""
    rows = [each._asdict() for some in wanted for each in some]
    if rows:
        connection.execute(registers.FORGET_QUOTA, rows)
    return [None] * len(wanted)


def all_of(connection: Connection) -> Iterator[Learned]:
    """Return what is known, however old it is."""
    for row in rows_of(connection.execute(registers.QUOTAS)):
        yield replace(Learned(**row), kind=LimitKind(row["kind"]))
