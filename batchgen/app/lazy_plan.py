"""A plan that is expanded only when somebody reads it: a resume of a million tasks needs none of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from batchgen.domain.errors import Problem
from batchgen.domain.inputs import InputFile
from batchgen.domain.job import JobSpec, Prompt
from batchgen.manifest.manifest import Manifest
from batchgen.manifest.plan import ExpandedPlan, expand, unchanged


class LazyPlan:
    """A `batchgen.domain.job.Plan` for a job that may go elsewhere than its manifest says (a rehearsal)."""

    def __init__(self, manifest: Manifest, spec: JobSpec) -> None:
        self.job = spec
        self.variants = manifest.variants
        self.variant_sets = manifest.variant_sets
        self._manifest = manifest

    @cached_property
    def expanded(self) -> ExpandedPlan:
        """Expand all of it, by the one reading that finds every problem of every row.

        Raises:
            ManifestError: something is wrong in a row.
        """
        return expand(self._manifest)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Give what the rows show to be doubtful; nothing where nobody had to read them."""
        return self.expanded.warnings if "expanded" in vars(self) else ()

    def prompts(self) -> Iterator[Prompt]:
        """Yield every prompt in order.

        Raises:
            ManifestError: something is wrong in a row.
        """
        return self.expanded.prompts()

    def files(self) -> Iterator[InputFile]:
        """Yield every reference and mask, each once, as it was looked at."""
        return self.expanded.files()

    def unchanged(self, files: Iterable[InputFile]) -> bool:
        """Say whether these files are on disk as they were; no row is read for that."""
        if "expanded" in vars(self):
            return self.expanded.unchanged(files)
        return unchanged(self._manifest.job.manifest.parent, files)
