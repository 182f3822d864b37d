"""`batchgen rebuild`: a ledger that is lost or older than its output gets back what the output folder tells."""

from __future__ import annotations

import asyncio
import os
import shlex
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.app.ledger_choice import LedgerChoice
from batchgen.cli.options import json_option, ledger_options
from batchgen.cli.output import echo, print_json, say, told_now_and_then
from batchgen.domain.clock import SystemClock
from batchgen.domain.errors import Exit, ManifestError, StoreError, UsageError
from batchgen.domain.text import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchgen.domain.job import JobSpec
    from batchgen.domain.origin import Origin
    from batchgen.engine.hand import FolderHand
    from batchgen.engine.salvage import Salvaged
    from batchgen.manifest.manifest import Manifest

_SAY_EVERY = 5.0  # seconds
_NAMED = 20  # of what cannot be entered, on the terminal


@dataclass(frozen=True, slots=True)
class _Wanted:
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


@click.command()
@click.argument("job")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="OUTPUT",
    help="The output folder of the job.",
)
@ledger_options
@json_option
@click.option("--dry-run", is_flag=True, help="Only say what would be entered; write nothing.")
@click.option("--index", is_flag=True, help="Write images.jsonl of OUTPUT anew from the ledger instead.")
def rebuild(job: str, folder: Path, ledger: LedgerChoice, as_json: bool, dry_run: bool, index: bool) -> None:
    """Enter into the ledger what OUTPUT tells of JOB and the ledger does not have: it is lost, or an older copy.

    JOB is a manifest or a job's name. Images are entered with their attempts and their money when their files are
    whole; answers that are whole in the spool are finished by the next run, without a call. Nothing is removed.

    Exit codes: 0 all is entered · 2 usage, or another ledger's folder · 3 some cannot be entered, and are listed ·
    4 a run has the ledger.
    """
    wanted = _wanted(job, _plain(folder.absolute()), ledger)
    if index:
        _write_index(wanted, as_json=as_json, dry_run=dry_run)
        return
    found = asyncio.run(_look(wanted) if dry_run else _enter(wanted))
    compared = not dry_run and _compare(wanted)
    if as_json:
        print_json(_fields(wanted, found, compared=compared, dry_run=dry_run))
    else:
        for line in _lines(wanted, found, dry_run=dry_run):
            echo(line)
    if found.faults:
        raise click.exceptions.Exit(Exit.SOME_FAILED)


def _plain(folder: Path) -> Path:
    """A path as a manifest's would be, without any way up, where that leads to the same folder."""
    plain = Path(os.path.normpath(folder))
    return plain if plain.exists() and folder.exists() and plain.samefile(folder) else folder


def _wanted(job: str, output: Path, ledger: LedgerChoice) -> _Wanted:
    """What the command line asks for.

    Raises:
        ManifestError: the manifest has problems.
        UsageError: there is no such folder, or the manifest's output is another.
    """
    if not output.is_dir():
        raise UsageError(f"there is no folder {output}; give the output folder of {job} as --from")
    if Path(job).suffix not in {".yaml", ".yml"}:
        return _Wanted(job, output, ledger, None, None)
    from batchgen.app.manifests import load_manifest
    from batchgen.app.planning import job_on

    manifest = load_manifest(job)
    spec = job_on(manifest, ledger)
    _check_folder(spec.name, spec.output, output, "says")
    return _Wanted(spec.name, spec.output, ledger, manifest, spec)


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


async def _look(wanted: _Wanted) -> Salvaged:
    """What would be entered; nothing is written."""
    from batchgen.engine.dry_run import UntouchedBooks
    from batchgen.engine.local_folder import UntouchedFolder
    from batchgen.engine.salvage import Salvage

    folder = UntouchedFolder(wanted.output)
    await _seed(wanted, folder)
    return await Salvage(0, wanted.name, folder, UntouchedBooks(wanted.ledger.path)).run(_progress())


async def _enter(wanted: _Wanted) -> Salvaged:
    """Enter everything, as the owner of ledger and output.

    Raises:
        LedgerInUse: a run has the ledger.
        ForeignOutput: the output belongs to another ledger that is there.
    """
    from batchgen.engine.local_folder import OwnedFolder
    from batchgen.engine.salvage import Salvage
    from batchgen.ledger.ledger import Ledger
    from batchgen.store.spool.owner import check_owner
    from batchgen.store.spool.spool import Spool

    clock = SystemClock()
    if not wanted.ledger.path.exists():  # where the folder is another's, no empty ledger is left behind
        check_owner(wanted.output, wanted.ledger.path, "")
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(wanted.ledger.path, clock))
        _check_recorded(wanted)
        check_owner(wanted.output, ledger.path, ledger.name)
        spool = Spool.open(wanted.output, ledger.path, ledger.name, clock=clock, take_over=True)
        stack.callback(spool.close)
        folder = OwnedFolder(spool)
        job = ledger.admit(await _seed(wanted, folder))
        found = await Salvage(job, wanted.name, folder, ledger).run(_progress())
        for note in spool.notes:
            say(note)
    return found


def _write_index(wanted: _Wanted, *, as_json: bool, dry_run: bool) -> None:
    """Write the index anew; one that is there may tell more than the ledger knows, so it is not replaced.

    Raises:
        UsageError: there is an index, or --dry-run is given, too.
        ForeignOutput: the output belongs to another ledger.
    """
    from batchgen.engine.origins import line_of
    from batchgen.ledger.ledger import Ledger
    from batchgen.ledger.listing import listed
    from batchgen.store.layout import INDEX
    from batchgen.store.output.image_index import write_index
    from batchgen.store.spool.spool import Spool

    if dry_run:
        raise UsageError("--index writes images.jsonl and nothing else; give it without --dry-run")
    path, clock = wanted.output / INDEX, SystemClock()
    if os.path.lexists(path):
        raise UsageError(f"{path} is there; move it away, then give --index again")
    if not wanted.ledger.path.exists():
        raise UsageError(f"there is no ledger at {wanted.ledger.path} to write {path} from; give --db")
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger.open(wanted.ledger.path, clock))
        _check_recorded(wanted)
        stack.callback(Spool.open(wanted.output, ledger.path, ledger.name, clock=clock).close)
        lines = write_index(wanted.output, (line_of(*each) for each in listed(wanted.ledger.path, wanted.output)))
    if as_json:
        print_json({"job": wanted.name, "index": str(path), "lines": lines})
    else:
        echo(f"{path}: {counted(lines, 'line')}")


def _check_recorded(wanted: _Wanted) -> None:
    from batchgen.app.jobs import recorded

    before = recorded(wanted.ledger.path, wanted.name)
    if before is not None:
        _check_folder(wanted.name, before.output, wanted.output, "has it")


async def _seed(wanted: _Wanted, folder: FolderHand) -> JobSpec:
    """The job as far as it is known, for a ledger that does not have it.

    Raises:
        UsageError: only a name is given, and neither the ledger nor the folder knows a job of that name.
    """
    from batchgen.app.jobs import recorded
    from batchgen.engine.salvage import told_jobs

    if wanted.spec is not None:
        return replace(wanted.spec, source_hash="")  # to be compared by the next run, whatever was entered
    before = recorded(wanted.ledger.path, wanted.name)
    told = {} if before is not None else await told_jobs(folder, wanted.name)
    if before is None and wanted.name not in told:
        names = ", ".join(sorted(map(one_line, told))) or "none"
        raise UsageError(f"nothing in {wanted.output} tells of a job named {wanted.name}; it tells of: {names}")
    return _spec_of(wanted, told.get(wanted.name), before.route if before else "")


def _spec_of(wanted: _Wanted, origin: Origin | None, route: str) -> JobSpec:
    from batchgen.domain.job import FourK, JobSpec, Limits, Parameters

    return JobSpec(
        name=wanted.name,
        route=origin.route if origin else route,
        model=origin.model if origin else "",
        manifest=Path(f"{wanted.name}.yaml").absolute(),  # a guess, until a run brings the real one
        output=wanted.output,
        parameters=Parameters(),
        limits=Limits(),
        four_k=FourK.RETRY,
        source_hash="",
    )


def _progress() -> Callable[[int], None]:
    """Say now and then how far the work is."""
    clock = SystemClock()
    said = clock.monotonic()

    def progress(lines: int) -> None:
        nonlocal said
        if clock.monotonic() - said > _SAY_EVERY:
            said = clock.monotonic()
            say(f"{lines:,} lines of images.jsonl are done")

    return progress


def _compare(wanted: _Wanted) -> bool:
    """Record the manifest as a run does, so that text and paths are there; whether that was possible."""
    if wanted.manifest is None or wanted.spec is None:
        return False
    from batchgen.domain.errors import BatchUnderWay, PaidUnderWay

    try:
        asyncio.run(_record(wanted.manifest, wanted.spec, wanted.ledger))
    except (BatchUnderWay, PaidUnderWay, ManifestError, StoreError, UsageError) as error:
        say(f"the manifest is compared by the next run: {error}")
        return False
    return True


async def _record(manifest: Manifest, spec: JobSpec, ledger: LedgerChoice) -> None:
    from batchgen.app.input_check import look_where_changed
    from batchgen.app.lazy_plan import LazyPlan
    from batchgen.cli.session import Session
    from batchgen.engine.job_run import Selection

    async with Session(ledger, spec, Selection(), looking=told_now_and_then) as session:
        plan, takes = LazyPlan(manifest, spec), manifest.contract.references
        await look_where_changed(plan, ledger.path, session.inputs, takes, rebuy=False, looking=told_now_and_then)
        await session.record(plan, rebuy=False)


def _fields(wanted: _Wanted, found: Salvaged, *, compared: bool, dry_run: bool) -> dict[str, object]:
    return {
        "job": wanted.name,
        "ledger": str(wanted.ledger.path),
        "output": str(wanted.output),
        "dry_run": dry_run,
        "images": found.images,
        "known": found.known,
        "answers": found.answers,
        "maybe_paid": found.doubtful,
        "half_answers": found.halves,
        "other_jobs": dict(found.others),
        "not_entered": [{"what": what, "why": why} for what, why in found.faults.items()],
        "not_entered_unnamed": found.unnamed,
        "compared": compared,
    }


def _lines(wanted: _Wanted, found: Salvaged, *, dry_run: bool) -> list[str]:
    """What was entered, what was not, and what to type next."""
    would = "would be entered" if dry_run else "entered"
    known = f", {found.known} the ledger has already" if found.known else ""
    lines = [f"{wanted.name}: {counted(found.images, 'image')} {would}{known}"]
    if found.answers:
        lines.append(f"{counted(found.answers, 'whole answer')}: the next run finishes them without a call")
    if found.doubtful:
        lines.append(f"{counted(found.doubtful, 'answer')} of tasks that went on: booked as maybe paid")
    if found.halves:
        lines.append(f"{counted(found.halves, 'call')} without a whole answer, of which nobody can tell the task")
    for name, count in sorted(found.others.items()):
        again = wanted.ledger.command(f"rebuild {shlex.quote(one_line(name))} --from {shlex.quote(str(wanted.output))}")
        lines.append(f"{count} of another job, {one_line(name)}: {again}")
    if found.faults:
        many = len(found.faults) + found.unnamed
        lines.append(f"{many} cannot be entered:")
        lines += [f"  {one_line(what)}: {one_line(why)}" for what, why in list(found.faults.items())[:_NAMED]]
        if many > _NAMED:
            lines.append(f"  and {many - _NAMED} more; --json names the first {len(found.faults)}")
    lines.append("calls that brought no image are not told by a folder: `batchgen reconcile` finds what they cost")
    return lines
