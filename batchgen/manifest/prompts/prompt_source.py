"""Where prompts come from: one entry of a manifest's `prompts`, and what it or each row of its catalog comes to."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from batchgen.domain.errors import Problem
from batchgen.manifest.catalogs.catalog_file import CatalogFile, RowValues
from batchgen.manifest.problems import Problems
from batchgen.manifest.prompts.input_places import NO_PLACES, BadPlace, Places
from batchgen.manifest.prompts.input_templates import InputTemplates
from batchgen.manifest.templates.path_template import PathTemplate
from batchgen.manifest.templates.template import Template

MAX_ID = 200  # characters

_NO_ID = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # those that turn a line, too
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")


class PromptDraft(NamedTuple):
    """One prompt as its templates come to, before anybody has looked at its images.

    Attributes:
        line, column: where it stands, in the manifest or in its catalog; column 0 for a row.
        key: the id.
        text: "" where it is wrong.
        path: as in `batchgen.domain.job.Prompt`; "" where it, or the text, is wrong.
        places: of its input images.
    """

    line: int
    column: int
    key: str
    text: str
    path: str
    places: Places


@dataclass(frozen=True, slots=True)
class PromptSource:
    """One entry of `prompts`: a prompt written there, or a catalog with a template for its rows.

    Attributes:
        entry: its key, such as `prompts.0`, for messages; `line` and `column` say where it stands.
        shown: the file whose line a message names: the manifest, or the catalog.
        inputs: references and mask; None for none.
        max_text: characters the route leaves for the text; 0 when not known.
        overrides: see `batchgen.domain.job.Prompt`; `shared` and `variant_set` too.
    """

    entry: str
    line: int
    column: int
    shown: str
    catalog: CatalogFile | None
    id: Template
    text: Template
    path: PathTemplate
    inputs: InputTemplates | None
    max_text: int
    overrides: str
    shared: int
    variant_set: int

    def drafts(self, problems: Problems) -> Iterator[PromptDraft]:
        """Make the draft of each of its prompts, row by row.

        What is wrong becomes a problem: a row without an id is left out, a wrong text or path is "" here, and wrong
        input images are none.
        """
        for line, column, names in self._rows(problems):
            text = path = ""
            at = "id"
            try:
                key = names["id"] = _clean_id(self.id.render(names))
            except ValueError as error:
                self._note(problems, line, column, at, error)
                continue
            try:
                at = "text"
                text = self._clean_text(self.text.render(names))
                at = "file"
                path = self.path.render(names)
            except ValueError as error:
                self._note(problems, line, column, at, error)
            places = NO_PLACES if self.inputs is None else self._places(self.inputs, names, line, column, problems)
            yield PromptDraft(line, column, key, text, path, places)

    def _places(self, inputs: InputTemplates, names: RowValues, line: int, column: int, problems: Problems) -> Places:
        found: list[str] = []
        whole = True
        for at, template in inputs.templates.items():
            try:
                found.append(inputs.fill(template, names))
            except ValueError as error:
                self._note(problems, *inputs.spots.get(at, (line, column)), at, error)
                whole = False
        if not whole:
            return NO_PLACES
        return Places(tuple(found[:-1]), found[-1]) if "mask" in inputs.templates else Places(tuple(found))

    def _note(self, problems: Problems, line: int, column: int, at: str, error: ValueError) -> None:
        message = str(error)
        like = self.entry + (error.why if isinstance(error, BadPlace) else message)
        problems.add(Problem(self.shown, line, column, f"{self.entry}.{at}", message), like=like)

    def _rows(self, problems: Problems) -> Iterator[tuple[int, int, RowValues]]:
        if self.catalog is None:
            yield self.line, self.column, {}
            return
        whole = self.id.uses_row or self.text.uses_row or self.path.uses_row
        whole = whole or (self.inputs is not None and self.inputs.uses_row)
        for line, names in self.catalog.rows(problems, whole=whole):
            yield line, 0, names

    def _clean_text(self, text: str) -> str:
        text = text.strip()
        if not text:
            raise ValueError("the prompt is empty")
        if _NO_TEXT.search(text):
            raise ValueError("the prompt holds a NUL or half a character (a lone surrogate)")
        if self.max_text and len(text) > self.max_text:
            raise ValueError(f"the prompt has {len(text):,} characters, the route takes {self.max_text:,}")
        return text


def _clean_id(text: str) -> str:
    key = text.strip()
    if not key.isascii():
        key = unicodedata.normalize("NFC", key)
    if not key:
        raise ValueError("the id is empty")
    if len(key) > MAX_ID:
        raise ValueError(f"the id has {len(key):,} characters; {MAX_ID} are the most")
    if _NO_ID.search(key):
        raise ValueError("the id holds a control character or a line end")
    return key
