"""The call goes out while its intent is still on its way to the disk."""

from __future__ import annotations

import asyncio
import sqlite3

from batchgen.domain.model import Claim, Cost
from batchgen.domain.wire import Call
from batchgen.engine.bookkeeper import Bookkeeper

CHECKS = ("tests/chaos/test_simulation.py",)

_real = Bookkeeper.reserve
_on_their_way: set[asyncio.Task[int | None]] = set()


async def _reserve(self: Bookkeeper, claim: Claim, call: Call, cost: Cost) -> int | None:
    connection = sqlite3.connect(self._ledger.path)
    number = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM attempt").fetchone()[0]
    connection.close()
    _on_their_way.add(asyncio.ensure_future(_real(self, claim, call, cost)))
    return int(number)


def apply() -> None:
    """Break the build."""
    Bookkeeper.reserve = _reserve  # type: ignore[method-assign]
