"""The reading of all rows: every problem that only rows can have, and how much there is to buy.

A first reading keeps eight bytes for each id, path and text, among millions of prompts. Where two of these are equal
things may occur twice, and a second reading names them.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import pairwise

from batchgen.domain.errors import Problem
from batchgen.domain.job import Variant
from batchgen.domain.names import fold
from batchgen.manifest.problems import SHOWN, Problems
from batchgen.manifest.prompts.input_places import NO_PLACES, Places
from batchgen.manifest.prompts.prompt_source import PromptDraft, PromptSource
from batchgen.manifest.survey.input_files import InputFiles
from batchgen.manifest.survey.lint import Lint, Look
from batchgen.manifest.templates.path_template import variant_fills

MAX_TASKS = 5_000_000

_PARTS = 16  # sorted one after another, so that only a sixteenth is ever held as Python integers

_Fills = list[dict[str, str]]
_Asked = tuple[str, str] | tuple[str, str, Places]


@dataclass(frozen=True, slots=True)
class PlanTotals:
    """How much a manifest asks for; a task is one image."""

    prompts: int
    tasks: int


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """What one reading of all rows has found beside problems.

    Attributes:
        input_files: every local reference and mask.
        warnings: what is allowed but doubtful.
    """

    totals: PlanTotals
    input_files: InputFiles
    warnings: tuple[Problem, ...]


def survey(
    sources: tuple[PromptSource, ...],
    variants: tuple[Variant, ...],
    variant_sets: tuple[tuple[int, ...], ...],
    problems: Problems,
    lint: Lint | None = None,
) -> SurveyResult:
    """Read all rows once, and again only where two prompts may be one; what is wrong goes to `problems`."""
    first = _FirstReading(problems)
    fills = [
        [{part: fold(text) for part, text in fill.items()} for fill in variant_fills(variants, chosen)]
        for chosen in variant_sets
    ]
    for source in sources:
        look = lint.look(source, variant_sets[source.variant_set]) if lint is not None else _pass_over
        first.read(source, fills[source.variant_set], look)
    if first.tasks > MAX_TASKS:
        message = f"comes to more than {MAX_TASKS:,} images, which are the most in one job"
        problems.add(Problem(sources[0].shown, 0, 0, "prompts", message))
    suspects = first.suspects()
    warnings: list[Problem] = []
    if suspects:
        again = _SecondReading(suspects, problems)
        for source in sources:
            again.read(source, fills[source.variant_set])
        warnings = again.warnings()
    if lint is not None:
        warnings += lint.warnings.error().problems
    return SurveyResult(PlanTotals(first.prompts, first.tasks), first.input_files, tuple(warnings))


def _pass_over(_line: int, _column: int, _text: str) -> None:
    """Look at no text: what a survey without a lint calls."""


class Duplicates:
    """Hashes of things that should all differ. Equal ones are only a suspicion, for which the things are read again."""

    def __init__(self) -> None:
        self._parts = [array("q") for _ in range(_PARTS)]

    def add(self, hashed: int) -> None:
        """Note one thing by its 64-bit hash."""
        self._parts[hashed % _PARTS].append(hashed)

    def take(self, at_most: int) -> tuple[set[int], int]:
        """Hand out hashes that occurred more than once, up to a number of them, and how often that happened in all.

        The room of all hashes is free from then on.
        """
        found: set[int] = set()
        count = 0
        for number, part in enumerate(self._parts):
            for one, other in pairwise(sorted(part)):
                if one == other:
                    count += 1
                    if len(found) < at_most:
                        found.add(one)
            self._parts[number] = array("q")
        return found, count


@dataclass(frozen=True, slots=True)
class _Suspects:
    """Hashes of ids, paths and texts that occurred twice; `repeated` is how often a text did."""

    ids: set[int]
    paths: set[int]
    texts: set[int]
    repeated: int


class _FirstReading:
    """Keeps a hash of each id, text and path, and nothing else of a row."""

    def __init__(self, problems: Problems) -> None:
        self.prompts = 0
        self.tasks = 0
        self.input_files = InputFiles()
        self._problems = problems
        self._ids, self._paths, self._texts = Duplicates(), Duplicates(), Duplicates()

    def read(self, source: PromptSource, fills: _Fills, look: Look) -> None:
        before = self.prompts, len(self._problems)
        add_id, add_path, add_text = self._ids.add, self._paths.add, self._texts.add
        checked: _Fills | None = None
        for draft in source.drafts(self._problems):
            self.prompts += 1
            add_id(hash(fold(draft.key)))
            if draft.places is not NO_PLACES:
                self.input_files.add(source, draft, self._problems)
            if not draft.text or not draft.path:
                continue  # a problem, and said
            look(draft.line, draft.column, draft.text)
            if checked is None:
                checked = [] if self._lands_together(source, draft, fills) else fills
            add_text(hash(_asked(source, draft)))
            pattern = fold(draft.path)
            for fill in checked:
                add_path(hash(pattern.format_map(fill)))
            self.tasks += len(fills)
            if self.tasks > MAX_TASKS:
                break
        if before == (self.prompts, len(self._problems)):
            self._problems.add(Problem(source.shown, 0, 0, source.entry, "has no rows"))

    def suspects(self) -> _Suspects | None:
        """Say what to look at again; None where nothing occurred twice."""
        ids, _ = self._ids.take(SHOWN)
        paths, _ = self._paths.take(SHOWN)
        texts, repeated = self._texts.take(1)
        return _Suspects(ids, paths, texts, repeated) if ids or paths or texts else None

    def _lands_together(self, source: PromptSource, draft: PromptDraft, fills: _Fills) -> bool:
        """Say whether the variants of one prompt land in one file; a problem once, not for every row."""
        if len({draft.path.format_map(fill) for fill in fills}) == len(fills):
            return False
        differ = [part for part in ("size", "sample") if len({fill[part] for fill in fills}) > 1]
        missing = " and ".join(f"{{{{ {part} }}}}" for part in differ if f"{{{part}}}" not in draft.path)
        message = f"several images of one prompt land in one file; put {missing} into output.file"
        self._problems.add(Problem(source.shown, draft.line, draft.column, f"{source.entry}.file", message))
        return True


@dataclass(frozen=True, slots=True)
class _Seen:
    """Where a prompt stands, and its id.

    Attributes:
        where: a problem without a message.
    """

    where: Problem
    key: str

    def seen_from(self, other: _Seen) -> str:
        """Say where it stands, for a sentence about another."""
        file = "" if self.where.file == other.where.file else f"{self.where.file}, "
        return f"{file}line {self.where.line}"

    def problem(self, key: str, message: str) -> Problem:
        """Make a problem of one of its keys."""
        return Problem(self.where.file, self.where.line, self.where.column, f"{self.where.key}.{key}", message)


class _SecondReading:
    """Names the rows behind suspicious hashes, and finds harmless those that only collided."""

    def __init__(self, suspects: _Suspects, problems: Problems) -> None:
        self._suspects = suspects
        self._problems = problems
        self._ids: dict[str, _Seen] = {}
        self._paths: dict[str, _Seen] = {}
        self._texts: dict[_Asked, _Seen] = {}
        self._repeat: tuple[_Seen, _Seen] | None = None

    def read(self, source: PromptSource, fills: _Fills) -> None:
        """Add a problem for each prompt whose id, or whose path, is that of an earlier one."""
        for draft in source.drafts(Problems()):
            here = _Seen(Problem(source.shown, draft.line, draft.column, source.entry, ""), draft.key)
            if not self._id_is_taken(here) and draft.path:
                self._path_is_taken(here, fold(draft.path), fills)
            asked = _asked(source, draft)
            if self._repeat is None and hash(asked) in self._suspects.texts:
                first = self._texts.setdefault(asked, here)
                self._repeat = (first, here) if first is not here else None

    def warnings(self) -> list[Problem]:
        """Tell what is allowed but doubtful: one text bought under several ids."""
        if self._repeat is None:
            return []
        first, here = self._repeat
        times = "1 prompt asks" if self._suspects.repeated == 1 else f"{self._suspects.repeated:,} prompts ask"
        message = f"{times} for what another asks, for instance {here.key} and {first.key}; count: buys several"
        return [here.problem("text", message)]

    def _id_is_taken(self, here: _Seen) -> bool:
        folded = fold(here.key)
        if hash(folded) not in self._suspects.ids:
            return False
        first = self._ids.setdefault(folded, here)
        if first is here:
            return False
        same = "stands already" if first.key == here.key else f"differs only in case from {first.key}"
        message = f"the id {here.key} {same} in {first.seen_from(here)}; ids must differ"
        self._problems.add(here.problem("id", message), like=f"{here.where.key}.id")
        return True

    def _path_is_taken(self, here: _Seen, pattern: str, fills: _Fills) -> None:
        for fill in fills:
            path = pattern.format_map(fill)
            if hash(path) not in self._suspects.paths:
                continue
            first = self._paths.setdefault(path, here)
            if first is not here:
                also = f"as does {first.key} ({first.seen_from(here)})"
                message = f"{here.key} lands in the file {path}, {also}; make output.file differ"
                self._problems.add(here.problem("file", message), like=f"{here.where.key}.file")
                return


def _asked(source: PromptSource, draft: PromptDraft) -> _Asked:
    """Return what a prompt asks, apart from its id: two that ask the same buy two images of it."""
    if draft.places is NO_PLACES:
        return draft.text, source.overrides
    return draft.text, source.overrides, draft.places
