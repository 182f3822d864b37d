"""A manifest, read and checked, without its prompts: the job, and where its prompts come from."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from batchgen.contracts.contract import Contract
from batchgen.domain.errors import Problem
from batchgen.domain.inputs import NO_INPUTS, InputImage, Inputs
from batchgen.domain.job import JobSpec, Parameters, Variant, output_path
from batchgen.manifest.fallbacks import FallbackRoute
from batchgen.manifest.paths import PathTemplate
from batchgen.manifest.places import NO_PLACES, BadPlace, InputTemplates, Places
from batchgen.manifest.problems import Problems
from batchgen.manifest.rows import CatalogFile, Names
from batchgen.manifest.template import Template
from batchgen.manifest.terms import Terms

MAX_ID = 200  # characters

_NO_ID = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")  # those that turn a line, too
_NO_TEXT = re.compile("[\x00\ud800-\udfff]")

Draft = tuple[int, int, str, str, str, Places]  # line, column, id, text, path, references and mask


class Fixed:
    """A text that is what it is: that of a prompt written in the manifest."""

    uses_row = False
    names: tuple[str, ...] = ()
    in_braces: tuple[str, ...] = ()

    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, names: Mapping[str, Any]) -> str:  # noqa: ARG002 - a template that needs none
        """The text."""
        return self._text


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `prompts`: a prompt written there, or a catalog with a template for its rows.

    Attributes:
        place: its key, for messages, and `line` and `column` where it stands.
        shown: the file whose line a message names: the manifest, or the catalog.
        inputs: references and mask; None for none.
        max_text: characters the route leaves for the text; 0 when not known.
        overrides: see `batchgen.domain.job.Prompt`; `shared` and `variant_set` too.
    """

    place: str
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

    def drafts(self, problems: Problems) -> Iterator[Draft]:
        """Id, text, path and input images of each of its prompts, with the place they come from.

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
            yield line, column, key, text, path, places

    def _places(self, inputs: InputTemplates, names: Names, line: int, column: int, problems: Problems) -> Places:
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
        like = self.place + (error.why if isinstance(error, BadPlace) else message)
        problems.add(Problem(self.shown, line, column, f"{self.place}.{at}", message), like=like)

    def _rows(self, problems: Problems) -> Iterator[tuple[int, int, Names]]:
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


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest that passed every check but those that need its rows.

    Attributes:
        shown: the file as the user named it.
        contract: the route's, with what the manifest changes about it; the timeout among that.
        route: as it is written, a name or a mapping.
        fallbacks: routes that tasks may go on with, in order; the one that rescues 4K is the last.
        variants: of all prompts together; `variant_sets` holds what each entry takes of them.
        warnings: what is allowed but doubtful.
        risky_terms: words to be warned of in texts; None for none.
    """

    shown: str
    contract: Contract
    route: str | Mapping[str, Any]
    fallbacks: tuple[FallbackRoute, ...]
    job: JobSpec
    entries: tuple[Entry, ...]
    variants: tuple[Variant, ...]
    variant_sets: tuple[tuple[int, ...], ...]
    warnings: tuple[Problem, ...]
    risky_terms: Terms | None = None

    @property
    def source_hash(self) -> str:
        """Equal for two readings that would expand to the same prompts; known without expanding."""
        return self.job.source_hash


def own_hash(text: str, overrides: str, inputs: Inputs = NO_INPUTS) -> int:
    """What one prompt alone asks, in 63 bits. Files count by their content and not by their names."""
    asked = f"{overrides}\0{text}"
    if inputs is not NO_INPUTS:
        asked += "".join(f"\0reference {_content(image)}" for image in inputs.references)
        asked += "" if inputs.mask is None else f"\0mask {_content(inputs.mask)}"
    return _hash63(asked.encode())


def shared_hash(model: str, parameters: Parameters, overridden: Mapping[str, str]) -> int:
    """What the job asks for a prompt that overrides some parameters, in 63 bits. The gateway is no part of it."""
    asked = {"quality": parameters.quality, "background": parameters.background, "format": parameters.format}
    rest = {name: value for name, value in asked.items() if value is not None and name not in overridden}
    return _hash63(json.dumps([model, rest], sort_keys=True, ensure_ascii=False).encode())


def overrides_json(overridden: Mapping[str, str]) -> str:
    """Parameters that a prompt sets itself, always in the same letters; "" for none."""
    return json.dumps(overridden, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if overridden else ""


def fills(variants: tuple[Variant, ...], variant_set: tuple[int, ...]) -> list[dict[str, str]]:
    """What each variant of a set fills into a path, worked out once for all prompts."""
    parts = ("size", "sample", "ratio", "tier")
    pattern = "\n".join(f"{{{part}}}" for part in parts)
    filled = (output_path(pattern, variants[number].size, variants[number].sample) for number in variant_set)
    return [dict(zip(parts, text.split("\n"), strict=True)) for text in filled]


def _content(image: InputImage) -> str:
    return image.place if image.is_address else image.sha256


def _hash63(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big") >> 1


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
