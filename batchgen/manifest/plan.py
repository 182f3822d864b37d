"""A manifest, expanded: every prompt as a stream, after one reading in which everything was found right."""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.domain.job import Prompt
from batchgen.manifest.entries import Manifest, own_hash
from batchgen.manifest.problems import Problems
from batchgen.manifest.survey import Totals, survey


class ExpandedPlan:
    """A `batchgen.domain.job.Plan`.

    Attributes:
        totals: prompts, and tasks (one image each).
        warnings: what only the rows could show to be doubtful, besides those of the manifest.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.job = manifest.job
        self.variants = manifest.variants
        self.variant_sets = manifest.variant_sets
        self._entries = manifest.entries
        problems = Problems()
        totals, warnings = survey(self._entries, self.variants, self.variant_sets, problems)
        problems.raise_if_any()
        self.totals: Totals = totals
        self.warnings = tuple(warnings)

    def prompts(self) -> Iterator[Prompt]:
        """Every prompt in order, made anew at each call and never all in memory.

        Raises:
            ManifestError: a catalog has changed since it was first read.
        """
        problems = Problems(at_once=True)
        position = 0
        for entry in self._entries:
            overrides, shared, variant_set = entry.overrides, entry.shared, entry.variant_set
            for _, _, key, text, path in entry.drafts(problems):
                yield Prompt(position, key, text, path, overrides, own_hash(text, overrides), shared, variant_set)
                position += 1


def expand(manifest: Manifest) -> ExpandedPlan:
    """Reads all rows of a manifest once; nothing of them is kept.

    `manifest.source_hash` tells beforehand whether this is needed at all.

    Raises:
        ManifestError: with every problem of every row, such as missing variables, equal ids, or two images of
            one path.
    """
    return ExpandedPlan(manifest)
