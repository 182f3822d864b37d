"""What handing a batch in and taking it in have in common: the run, the API, and the calls that are still open."""

from __future__ import annotations

from dataclasses import dataclass, replace

from batchgen.domain.lifecycle import Charge
from batchgen.engine.attempt import Executor
from batchgen.engine.hand import Hand
from batchgen.engine.job_run import JobRun
from batchgen.engine.route_keys import RouteKey
from batchgen.engine.routes import RouteRun
from batchgen.ledger.batches import BatchRow
from batchgen.ledger.records import Interrupted

TURNED_AWAY = "turned away"  # the status of a batch that the gateway had no room for


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What handing in and taking in need.

    Attributes:
        executor: of a run over one route.
    """

    executor: Executor

    @property
    def run(self) -> JobRun:
        """The run in whose name calls are handed in."""
        return self.executor.run

    @property
    def route(self) -> RouteRun:
        """The only route of the run."""
        return self.run.routes.first

    @property
    def hand(self) -> Hand:
        """Who talks to the gateway and moves the files."""
        return self.executor.hand

    def key_of(self, row: BatchRow) -> RouteKey | None:
        """Return the key that the calls of a batch are made with; None when it is not here."""
        return self.route.keys.find(row.key_fingerprint)

    def asking_key(self, row: BatchRow) -> str:
        """Return the variable with the key to ask with how far a batch is."""
        return self.route.keys.asking(row.key_fingerprint).env

    async def move(self, row: BatchRow, **known: object) -> None:
        """Write down what is known of a batch now."""
        await self.run.ledger.move_batch(replace(row, **known))  # type: ignore[arg-type]


async def held_attempts(context: BatchContext, row: BatchRow) -> list[Interrupted]:
    """Return the calls of a batch whose charge is still open."""
    found = await context.run.ledger.interrupted(context.run.job)
    return [each for each in found if each.attempt.batch == row.id and each.attempt.charge is Charge.RESERVED]


def custom_id_of(row: BatchRow, attempt: int) -> str:
    """Name one call in the files of a batch."""
    return f"{row.token}-{attempt}"
