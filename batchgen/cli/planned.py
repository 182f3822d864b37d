"""A plan that is expanded only when somebody reads it: a resume of a million tasks needs none of its rows."""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.domain.job import JobSpec, Prompt
from batchgen.manifest.entries import Manifest
from batchgen.manifest.plan import ExpandedPlan, expand


class LazyPlan:
    """A `batchgen.domain.job.Plan` for a job that may go elsewhere than its manifest says (a rehearsal)."""

    def __init__(self, manifest: Manifest, spec: JobSpec) -> None:
        self.job = spec
        self.variants = manifest.variants
        self.variant_sets = manifest.variant_sets
        self._manifest = manifest
        self._expanded: ExpandedPlan | None = None

    def prompts(self) -> Iterator[Prompt]:
        """Every prompt in order; the first reading finds every problem of every row.

        Raises:
            ManifestError: something is wrong in a row.
        """
        if self._expanded is None:
            self._expanded = expand(self._manifest)
        return self._expanded.prompts()
