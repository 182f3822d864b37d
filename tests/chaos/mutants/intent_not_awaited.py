"""The call goes out while its intent is still on its way to the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace

from batchgen.domain.model import Claim, Cost
from batchgen.domain.wire import Call
from batchgen.engine.bookkeeper import Bookkeeper
from batchgen.engine.route_keys import RouteKey

CHECKS = ("tests/chaos/test_simulation.py",)

_real = Bookkeeper.reserve
_on_their_way: set[asyncio.Task[Call | None]] = set()


async def _reserve(self: Bookkeeper, claim: Claim, call: Call, cost: Cost, key: RouteKey) -> Call | None:
    connection = sqlite3.connect(self._ledger.path)
    number = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM attempt").fetchone()[0]
    connection.close()
    _on_their_way.add(asyncio.ensure_future(_real(self, claim, call, cost, key)))
    return replace(call, attempt=int(number), key_env=key.env)


def apply() -> None:
    """Break the build."""
    Bookkeeper.reserve = _reserve  # type: ignore[method-assign]
