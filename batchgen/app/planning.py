"""What a run would buy, cost and take, found without writing anything."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.app.forecasting import forecast_again, forecast_of
from batchgen.app.input_check import look_where_changed
from batchgen.app.jobs import recorded
from batchgen.app.keyring import KeyRing
from batchgen.app.lazy_plan import LazyPlan
from batchgen.app.ledger_check import check_ledger
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.looking import Looking, in_silence, intact_below
from batchgen.app.rehearsal import output_folder
from batchgen.app.spending_limits import walls_of
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import Problem
from batchgen.domain.job import Difference, JobSpec
from batchgen.domain.walls import Walls
from batchgen.ledger.diff import compare
from batchgen.ledger.records import JobRow
from batchgen.manifest.manifest import Manifest
from batchgen.report.fields import plan_fields
from batchgen.report.forecast import Forecast
from batchgen.report.headroom import Headroom, headrooms_of
from batchgen.store.inputs.input_store import InputStore

if TYPE_CHECKING:
    from batchgen.engine.local_fetch import InputFetcher


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """What a run is about to do.

    Attributes:
        manifest: what is wanted.
        job: as this run has it; a rehearsal puts its images elsewhere than the manifest says.
        difference: between the manifest and the ledger.
        forecast: of everything that waits to be bought.
        again: the same of those that have an image already.
        before: the job as it is recorded; None for a new one.
        headrooms: what each limit of money leaves to the run.
        warnings: what the rows show to be doubtful.
    """

    manifest: Manifest
    job: JobSpec
    difference: Difference
    forecast: Forecast
    again: Forecast
    before: JobRow | None = None
    headrooms: tuple[Headroom, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def fields(self) -> dict[str, object]:
        """Give it as `plan --json` does."""
        return plan_fields(self.job, self.difference, self.forecast, self.before, self.headrooms)


def plan(
    manifest: Manifest,
    ledger: LedgerChoice,
    *,
    rebuy: bool = False,
    refresh_inputs: bool = False,
    looking: Looking = in_silence,
) -> PlannedRun:
    """Compare a manifest with a ledger, which may not exist yet.

    Args:
        manifest: what is wanted.
        ledger: what is there.
        rebuy: whether delivered images are to be bought again that a job-wide key has changed.
        refresh_inputs: whether references that were fetched from their addresses are fetched again, to tell which are
            another now. Nothing else goes over the network.
        looking: told how far the looking at input images and earlier images is.

    Raises:
        ManifestError: something is wrong in a row, or with an input image.
        UsageError: the ledger is older than the output folder, or a limit in the environment is no amount.
    """
    job, path = job_on(manifest, ledger), ledger.path
    check_ledger(ledger, job)
    wanted = LazyPlan(manifest, job)
    with closing(InputStore.of(job, _fetcher(manifest) if refresh_inputs else None)) as store:
        look = look_where_changed(wanted, path, store, None, rebuy=rebuy, looking=looking, refresh=refresh_inputs)
        asyncio.run(look)
    difference = compare(path, wanted, intact_below(job.output, looking), rebuy=rebuy)
    return propose(manifest, job, difference, path, walls_of(path, job.limits), wanted.warnings)


def _fetcher(manifest: Manifest) -> InputFetcher:
    from batchgen.app.way_out import proxies_of  # noqa: PLC0415 - aiohttp only where something is fetched
    from batchgen.engine.local_fetch import InputFetcher  # noqa: PLC0415 - see above

    keys = KeyRing.of(manifest.job.manifest.parent, Path.cwd())
    return InputFetcher(manifest.job.images_from, SystemClock(), partial(proxies_of, manifest.contract, keys))


def propose(
    manifest: Manifest,
    job: JobSpec,
    difference: Difference,
    ledger: Path,
    walls: Walls,
    warnings: tuple[Problem, ...] = (),
) -> PlannedRun:
    """Say what buying a difference means; see `PlannedRun`."""
    return PlannedRun(
        manifest=manifest,
        job=job,
        difference=difference,
        forecast=forecast_of(manifest, job, difference),
        again=forecast_again(manifest, job, difference),
        before=recorded(ledger, job.name),
        headrooms=tuple(headrooms_of(ledger, job.name, walls, SystemClock().now())),
        warnings=warnings,
    )


def job_on(manifest: Manifest, ledger: LedgerChoice) -> JobSpec:
    """Give the job of a manifest as it is on a ledger: what is rehearsed goes below `rehearsal`."""
    job = manifest.job
    return replace(job, output=output_folder(job.name)) if ledger.rehearse else job
