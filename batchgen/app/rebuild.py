"""A ledger that is lost or older than its output gets back what the output folder tells."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from batchgen.app.input_check import look_where_changed
from batchgen.app.jobs import recorded
from batchgen.app.keyring import KeyRing
from batchgen.app.lazy_plan import LazyPlan
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.looking import Looking, in_silence
from batchgen.app.manifests import load_manifest
from batchgen.app.planning import job_on
from batchgen.app.session import Session
from batchgen.app.way_out import proxies_of
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import BatchUnderWay, ManifestError, PaidUnderWay, StoreError, UsageError
from batchgen.domain.job import FourK, JobSpec, Limits, Parameters
from batchgen.domain.origin import Origin
from batchgen.domain.text import one_line
from batchgen.engine.dry_run import UntouchedBooks
from batchgen.engine.hand import FolderHand
from batchgen.engine.job_run import Selection
from batchgen.engine.local_folder import OwnedFolder, UntouchedFolder
from batchgen.engine.origins import line_of
from batchgen.engine.salvage import Salvage, Salvaged, told_jobs
from batchgen.ledger.ledger import Ledger
from batchgen.ledger.listing import images_of_folder
from batchgen.manifest.manifest import Manifest
from batchgen.store.layout import INDEX
from batchgen.store.output.image_index import write_index
from batchgen.store.spool.owner import check_owner
from batchgen.store.spool.spool import Spool


@dataclass(frozen=True, slots=True)
class RebuildTarget:
    """What is to be rebuilt.

    Attributes:
        manifest: None where only the job's name is given.
        spec: of the manifest; None likewise.
    """

    name: str
    output: Path
    ledger: LedgerChoice
    manifest: Manifest | None
    spec: JobSpec | None


@dataclass(frozen=True, slots=True)
class RebuildHost:
    """Whom a rebuild works for.

    Attributes:
        tell: told what was set right, and what could not be done.
        progress: told how many lines of the index are done, after each.
        looking: told how far the looking at many files is.
    """

    tell: Callable[[str], None] = lambda _: None
    progress: Callable[[int], None] = lambda _: None
    looking: Looking = in_silence


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found.

    Attributes:
        compared: whether the manifest was recorded after it, so that texts and paths are there.
    """

    found: Salvaged
    compared: bool


def rebuild_target(job: str, folder: Path, ledger: LedgerChoice) -> RebuildTarget:
    """Find out what is meant by a job, which is a manifest or a name, and its output folder.

    Raises:
        ManifestError: the manifest has problems.
        UsageError: there is no such folder, or the manifest's output is another.
    """
    output = _plain(folder.absolute())
    if not output.is_dir():
        raise UsageError(f"there is no folder {output}; give the output folder of {job} as --from")
    if Path(job).suffix not in {".yaml", ".yml"}:
        return RebuildTarget(job, output, ledger, None, None)
    manifest = load_manifest(job)
    spec = job_on(manifest, ledger)
    _check_folder(spec.name, spec.output, output, "says")
    return RebuildTarget(spec.name, spec.output, ledger, manifest, spec)


def rebuild(target: RebuildTarget, *, dry_run: bool, host: RebuildHost) -> Rebuilt:
    """Enter what the folder tells and the ledger does not have; only say what that is in a dry run.

    Raises:
        LedgerInUse: a run has the ledger.
        ForeignOutput: the output belongs to another ledger that is there.
        UsageError: nothing in the folder tells of the job.
    """
    if dry_run:
        return Rebuilt(asyncio.run(_look(target, host)), compared=False)
    found = asyncio.run(_enter(target, host))
    return Rebuilt(found, _compare(target, host))


def rebuild_index(target: RebuildTarget) -> tuple[Path, int]:
    """Write the index anew from the ledger; gives where, and how many lines it has.

    One that is there may tell more than the ledger knows, so it is not replaced.

    Raises:
        UsageError: there is an index, or no ledger.
        ForeignOutput: the output belongs to another ledger.
    """
    path, clock = target.output / INDEX, SystemClock()
    if os.path.lexists(path):
        raise UsageError(f"{path} is there; move it away, then give --index again")
    if not target.ledger.path.exists():
        raise UsageError(f"there is no ledger at {target.ledger.path} to write {path} from; give --db")
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(target.ledger.path, clock))
        _check_recorded(target)
        stack.callback(Spool.open(target.output, ledger.path, ledger.name, clock=clock).close)
        lines = write_index(
            target.output, (line_of(*each) for each in images_of_folder(target.ledger.path, target.output))
        )
    return path, lines


def _plain(folder: Path) -> Path:
    """Give a path as a manifest's would be, without any way up, where that leads to the same folder."""
    plain = Path(os.path.normpath(folder))
    return plain if plain.exists() and folder.exists() and plain.samefile(folder) else folder


def _check_folder(name: str, theirs: Path, output: Path, says: str) -> None:
    """Images are known by their paths below the job's folder, so it must be that one.

    Raises:
        UsageError: it is another.
    """
    if theirs != output and not (theirs.exists() and theirs.samefile(output)):
        whose = "its manifest" if says == "says" else "the ledger"
        raise UsageError(
            f"the output folder of {name} is {theirs}, as {whose} {says}, not {output}; give that as --from, or put "
            "output.folder right"
        )


async def _look(target: RebuildTarget, host: RebuildHost) -> Salvaged:
    """Say what would be entered; nothing is written."""
    folder = UntouchedFolder(target.output)
    await _seed(target, folder)
    return await Salvage(0, target.name, folder, UntouchedBooks(target.ledger.path)).run(host.progress)


async def _enter(target: RebuildTarget, host: RebuildHost) -> Salvaged:
    """Enter everything, as the owner of ledger and output.

    Raises:
        LedgerInUse: a run has the ledger.
        ForeignOutput: the output belongs to another ledger that is there.
    """
    clock = SystemClock()
    if not target.ledger.path.exists():  # where the folder is another's, no empty ledger is left behind
        check_owner(target.output, target.ledger.path, "")
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(target.ledger.path, clock))
        _check_recorded(target)
        check_owner(target.output, ledger.path, ledger.name)
        spool = Spool.open(target.output, ledger.path, ledger.name, clock=clock, take_over=True)
        stack.callback(spool.close)
        folder = OwnedFolder(spool)
        job = ledger.admit(await _seed(target, folder))
        found = await Salvage(job, target.name, folder, ledger).run(host.progress)
        for note in spool.notes:
            host.tell(note)
    return found


async def _seed(target: RebuildTarget, folder: FolderHand) -> JobSpec:
    """Give the job as far as it is known, for a ledger that does not have it.

    Raises:
        UsageError: only a name is given, and neither the ledger nor the folder knows a job of that name.
    """
    if target.spec is not None:
        return replace(target.spec, source_hash="")  # to be compared by the next run, whatever was entered
    before = recorded(target.ledger.path, target.name)
    told = {} if before is not None else await told_jobs(folder, target.name)
    if before is None and target.name not in told:
        names = ", ".join(sorted(map(one_line, told))) or "none"
        raise UsageError(f"nothing in {target.output} tells of a job named {target.name}; it tells of: {names}")
    return _spec_of(target, told.get(target.name), before.route if before else "")


def _spec_of(target: RebuildTarget, origin: Origin | None, route: str) -> JobSpec:
    return JobSpec(
        name=target.name,
        route=origin.route if origin else route,
        model=origin.model if origin else "",
        manifest=Path(f"{target.name}.yaml").absolute(),  # a guess, until a run brings the real one
        output=target.output,
        parameters=Parameters(),
        limits=Limits(),
        four_k=FourK.RETRY,
        source_hash="",
    )


def _check_recorded(target: RebuildTarget) -> None:
    before = recorded(target.ledger.path, target.name)
    if before is not None:
        _check_folder(target.name, before.output, target.output, "has it")


def _compare(target: RebuildTarget, host: RebuildHost) -> bool:
    """Record the manifest as a run does, so that text and paths are there; whether that was possible."""
    if target.manifest is None or target.spec is None:
        return False
    try:
        asyncio.run(_record(target.manifest, target.spec, target.ledger, host.looking))
    except (BatchUnderWay, PaidUnderWay, ManifestError, StoreError, UsageError) as error:
        host.tell(f"the manifest is compared by the next run: {error}")
        return False
    return True


async def _record(manifest: Manifest, spec: JobSpec, ledger: LedgerChoice, looking: Looking) -> None:
    keys = KeyRing.of(manifest.job.manifest.parent, Path.cwd())
    way = partial(proxies_of, manifest.contract, keys)
    async with Session(ledger, spec, Selection(), looking=looking, way_to_inputs=way) as session:
        plan, takes = LazyPlan(manifest, spec), manifest.contract.references
        await look_where_changed(plan, ledger.path, session.hand, takes, rebuy=False, looking=looking)
        await session.record(plan, rebuy=False)
