"""Manifests as this process reads them: with the routes that are known here."""

from __future__ import annotations

from pathlib import Path

from batchgen.app.known_routes import known_routes
from batchgen.ledger.records import JobRow
from batchgen.manifest import load
from batchgen.manifest.manifest import Manifest


def load_manifest(path: Path | str) -> Manifest:
    """Read a manifest; what is doubtful in it is in its `warnings`.

    Raises:
        ManifestError: with every problem of the file; those of its rows are found when they are read.
        ContractError: a contract file of the user is wrong.
    """
    return load.load_manifest(Path(path), known_routes())


def manifest_of(job: JobRow) -> Manifest | None:
    """Read a recorded job's manifest as it is now; None where it is gone.

    Raises:
        ManifestError: it has problems.
    """
    return load_manifest(job.manifest) if job.manifest.is_file() else None
