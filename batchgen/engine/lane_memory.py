"""Writes down what the lanes of a run learn of their gateways, so that the next run begins with it."""

from __future__ import annotations

from batchgen.engine.job_run import JobRun
from batchgen.policy.lanes.memory import learned

_EVERY = 300.0  # seconds: what a crash loses


class LaneMemory:
    """The memory of the lanes of one run."""

    def __init__(self, run: JobRun) -> None:
        self._run = run

    async def keep_on(self) -> None:
        """Write down what is known, again and again. To be cancelled."""
        while True:
            await self._run.clock.sleep(_EVERY)
            await self.keep()

    async def keep(self) -> None:
        """Write down what is known now.

        Raises:
            LedgerError: the books cannot be written.
        """
        now = self._run.clock.now()
        lanes = dict.fromkeys(lane for route in self._run.routes for lane in route.keys.lanes)
        known = [learned(lane.rule, lane.whose, now) for lane in lanes if lane.whose is not None]
        if found := [each for each in known if each is not None]:
            await self._run.ledger.keep_quotas(found)
