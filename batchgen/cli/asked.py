"""What the command line asks of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Asked:
    """One run, as asked for.

    Attributes:
        limit: images to buy at most; None for no limit.
        only: prompt keys; None for all.
        speed: of the simulated gateway, for a rehearsal; `faults` too.
    """

    manifest: Path
    ledger: Path
    rehearse: bool
    yes: bool
    limit: int | None
    only: frozenset[str] | None
    rebuy: bool
    as_json: bool
    speed: float
    faults: tuple[str, ...]
