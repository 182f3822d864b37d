"""A manifest, expanded: every prompt as a stream, after one reading in which everything was found right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from batchgen.domain.inputs import NO_INPUTS, InputFile, InputImage, Inputs, InputUse, is_address
from batchgen.domain.job import Prompt
from batchgen.files.input_root import InputRoot
from batchgen.manifest.manifest import Manifest
from batchgen.manifest.problems import Problems
from batchgen.manifest.prompts.fingerprints import own_hash
from batchgen.manifest.prompts.input_places import NO_PLACES, Places
from batchgen.manifest.survey.lint import Lint
from batchgen.manifest.survey.survey import PlanTotals, survey


class ExpandedPlan:
    """A `batchgen.domain.job.Plan`.

    A plan with local references yields its prompts once these were looked at: they are part of what is asked. What lies
    behind addresses that are fetched is not; only a run must know it.

    Attributes:
        totals: prompts, and tasks (one image each).
        warnings: what only the rows could show to be doubtful, besides those of the manifest.
    """

    def __init__(self, manifest: Manifest, *, wait: bool = False) -> None:
        """Read all rows once.

        Args:
            manifest: to expand.
            wait: whether what is wrong in them is only said by `take`, with what is wrong with the files.

        Raises:
            ManifestError: something is wrong in a row.
        """
        self.job = manifest.job
        self.variants = manifest.variants
        self.variant_sets = manifest.variant_sets
        self._sources = manifest.sources
        problems = Problems()
        lint = Lint(manifest.contract, self.variants, manifest.risky_terms)
        found = survey(self._sources, self.variants, self.variant_sets, problems, lint)
        if not wait:
            problems.raise_if_any()
        self._problems = problems
        self.totals: PlanTotals = found.totals
        self.warnings = found.warnings
        self._input_files = found.input_files
        self._looked: Mapping[str, InputFile] | None = {} if not len(found.input_files) else None
        self._images: dict[str, InputImage] = {}

    def references(self) -> Iterator[InputUse]:
        """Yield every reference and mask that is a file or fetched once, in the order in which prompts name them."""
        return iter(self._input_files)

    def take(self, looked: Mapping[str, InputFile], wrong: Mapping[str, str]) -> None:
        """Take in what was seen of the files, and behind the addresses that are fetched, by their places.

        Args:
            looked: those that can be used; addresses may be left out.
            wrong: what is wrong with the others.

        Raises:
            ManifestError: names every file that cannot be used, with the first prompt that does; and every mask that
                does not fit.
        """
        self._input_files.check(looked, wrong, self._problems)
        self._problems.raise_if_any()
        self._looked = looked
        self._images = {
            place: InputImage(place, file.sha256, file.width, file.height) for place, file in looked.items()
        }

    def tell_refreshed(self, before: Iterable[InputFile]) -> None:
        """Warn of addresses behind which something else lies than before."""
        known = {file.place: file for file in before}
        self.warnings = (*self.warnings, *self._input_files.refreshed(known, self._known()))

    def files(self) -> Iterator[InputFile]:
        """Yield every reference and mask once, as it was looked at."""
        looked = self._known()
        return (looked[use.place] for use in self._input_files if use.place in looked)

    def unchanged(self, files: Iterable[InputFile]) -> bool:
        """Say whether these files are on disk as they were, and the same lies behind addresses if that is known."""
        before, looked = list(files), self._looked or {}
        fetched = [file for file in before if is_address(file.place)]
        same = all(looked[file.place].sha256 == file.sha256 for file in fetched if file.place in looked)
        return same and unchanged(self.job.manifest.parent, before)

    def prompts(self) -> Iterator[Prompt]:
        """Yield every prompt in order, made anew at each call and never all in memory.

        Raises:
            ManifestError: a catalog has changed since it was first read.
        """
        self._known()
        return self._prompts()

    def _known(self) -> Mapping[str, InputFile]:
        if self._looked is None:
            raise RuntimeError("the references of a plan are part of what it asks: look at them first")
        return self._looked

    def _prompts(self) -> Iterator[Prompt]:
        problems = Problems(at_once=True)
        position = 0
        for source in self._sources:
            overrides, shared, variant_set = source.overrides, source.shared, source.variant_set
            for _, _, key, text, path, places in source.drafts(problems):
                inputs = NO_INPUTS if places is NO_PLACES else self._inputs(places)
                own = own_hash(text, overrides, inputs)
                yield Prompt(position, key, text, path, overrides, own, shared, variant_set, inputs)
                position += 1

    def _inputs(self, places: Places) -> Inputs:
        mask = self._image(places.mask) if places.mask else None
        return Inputs(tuple(map(self._image, places.references)), mask)

    def _image(self, place: str) -> InputImage:
        return self._images.get(place) or InputImage(place)


def expand(manifest: Manifest, *, wait: bool = False) -> ExpandedPlan:
    """Read all rows of a manifest once; nothing of them is kept but the places of references.

    `manifest.source_hash` tells beforehand whether this is needed at all. With `wait` what is wrong is said once the
    files were looked at, together with what is wrong with them.

    Raises:
        ManifestError: with every problem of every row, such as missing variables, equal ids, or two images of
            one path.
    """
    return ExpandedPlan(manifest, wait=wait)


def unchanged(folder: Path, files: Iterable[InputFile]) -> bool:
    """Say whether files below a manifest's folder are as they were when somebody looked, by size and time.

    What was fetched from an address stays what it was.
    """
    root, local = InputRoot(folder), (file for file in files if not is_address(file.place))
    try:
        return all(root.state(file.place)[1:] == (file.bytes, file.changed) for file in local)
    except ValueError:
        return False
