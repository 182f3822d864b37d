"""What may be asked of a run beside its manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Rebuy = Literal["", "changed", "all"]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """One run, as asked for.

    Attributes:
        limit: images to buy at most; None for no limit.
        only: prompt keys; None for all.
        max_cost: micro-dollars that it may spend; None for no limit of its own.
        rebuy: what delivered images may be bought again without a question: "" for few ones, `changed` for those of
            changed prompts, `all` for those of changed job-wide keys as well.
        refresh_inputs: whether references are fetched from their addresses again that were fetched before.
        forget_pace: whether it finds out anew what its gateways take.
        speed: of the simulated gateway, in a rehearsal: how many times faster it is than a real one.
        faults: of the simulated gateway, each `NAME=VALUE`.
    """

    limit: int | None = None
    only: frozenset[str] | None = None
    max_cost: int | None = None
    rebuy: Rebuy = ""
    refresh_inputs: bool = False
    forget_pace: bool = False
    speed: float = 1000.0
    faults: tuple[str, ...] = ()
