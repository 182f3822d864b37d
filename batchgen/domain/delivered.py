"""A delivered image with all that made it: what the index of an output folder says, enough to rebuild a ledger."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.domain.lifecycle import Charge
from batchgen.domain.origin import Origin
from batchgen.domain.wire import Image


@dataclass(frozen=True, slots=True)
class Delivered:
    """One image and the attempt that brought it.

    Attributes:
        flags: `size_mismatch`, `downgraded`, `rerouted`.
        request_ids: header name and value.
        billed: micro-dollars; the best guess where the charge is unknown.
        created: when it was delivered, seconds since the epoch.
    """

    origin: Origin
    image: Image
    flags: tuple[str, ...]
    attempt: int
    request_ids: tuple[tuple[str, str], ...]
    charge: Charge
    billed: int
    created: float
