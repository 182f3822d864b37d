"""What `doctor` finds: one look at this machine, or at the way out of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchgen.domain.errors import BatchgenError


@dataclass(frozen=True, slots=True)
class MachineFinding:
    """One look at this machine.

    Attributes:
        what: was looked at, and found to be `value`.
        ok: whether a run can be trusted with it.
        advice: what to do, or to know; "" for nothing.
    """

    what: str
    value: str
    ok: bool
    advice: str = ""


def safely(look: Callable[[], MachineFinding]) -> MachineFinding:
    """Look once; what cannot be looked at is a finding that is not ok."""
    try:
        return look()
    except (OSError, ImportError, BatchgenError) as error:
        return MachineFinding(look.__name__.strip("_"), str(error), ok=False)
