"""A lost answer costs nothing in the books, whatever it cost at the gateway."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batchgen.domain.lifecycle import Charge
from batchgen.domain.model import Booking
from batchgen.engine import bookings

CHECKS = ("tests/chaos/test_simulation.py",)

_real = bookings.booking


def _booking(*given: Any) -> Booking:
    found = _real(*given)
    return replace(found, charge=Charge.VOID, billed=0) if found.charge is Charge.UNKNOWN else found


def apply() -> None:
    """Break the build."""
    bookings.booking = _booking  # type: ignore[assignment]
