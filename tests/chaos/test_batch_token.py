"""A bundle that was handed in by a process which died before it could write that down is known again by its token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from batchgen.contracts.catalog import load_catalog
from batchgen.domain.job import Limits
from batchgen.domain.lifecycle import BatchState
from batchgen.engine.batch.batch_runner import BatchRunner
from tests.support.rig import rig, simulator, small_plan

ROUTE = "openai/gpt-image-2"
BATCH = load_catalog().resolve({"use": ROUTE, "endpoint": "batch"})


async def test_bundle_is_handed_in_once_although_nobody_wrote_down_that_it_was(tmp_path: Path) -> None:
    plan = small_plan(tmp_path, ["a mug", "a cup"], ["1:1@1K"], Limits())
    async with (
        simulator(tmp_path, "batch_seconds=80000", route=ROUTE) as served,
        rig(tmp_path, replace(BATCH, base_url=served.base_url, keys=("K",)), plan) as run,
    ):
        batches = BatchRunner(run.executor).batches
        (key,) = run.route.keys
        assert await batches.open(await run.ledger.claim(run.job, 9, 0.0), key)
        (written,) = await run.ledger.open_batches(run.job)
        assert written.state is BatchState.WRITTEN
        await batches.advance(written)
        (first,) = await run.ledger.open_batches(run.job)
        await batches.advance(written)  # as the process does that starts with the row as it was
        (again,) = await run.ledger.open_batches(run.job)
        assert (first.state, again.remote) == (BatchState.SUBMITTED, first.remote)
        listed = await run.gateway.batches["K"].api._get("/batches?limit=100")
        assert [each["id"] for each in listed["data"]] == [first.remote]
