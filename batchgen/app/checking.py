"""Checking a manifest as a whole: its keys, its rows and its input images, without a ledger and without a call."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from batchgen.app.input_check import look_at_inputs
from batchgen.app.looking import Looking, in_silence
from batchgen.contracts.catalog import Catalog
from batchgen.domain.inputs import is_address
from batchgen.manifest.load import load_manifest
from batchgen.manifest.plan import expand
from batchgen.store.inputs.input_store import InputStore


@dataclass(frozen=True, slots=True)
class CheckedManifest:
    """A manifest without problems.

    Attributes:
        route: of the job.
        prompts: how many there are, for `images` images.
        warnings: what is doubtful in it.
        fetches: how many references a run fetches first, by the host that their addresses name.
    """

    route: str
    prompts: int
    images: int
    warnings: list[str]
    fetches: dict[str, int]


def check_manifest(path: Path, catalog: Catalog, looking: Looking = in_silence) -> CheckedManifest:
    """Look at everything that can be wrong in a manifest.

    Args:
        path: of the manifest.
        catalog: the routes that are known.
        looking: told how far the looking at input images is.

    Raises:
        ManifestError: with every problem at once.
    """
    manifest = load_manifest(path, catalog)
    plan = expand(manifest, wait=True)
    with closing(InputStore.of(manifest.job)) as store:
        asyncio.run(look_at_inputs(plan, store, [], None, looking))
    warnings = [str(warning) for warning in (*manifest.warnings, *plan.warnings)]
    fetches = Counter(urlsplit(use.place).netloc for use in plan.references() if is_address(use.place))
    return CheckedManifest(manifest.contract.route, plan.totals.prompts, plan.totals.tasks, warnings, dict(fetches))
