"""A call goes out with another key than the books say, so that nobody can ask for it with the one that knows it."""

from __future__ import annotations

from dataclasses import replace

from batchgen.domain.model import Claim, Cost
from batchgen.domain.wire import Call
from batchgen.engine.bookkeeper import Bookkeeper
from batchgen.engine.route_keys import RouteKey

CHECKS = (
    "tests/chaos/test_simulation.py::test_seeds_that_failed_once_hold",
    "tests/integration/test_several_keys.py::test_calls_are_shared_out_and_the_books_name_the_key_of_each",
)

_real = Bookkeeper.reserve


async def _reserve(self: Bookkeeper, claim: Claim, call: Call, cost: Cost, key: RouteKey) -> Call | None:
    reserved = await _real(self, claim, call, cost, key)
    return reserved and replace(reserved, key_env=call.key_env)


def apply() -> None:
    """Break the build."""
    Bookkeeper.reserve = _reserve  # type: ignore[method-assign]
