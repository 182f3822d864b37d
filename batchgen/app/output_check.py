"""Whether a job's output folder is the one that the books mean, before anything in it is opened."""

from __future__ import annotations

from pathlib import Path

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.domain.errors import ForeignOutput, LedgerError, LedgerInUse, UsageError
from batchgen.domain.job import JobSpec
from batchgen.domain.lifecycle import TaskState
from batchgen.domain.text import counted
from batchgen.ledger.holder import held
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.reader import Reader
from batchgen.store.layout import SPOOL
from batchgen.store.spool.owner import is_away, owner_of


async def check_output(spec: JobSpec, ledger: Ledger, choice: LedgerChoice) -> bool:
    """Make sure of it. Images are known by their paths below the folder, so it cannot just be another one, or none.

    Nor may a copy of a ledger have it, which knows nothing of what the other one has bought since. Gives whether the
    folder is known from the books.

    Raises:
        LedgerInUse: a run has the ledger of which this one is a copy.
        ForeignOutput: the folder is that ledger's.
        UsageError: the job's images are in another folder, or their folder is not there.
    """
    owner = owner_of(spec.output)
    owned = owner is not None and owner[1] == ledger.name
    if owner is not None and owned and _is_other(owner[0], ledger):
        _refuse_copy(spec.output, ledger.path, owner[0])
    with Reader(ledger.path) as reader:
        before = {job.name: job for job in reader.jobs()}.get(spec.name)
    if before is None:
        return False
    if _same(before.output, spec.output):
        # A probe has no manifest, and what it brought is not wanted again.
        delivered = before.states.get(TaskState.COMPLETED, 0) if spec.manifest.exists() else 0
        under_way = len(await ledger.interrupted(before.id))
        if (delivered or under_way) and is_away(spec.output):
            raise UsageError(_away(spec, delivered, under_way, choice))
        return True
    bought = before.states.get(TaskState.COMPLETED) or before.work.get(TaskState.RUNNING) or before.billed
    if bought and (before.output.exists() or not owned):
        raise UsageError(
            f"the images of {spec.name} are in {before.output}, the manifest now says {spec.output}; "
            "move that folder there, or put output.folder back, or give the job another name"
        )
    return False


def _same(one: Path, other: Path) -> bool:
    """Say whether two paths are one folder."""
    return one == other or (one.exists() and other.exists() and one.samefile(other))


def _refuse_copy(folder: Path, copy: Path, first: Path) -> None:
    if (user := held(first)) is not None:
        raise LedgerInUse(
            f"the output folder {folder} is in use by {user}, with the ledger {first}, of which {copy} is a copy; "
            f"wait for it to end, and run with --db {first}"
        )
    raise ForeignOutput(
        f"{folder} belongs to the ledger {first}, and {copy} is a copy of that; run with --db {first}, or move "
        "that file away if the copy is to take its place"
    )


def _is_other(path: Path, mine: Ledger) -> bool:
    """Say whether a path leads to another ledger that has the name of this one: one of them is a copy."""
    try:
        if path.samefile(mine.path):
            return False
        with Reader(path) as reader:
            return reader.name == mine.name
    except (OSError, LedgerError):  # nothing is there any more, or something else
        return False


def _away(spec: JobSpec, delivered: int, under_way: int, choice: LedgerChoice) -> str:
    """Word what a person is told whose output folder is not there, or no longer says whose it is."""
    spool = spec.output / SPOOL
    parts = [counted(delivered, "image")] if delivered else []
    parts += [f"{counted(under_way, 'answer')} under way"] if under_way else []
    has = " and ".join(parts)
    if spool.is_dir():
        return (
            f"{spool} does not say whose it is: its owner.json is missing, and {spec.name} has {has} there. Put it "
            f"back; if the folder is this job's all the same, make an empty file {spool / 'owner.json'} and run again"
        )
    return (
        f"{spec.output} is not there or not the folder of {spec.name}, which has {has} in it: {spool} is missing. Is "
        "its drive mounted? Put the folder back and run again; if it is gone for good, make an empty folder "
        f"{spool}, then {choice.command(f'retry {spec.name} --gone')}"
    )
