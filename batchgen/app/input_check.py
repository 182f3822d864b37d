"""Looking at the references and masks of a plan, before it is compared with the ledger or called right."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from pathlib import Path

from batchgen.app.lazy_plan import LazyPlan
from batchgen.app.looking import Looking, in_silence
from batchgen.contracts.contract import References
from batchgen.domain.inputs import InputFile
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
) -> None:
    """Look at every reference and mask of a plan, so that it can yield its prompts.

    Args:
        plan: hears of what was seen.
        hand: looks at the files of the plan's job.
        seen: the files as they were recorded; those that are still so are not read.
        keep: for a run, what its route takes: copies to send are made at once. None writes nothing.
        looking: told how far it is.

    Raises:
        ManifestError: names every file that cannot be used, and why.
        StoreError: a copy cannot be written.
    """
    uses = list(plan.references())
    if not uses:
        plan.take({}, {})
        return
    files, wrong, step = dict[str, InputFile](), dict[str, str](), looking(f"of {len(uses):,} reference files")
    async with aclosing(hand.examine_inputs(uses, list(seen), keep)) as found:
        async for looked in found:
            if looked.file is None:
                wrong[looked.place] = looked.wrong
            else:
                files[looked.place] = looked.file
            step()
    plan.take(files, wrong)


async def look_where_changed(
    plan: LazyPlan,
    ledger: Path,
    hand: InputHand,
    keep: References | None,
    *,
    rebuy: bool,
    looking: Looking = in_silence,
) -> None:
    """Look at them, unless the ledger has recorded the very same plan and files: then nothing will be compared.

    Args:
        plan: expanded only where something has changed.
        ledger: may not exist yet.
        hand: see `look_at_inputs`; `keep` and `looking` too.
        keep: see there.
        rebuy: whether delivered images are to be bought again that a job-wide key has changed.
        looking: see there.

    Raises:
        ManifestError: something is wrong in a row, or with a file.
        StoreError: a copy cannot be written.
    """
    seen = _changed(plan, ledger, rebuy=rebuy)
    if seen is not None:
        await look_at_inputs(plan.expanded, hand, seen, keep, looking)


def _changed(plan: LazyPlan, ledger: Path, *, rebuy: bool) -> list[InputFile] | None:
    """Give the files that were recorded for another state of this plan; None when nothing has changed since."""
    if not ledger.exists():
        return []
    with reading(ledger) as connection:
        found = job_row(connection, plan.job.name)
        if found is None:
            return []
        recorded = is_recorded(connection, found, plan, rebuy=rebuy)
        return None if recorded else list(input_files(connection, found.id))
