"""One call over one route, made to learn about the route: what it asks, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from batchgen.contracts.contract import Contract
from batchgen.contracts.pricing import Demand, expected
from batchgen.domain.job import JobSpec
from batchgen.domain.money import format_usd
from batchgen.domain.size import Size
from batchgen.ledger.records import AttemptRow, TaskRow


@dataclass(slots=True)
class Probe:
    """One call over one route.

    Attributes:
        written: the route as the simulator takes it.
        key: the prompt's id, a stamp, so that each probe is a new prompt.
        fingerprint: of the key it was made with.
        task: after the call, like `attempt`, which is None when none was made.
    """

    contract: Contract
    written: dict[str, Any]
    spec: JobSpec
    key: str
    text: str
    size: Size
    fingerprint: str = ""
    task: TaskRow | None = None
    attempt: AttemptRow | None = None

    @property
    def question(self) -> str:
        """Say what is about to be bought."""
        contract = self.contract
        cost = expected(contract, Demand.of(self.size, self.spec.parameters.quality, self.text))
        known = "an unknown amount" if cost.micros is None else format_usd(cost.micros)
        most = "at most nobody knows" if cost.upper is None else f"at most {format_usd(cost.upper)}"
        return (
            f"one call over {contract.route} ({contract.endpoint.name} at {contract.base_url}, size {self.size}): "
            f"expected {known}, {most}"
        )
