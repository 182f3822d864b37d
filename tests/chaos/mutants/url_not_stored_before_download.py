"""A paid address is fetched first and written down never: who dies meanwhile has lost it."""

from __future__ import annotations

from dataclasses import replace

from batchgen.domain.model import Booking
from batchgen.ledger.ledger import Ledger

CHECKS = (
    "tests/chaos/test_simulation.py",
    "tests/integration/test_recovery.py::test_paid_address_is_fetched_without_a_call",
)

_real = Ledger.book


async def _book(self: Ledger, booking: Booking) -> None:
    await _real(self, replace(booking, url="", url_expires=0.0))


def apply() -> None:
    """Break the build."""
    Ledger.book = _book  # type: ignore[method-assign]
