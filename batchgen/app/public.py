"""What `import batchgen` gives a program: load a manifest, plan it, run it, read the ledger."""

from __future__ import annotations

from pathlib import Path

from batchgen.app import planning
from batchgen.app.ledger_choice import LedgerChoice
from batchgen.app.manifests import load_manifest
from batchgen.app.run import run_manifest
from batchgen.app.run_host import RunHost
from batchgen.app.run_options import RunOptions
from batchgen.ledger.reader import Reader
from batchgen.manifest.manifest import Manifest
from batchgen.report.run_result import RunResult

__all__ = ["load_manifest", "open_ledger", "plan", "run"]


def plan(
    manifest: Manifest, db: Path | str | None = None, *, rehearse: bool = False, rebuy: bool = False
) -> planning.PlannedRun:
    """Say what a run would buy, cost and take. Writes nothing; not to be called where an event loop runs.

    Args:
        manifest: what is wanted.
        db: the ledger, which may not exist yet; None for `batchgen.db` in the current folder.
        rehearse: whether the rehearsal's ledger in `./rehearsal` is meant instead.
        rebuy: whether delivered images are to be bought again that a job-wide key has changed.

    Raises:
        ManifestError: something is wrong in a row, or with an input image.
        UsageError: the ledger is older than the output folder.
    """
    return planning.plan(manifest, _chosen(db, rehearse=rehearse), rebuy=rebuy)


async def run(
    manifest: Manifest,
    db: Path | str | None = None,
    *,
    rehearse: bool = False,
    options: RunOptions | None = None,
    host: RunHost | None = None,
) -> RunResult:
    """Buy what a manifest wants and does not have yet. The same again resumes.

    Args:
        manifest: what is wanted.
        db: the ledger, which is made where there is none; None for `batchgen.db` in the current folder.
        rehearse: whether to use a simulated gateway, with a ledger, an output and a bill in `./rehearsal`.
        options: what is asked of this run; None for all there is to buy.
        host: whom it works for; None for one that agrees to nothing unusual and shows nothing.

    Raises:
        ManifestError: something is wrong in a row, or with an input image.
        UsageError: a key is missing, the host does not agree, or ledger and output do not belong together.
        LedgerInUse: another run has the ledger.
        BatchgenError: the books, the disk or the simulated gateway failed.
    """
    return await run_manifest(manifest, _chosen(db, rehearse=rehearse), options or RunOptions(), host or RunHost())


def open_ledger(db: Path | str | None = None, *, rehearse: bool = False) -> Reader:
    """Open a ledger for reading, also while a run goes on; to be used in a `with` statement.

    Args:
        db: the ledger; None for `batchgen.db` in the current folder.
        rehearse: whether the rehearsal's ledger in `./rehearsal` is meant instead.

    Raises:
        LedgerError: there is none, or it cannot be read.
    """
    return Reader(_chosen(db, rehearse=rehearse).path)


def _chosen(db: Path | str | None, *, rehearse: bool) -> LedgerChoice:
    return LedgerChoice(None if db is None else Path(db), rehearse)
