"""Reads `prompts:` into sources: each entry with its templates, its catalog and its variants."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from batchgen.contracts.contract import Contract, Objection
from batchgen.domain.errors import ManifestError
from batchgen.domain.job import Parameters, Variant
from batchgen.domain.size import AUTO, Size
from batchgen.files.input_root import InputRoot
from batchgen.manifest.catalogs.catalog_file import CatalogFile, open_catalog
from batchgen.manifest.document.document import Document, dotted
from batchgen.manifest.document.schema import DEFAULT_FILE, CatalogPrompt, WrittenPrompt
from batchgen.manifest.document.validate import Loc
from batchgen.manifest.prompts.fingerprints import overrides_json, shared_hash
from batchgen.manifest.prompts.input_templates import read_inputs
from batchgen.manifest.prompts.prompt_source import PromptSource
from batchgen.manifest.route import check_parameters, default_sizes, read_sizes
from batchgen.manifest.templates.path_template import PathTemplate
from batchgen.manifest.templates.template import FixedText, Template, compile_template

MOST_PER_PROMPT = 1_000  # images


@dataclass(slots=True)
class SourceReader:
    """Builds the sources of prompts one by one; what they share is made once.

    Attributes:
        said: what was already reported of the job's own parameters.
        asked: every size, with the quality it is asked in.
    """

    document: Document
    contract: Contract | None
    parameters: Parameters
    said: set[Objection]
    sources: list[PromptSource] = field(default_factory=list)
    catalogs: dict[Path, CatalogFile | None] = field(default_factory=dict)
    asked: set[tuple[Size, str | None]] = field(default_factory=set)
    _numbers: dict[tuple[Size, int], int] = field(default_factory=dict)
    _sets: dict[tuple[int, ...], int] = field(default_factory=dict)
    _paths: dict[str, PathTemplate | None] = field(default_factory=dict)
    _sizes: tuple[Size, ...] | None = None
    _root: InputRoot = field(init=False)

    def __post_init__(self) -> None:
        self._root = InputRoot(self.document.folder)

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants of all sources together, each once."""
        return tuple(Variant(number, size, sample) for (size, sample), number in self._numbers.items())

    @property
    def variant_sets(self) -> tuple[tuple[int, ...], ...]:
        """The sets of variants that sources take, each once."""
        return tuple(self._sets)

    def read_all(self) -> None:
        """Read every entry of `prompts` that can be read."""
        keys = self.document.keys
        if keys.sizes:
            self._sizes = read_sizes(self.document, ("sizes",), keys.sizes, self.contract)
        for number, prompt in enumerate(keys.prompts):
            if number not in self.document.bad_prompts:
                self._read(("prompts", number), prompt)

    def _read(self, loc: Loc, prompt: WrittenPrompt) -> None:
        written = {"quality": prompt.quality, "background": prompt.background, "format": prompt.format}
        overridden = {name: value for name, value in written.items() if value}
        if overridden and self.contract is not None:
            at = {name: (*loc, name) for name in overridden}
            check_parameters(self.document, self.contract, replace(self.parameters, **overridden), at, self.said)
        variant_set = self._variant_set(loc, prompt, overridden.get("quality", self.parameters.quality))
        catalog = self._catalog(loc, prompt) if isinstance(prompt, CatalogPrompt) else None
        identity = self._template((*loc, "id"), prompt, prompt.id)
        text = self._template((*loc, "text"), prompt, prompt.text)
        if text is not None and catalog is not None and text.in_braces:
            self._doubt_braces((*loc, "text"), text, catalog)
        path = self._path(loc, prompt)
        inputs = read_inputs(self.document, self.contract, self._root, loc, prompt, self._template)
        if identity is None or text is None or (isinstance(prompt, CatalogPrompt) and catalog is None):
            return
        line, column = self.document.position(loc)
        self.sources.append(
            PromptSource(
                entry=dotted(loc),
                line=line,
                column=column,
                shown=self.document.file if catalog is None else catalog.shown,
                catalog=catalog,
                id=identity,
                text=text,
                path=path,
                inputs=inputs,
                max_text=self._room(variant_set),
                overrides=overrides_json(overridden),
                shared=shared_hash(self.contract.model if self.contract else "", self.parameters, overridden),
                variant_set=self._sets.setdefault(variant_set, len(self._sets)),
            )
        )

    def _variant_set(self, loc: Loc, prompt: WrittenPrompt, quality: str | None) -> tuple[int, ...]:
        keys = self.document.keys
        if prompt.sizes:
            sizes = read_sizes(self.document, (*loc, "sizes"), prompt.sizes, self.contract)
        else:
            if self._sizes is None and "sizes" not in self.document.bad:
                self._sizes = default_sizes(self.document, self.contract)
            sizes = self._sizes or ()
        sizes = sizes or (AUTO,)  # what was wrong has been said
        count = prompt.count or keys.count or 1
        if len(sizes) * count > MOST_PER_PROMPT:
            words = (
                f"{len(sizes)} sizes x {count} images are more than the {MOST_PER_PROMPT:,} that one prompt may have"
            )
            self.document.wrong(loc, words)
            count = 1
        self.asked.update((size, quality) for size in sizes)
        wanted = ((size, sample) for size in sizes for sample in range(1, count + 1))
        return tuple(self._numbers.setdefault(variant, len(self._numbers)) for variant in wanted)

    def _room(self, variant_set: tuple[int, ...]) -> int:
        """Count the characters the route leaves for a text, beside what it puts in front of it; 0 when not known."""
        if self.contract is None:
            return 0
        by_number = {number: size for (size, _), number in self._numbers.items()}
        taken = max(len(self.contract.prompt_text("", by_number[number])) for number in variant_set)
        return self.contract.max_prompt - taken

    def _template(self, loc: Loc, prompt: WrittenPrompt, source: str) -> Template | None:
        try:
            if isinstance(prompt, CatalogPrompt):
                return compile_template(source)
        except ValueError as error:
            self.document.wrong(loc, str(error))
            return None
        if "{{" in source or "{%" in source:
            words = "holds a template, which only the rows of a catalog can fill in; name one with from:, or remove it"
            self.document.wrong(loc, words)
            return None
        return FixedText(source)

    def _doubt_braces(self, loc: Loc, text: Template, catalog: CatalogFile) -> None:
        """Warn of columns in single braces, as other tools fill them in: here they would be drawn as they stand."""
        spellings = catalog.spellings()
        for name in text.in_braces:
            if name in spellings:
                self.document.doubt(loc, f"`{{{name}}}` is not filled in; write `{{{{ {spellings[name]} }}}}`")

    def _path(self, loc: Loc, prompt: WrittenPrompt) -> PathTemplate:
        source = prompt.file or self.document.keys.output.file
        if source not in self._paths:
            try:
                self._paths[source] = PathTemplate(source)
            except ValueError as error:
                self._paths[source] = None
                self.document.wrong((*loc, "file") if prompt.file else ("output", "file"), str(error))
        return self._paths[source] or PathTemplate(DEFAULT_FILE)

    def _catalog(self, loc: Loc, prompt: CatalogPrompt) -> CatalogFile | None:
        path = Path(os.path.abspath(self.document.folder / prompt.source))  # noqa: PTH100 - links stay as written
        if path not in self.catalogs:
            try:
                self.catalogs[path] = open_catalog(path, str(Path(self.document.file).parent / prompt.source))
            except ManifestError as error:
                self.catalogs[path] = None
                for problem in error.problems:
                    if problem.line:
                        self.document.problems.add(problem)
                    else:
                        self.document.wrong((*loc, "from"), f"{prompt.source}: {problem.message}")
        return self.catalogs[path]
