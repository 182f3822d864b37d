"""Looking at the references and masks of a plan, before it is compared with the ledger or called right."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

from batchgen.app.lazy_plan import LazyPlan
from batchgen.app.looking import Looking, in_silence
from batchgen.contracts.contract import References
from batchgen.domain.inputs import InputFile, is_address
from batchgen.engine.hand import InputHand
from batchgen.ledger.connect import reading
from batchgen.ledger.diff import input_files, is_recorded
from batchgen.ledger.job_rows import job_row
from batchgen.manifest.plan import ExpandedPlan


async def look_at_inputs(
    plan: ExpandedPlan,
    hand: InputHand,
    seen: Iterable[InputFile],
    keep: References | None,
    looking: Looking = in_silence,
    *,
    refresh: bool = False,
) -> None:
    """Look at every reference and mask of a plan, so that it can yield its prompts.

    Args:
        plan: hears of what was seen.
        hand: looks at the files of the plan's job.
        seen: the files as they were recorded; those that are still so are not read, and no address fetched again.
        keep: for a run, what its route takes: copies to send are made at once. None writes and fetches nothing.
        looking: told how far it is.
        refresh: whether to fetch again what was fetched before; what is another now becomes a warning of the plan.

    Raises:
        ManifestError: names every file that cannot be used, and why.
        StoreError: a copy cannot be written.
    """
    before = list(seen)
    pinned = {file.place: file for file in before if is_address(file.place)}
    uses = [use for use in plan.references() if keep is not None or not is_address(use.place) or use.place in pinned]
    if not uses:
        plan.take({}, {})
        return
    files, wrong, step = dict[str, InputFile](), dict[str, str](), looking(f"of {len(uses):,} reference files")
    known = [file for file in before if not (refresh and is_address(file.place))]
    async with aclosing(hand.examine_inputs(uses, known, keep)) as found:
        async for looked in found:
            if looked.file is None:
                wrong[looked.place] = looked.wrong
            else:
                files[looked.place] = looked.file
            step()
    plan.take(files, wrong)
    if refresh:
        plan.tell_refreshed(before)


async def look_where_changed(
    plan: LazyPlan,
    ledger: Path,
    hand: InputHand,
    keep: References | None,
    *,
    rebuy: bool,
    looking: Looking = in_silence,
    refresh: bool = False,
) -> None:
    """Look at them, unless the ledger has recorded the very same plan and files: then nothing will be compared.

    Args:
        plan: expanded only where something has changed.
        ledger: may not exist yet.
        hand: see `look_at_inputs`; `keep` and `looking` too.
        keep: see there.
        rebuy: whether delivered images are to be bought again that a job-wide key has changed.
        looking: see there.
        refresh: see there; it is looked in any case.

    Raises:
        ManifestError: something is wrong in a row, or with a file.
        StoreError: a copy cannot be written.
    """
    seen = _changed(plan, ledger, rebuy=rebuy, refresh=refresh)
    if seen is not None:
        await look_at_inputs(plan.expanded, hand, seen, keep, looking, refresh=refresh)


def _changed(plan: LazyPlan, ledger: Path, *, rebuy: bool, refresh: bool) -> list[InputFile] | None:
    """Give the files that were recorded for another state of this plan; None when nothing has changed since."""
    if not ledger.exists():
        return []
    with reading(ledger) as connection:
        found = job_row(connection, plan.job.name)
        if found is None:
            return []
        recorded = not refresh and is_recorded(connection, found, plan, rebuy=rebuy)
        return None if recorded else list(input_files(connection, found.id))
