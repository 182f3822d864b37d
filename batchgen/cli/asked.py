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
        max_cost: micro-dollars that it may spend; None for no limit of its own.
        rebuy: what delivered images may be bought again without a question: "" for few ones, `changed` for those of
            changed prompts, `all` for those of changed job-wide keys as well.
        speed: of the simulated gateway, for a rehearsal; `faults` too.
    """

    manifest: Path
    ledger: Path
    rehearse: bool
    yes: bool
    limit: int | None
    only: frozenset[str] | None
    max_cost: int | None
    rebuy: str
    as_json: bool
    speed: float
    faults: tuple[str, ...]
