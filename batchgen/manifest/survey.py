"""The first reading of all rows: every problem that only rows can have, and how much there is to buy."""

from __future__ import annotations

from dataclasses import dataclass

from batchgen.domain.errors import Problem
from batchgen.domain.job import Variant
from batchgen.domain.names import fold
from batchgen.manifest.entries import Entry, fills
from batchgen.manifest.lint import Lint, Look
from batchgen.manifest.places import NO_PLACES
from batchgen.manifest.problems import SHOWN, Problems
from batchgen.manifest.twins import Filled, SecondReading, Suspects, Twins
from batchgen.manifest.uses import Uses

MAX_TASKS = 5_000_000


@dataclass(frozen=True, slots=True)
class Totals:
    """How much a manifest asks for; a task is one image."""

    prompts: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What one reading of all rows has found beside problems.

    Attributes:
        uses: every local reference and mask.
        warnings: what is allowed but doubtful.
    """

    totals: Totals
    uses: Uses
    warnings: tuple[Problem, ...]


def survey(
    entries: tuple[Entry, ...],
    variants: tuple[Variant, ...],
    variant_sets: tuple[tuple[int, ...], ...],
    problems: Problems,
    lint: Lint | None = None,
) -> Surveyed:
    """Reads all rows once, and again only where two prompts may be one."""
    first = _FirstReading(problems)
    filled = [
        [{part: fold(text) for part, text in fill.items()} for fill in fills(variants, chosen)]
        for chosen in variant_sets
    ]
    for entry in entries:
        look = lint.look(entry, variant_sets[entry.variant_set]) if lint is not None else _pass_over
        first.read(entry, filled[entry.variant_set], look)
    if first.tasks > MAX_TASKS:
        message = f"comes to more than {MAX_TASKS:,} images, which are the most in one job"
        problems.add(Problem(entries[0].shown, 0, 0, "prompts", message))
    suspects = first.suspects()
    warnings: list[Problem] = []
    if suspects:
        again = SecondReading(suspects, problems)
        for entry in entries:
            again.read(entry, filled[entry.variant_set])
        warnings = again.warnings()
    if lint is not None:
        warnings += lint.warnings.error().problems
    return Surveyed(Totals(first.prompts, first.tasks), first.uses, tuple(warnings))


def _pass_over(_line: int, _column: int, _text: str) -> None:
    """Nobody looks."""


class _FirstReading:
    """Keeps a hash of each id, text and path, and nothing else of a row."""

    def __init__(self, problems: Problems) -> None:
        self.prompts = 0
        self.tasks = 0
        self.uses = Uses()
        self._problems = problems
        self._ids, self._paths, self._texts = Twins(), Twins(), Twins()

    def read(self, entry: Entry, filled: Filled, look: Look) -> None:
        before = self.prompts, len(self._problems)
        add_id, add_path, add_text = self._ids.add, self._paths.add, self._texts.add
        checked: Filled | None = None
        for line, column, key, text, path, places in entry.drafts(self._problems):
            self.prompts += 1
            add_id(hash(fold(key)))
            if places is not NO_PLACES:
                self.uses.add(entry, (line, column), places, self._problems)
            if not text or not path:
                continue  # a problem, and said
            look(line, column, text)
            if checked is None:
                checked = [] if self._lands_together(entry, line, column, path, filled) else filled
            add_text(hash((text, entry.overrides) if places is NO_PLACES else (text, entry.overrides, places)))
            pattern = fold(path)
            for fill in checked:
                add_path(hash(pattern.format_map(fill)))
            self.tasks += len(filled)
            if self.tasks > MAX_TASKS:
                break
        if before == (self.prompts, len(self._problems)):
            self._problems.add(Problem(entry.shown, 0, 0, entry.place, "has no rows"))

    def suspects(self) -> Suspects | None:
        """What to look at again, if anything."""
        ids, _ = self._ids.suspects(SHOWN)
        paths, _ = self._paths.suspects(SHOWN)
        texts, repeated = self._texts.suspects(1)
        return Suspects(ids, paths, texts, repeated) if ids or paths or texts else None

    def _lands_together(self, entry: Entry, line: int, column: int, path: str, filled: Filled) -> bool:
        """Whether the variants of one prompt land in one file: said once, not for every row."""
        if len({path.format_map(fill) for fill in filled}) == len(filled):
            return False
        differ = [part for part in ("size", "sample") if len({fill[part] for fill in filled}) > 1]
        missing = " and ".join(f"{{{{ {part} }}}}" for part in differ if f"{{{part}}}" not in path)
        message = f"several images of one prompt land in one file; put {missing} into output.file"
        self._problems.add(Problem(entry.shown, line, column, f"{entry.place}.file", message))
        return True
